"""Modes that watch the operations of PyTorch: how many compute, and which of them wait."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

VIEWS = """
    _reshape_alias _unsafe_view alias as_strided detach expand permute reshape select slice split
    split_with_sizes squeeze t transpose unbind unfold unsqueeze view
    empty empty_like empty_strided new_empty new_empty_strided
    _record_function_enter_new _record_function_exit
""".split()


class CountOperations(TorchDispatchMode):
    """Counts, by name, the operations that compute in a `with` block; a list of tensors is one."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        self.counts[name] += name not in VIEWS
        return func(*args, **(kwargs or {}))


class NoSynchronisation(TorchDispatchMode):
    """Raises where the host reads values of a tensor, or copies a tensor between devices."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        assert name not in ("_local_scalar_dense", "nonzero"), f"{func} waits for the device"
        result = func(*args, **(kwargs or {}))
        devices = {
            each.device
            for each in torch.utils._pytree.tree_leaves((args, kwargs, result))
            if isinstance(each, torch.Tensor) and each.ndim
        }
        assert len(devices) < 2, f"{func} copies between {devices}"
        return result
