"""A copy of a run's tensors in CPU memory, which is written to disk while training goes on."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

Place: TypeAlias = tuple[Hashable, ...]


@dataclass
class StagingBuffers:
    """Buffers for the tensors of one run, by place in the content, which every copy uses again.

    Buffers for tensors of a GPU are pinned.
    """

    buffers: dict[Place, Tensor] = field(default_factory=dict)

    def copy(self, content: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], None]]:
        """The content with contiguous buffers in place of its tensors, and a call that fills them.

        Tensors of a GPU are copied at once, in the order of its stream. The call copies tensors of
        the CPU, which must not change before the call ends.
        """
        pairs: list[tuple[Tensor, Tensor]] = []

        def buffer_of(place: Place, tensor: Tensor) -> Tensor:
            buffer = self.buffers.get(place)
            if buffer is None or (buffer.shape, buffer.dtype) != (tensor.shape, tensor.dtype):
                buffer = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
                self.buffers[place] = buffer
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


def map_tensors(tree: Any, leaf: Callable[[Place, Tensor], Tensor], place: Place = ()) -> Any:
    """A tree of mappings with its tensors replaced."""
    if isinstance(tree, Mapping):
        return {key: map_tensors(each, leaf, (*place, key)) for key, each in tree.items()}
    return leaf(place, tree) if isinstance(tree, Tensor) else tree


def record_event(device: torch.device) -> torch.cuda.Event:
    """Mark the work queued on a GPU so far; a thread that waits for the mark sleeps."""
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
