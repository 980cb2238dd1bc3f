"""A copy of a run's tensors in CPU memory, which is written to disk while training goes on."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

KeyPath: TypeAlias = tuple[Hashable, ...]


@dataclass
class StagingBuffers:
    """Buffers for the tensors of one run, by key path in the content, which every copy uses again.

    Buffers for tensors of a GPU are pinned.
    """

    buffers: dict[KeyPath, Tensor] = field(default_factory=dict)

    def copy(self, content: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], None]]:
        """The content with contiguous buffers instead of its tensors, and a call that fills them.

        Tensors of a GPU are copied at once, in the order of its stream. The call copies tensors of
        the CPU, which must not change before the call ends.
        """
        pairs: list[tuple[Tensor, Tensor]] = []

        def buffer_of(key_path: KeyPath, tensor: Tensor) -> Tensor:
            buffer = self.buffers.get(key_path)
            if buffer is None or (buffer.shape, buffer.dtype) != (tensor.shape, tensor.dtype):
                buffer = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
                self.buffers[key_path] = buffer
            pairs.append((buffer, tensor))
            return buffer

        copied = map_tensors(content, buffer_of)
        for buffer, tensor in pairs:
            if tensor.device.type != "cpu":
                buffer.copy_(tensor, non_blocking=tensor.is_cuda)
        devices = {tensor.device for _, tensor in pairs if tensor.is_cuda}
        events = [record_event(device) for device in devices]

        def complete() -> None:
            for buffer, tensor in pairs:
                if tensor.device.type == "cpu":
                    buffer.copy_(tensor)
            for event in events:
                event.synchronize()

        return copied, complete


def map_tensors(
    tree: Any, leaf: Callable[[KeyPath, Tensor], Tensor], key_path: KeyPath = ()
) -> Any:
    """A tree of mappings with its tensors replaced."""
    if isinstance(tree, Mapping):
        return {key: map_tensors(each, leaf, (*key_path, key)) for key, each in tree.items()}
    return leaf(key_path, tree) if isinstance(tree, Tensor) else tree


def record_event(device: torch.device) -> torch.cuda.Event:
    """Mark the work queued on a GPU so far; a thread that waits for the mark sleeps."""
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
