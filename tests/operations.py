"""Operations that compute: views, detached tensors and memory without content do not count."""

from collections import Counter

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
