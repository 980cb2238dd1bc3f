"""A copy of a run's tensors in CPU memory, which is written to disk while training goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ddpm_cli.checkpoints.checkpoint import Checkpoint
from ddpm_cli.hardware import copies_asynchronously


@dataclass
class StagingBuffers:
    """Buffers for the tensors of one run, by name, which every copy uses again.

    Buffers for tensors of a GPU are pinned.
    """

    buffers: dict[str, Tensor] = field(default_factory=dict)

    def copy(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Callable[[], None]]:
        """Begin a copy; return its contiguous buffers and a call that completes the copy.

        Tensors of a GPU are copied at once, in the order of its stream. The call copies tensors of
        the CPU, which must not change before the call ends.
        """
        copies = {name: self.buffer_of(name, tensor) for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            if tensor.device.type != "cpu":
                copies[name].copy_(tensor, non_blocking=copies_asynchronously(tensor.device))
        devices = {tensor.device for tensor in tensors.values() if tensor.is_cuda}
        events = [record_event(device) for device in devices]

        def complete() -> None:
            for name, tensor in tensors.items():
                if tensor.device.type == "cpu":
                    copies[name].copy_(tensor)
            for event in events:
                event.synchronize()

        return copies, complete

    def buffer_of(self, name: str, tensor: Tensor) -> Tensor:
        """The buffer of a tensor, a new one where its shape or type has changed."""
        buffer = self.buffers.get(name)
        if buffer is None or (buffer.shape, buffer.dtype) != (tensor.shape, tensor.dtype):
            buffer = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self.buffers[name] = buffer
        return buffer


def record_event(device: torch.device) -> torch.cuda.Event:
    """Mark the work queued on a GPU so far; a thread that waits for the mark sleeps."""
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def copy_of(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint with copies of its tensors in CPU memory."""
    tensors, complete = StagingBuffers().copy(checkpoint.tensors)
    complete()
    return replace(checkpoint, tensors=tensors)
