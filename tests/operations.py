"""Modes that watch every operation of PyTorch."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
FREE = {  # they compute nothing: views, and memory without content
    aten.detach.default,
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.empty_strided.default,
    aten.new_empty.default,
    aten.new_empty_strided.default,
    aten._unsafe_view.default,
    aten.lift_fresh.default,
}
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.is_nonzero.default}


class CountedOperations(TorchDispatchMode):
    """Counts the operations that compute, casts included."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function not in FREE and not function.is_view:
            self.counts[str(function)] += 1
        return function(*args, **(kwargs or {}))


class NoSynchronisation(TorchDispatchMode):
    """Raises where the host reads a tensor's values, or copies between devices."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in READS, f"{function} waits for the device"
        result = function(*args, **(kwargs or {}))
        tensors = [
            each
            for each in torch.utils._pytree.tree_leaves((args, kwargs or {}, result))
            if isinstance(each, torch.Tensor) and each.ndim
        ]
        assert len({each.device for each in tensors}) < 2, f"{function} copies between devices"
        return result
