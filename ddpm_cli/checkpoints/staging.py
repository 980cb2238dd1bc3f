"""A copy of a run's tensors in the memory of this machine: what the disk is given while training goes on."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

Place: TypeAlias = tuple[Hashable, ...]


@dataclass
class StagingBuffers:
    """Room for the tensors of one run, made at the first copy and used again by each that follows; pinned where they come from a GPU."""

    room: dict[Place, Tensor] = field(default_factory=dict)

    def copy(self, content: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], None]]:
        """The content with its tensors in this memory, contiguous, and the call after which they are all there.

        Those on a GPU are on their way at once, in the order of its stream; those on the CPU must not change before that call ends.
        """
        pairs: list[tuple[Tensor, Tensor]] = []

        def placed(place: Place, tensor: Tensor) -> Tensor:
            pairs.append((self.at(place, tensor), tensor))
            return pairs[-1][0]

        copied = map_tensors(content, placed)
        for mine, its in pairs:
            if its.device.type != "cpu":
                mine.copy_(its, non_blocking=its.is_cuda)
        arrivals = [
            record_event(device) for device in {its.device for _, its in pairs if its.is_cuda}
        ]

        def complete() -> None:
            for mine, its in pairs:
                if its.device.type == "cpu":
                    mine.copy_(its)
            for each in arrivals:
                each.synchronize()

        return copied, complete

    def at(self, place: Place, tensor: Tensor) -> Tensor:
        """The room for a tensor at its place in the content."""
        mine = self.room.get(place)
        if mine is None or (mine.shape, mine.dtype) != (tensor.shape, tensor.dtype):
            mine = self.room[place] = torch.empty(
                tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda
            )
        return mine


def map_tensors(tree: Any, leaf: Callable[[Place, Tensor], Tensor], place: Place = ()) -> Any:
    """A tree of mappings with other tensors in the places of its own."""
    if isinstance(tree, Mapping):
        return {key: map_tensors(each, leaf, (*place, key)) for key, each in tree.items()}
    return leaf(place, tree) if isinstance(tree, Tensor) else tree


def record_event(device: torch.device) -> torch.cuda.Event:
    """What has been asked of a GPU so far; a thread that waits for it sleeps."""
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
