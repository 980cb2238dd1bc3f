"""Whether memory and disk are large enough for a run, and how long it will take."""

import math
import resource
import shutil
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from ddpm_cli.preflight.finding import Finding
from ddpm_cli.training import Trainer, TrainState

REMEDY = "choose a smaller trainer.microbatch"
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def check_memory(state: TrainState, extra: int) -> Iterator[Finding]:
    """Whether a run fits into what is free: `extra` bytes for a while, moments where there are none yet, on the CPU a copy to save."""
    device = state.denoiser.device
    copy = checkpoint_bytes(state) if device.type == "cpu" else 0
    needed, there = (
        extra + copy + (0 if state.optimizer.state else optimizer_state_bytes(state)),
        free_memory(device),
    )
    if there is not None:
        told = f"memory of {device}: training needs about {size_text(needed)} more, {size_text(there)} are free"
        yield (
            Finding("ok", told)
            if needed <= there
            else Finding("warning", f"{told}: {REMEDY}, or a smaller network")
        )


def peak_memory(device: torch.device, anew: bool = False) -> int:
    """The most bytes that were in use on the device, since the start or since it was asked `anew`."""
    if device.type == "cuda":
        if anew:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def free_memory(device: torch.device) -> int | None:
    """The bytes that can still be had on the device, where that can be known."""
    if device.type == "cuda":
        return (
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
        )
    known = Path("/proc/meminfo")
    if device.type != "cpu" or not known.is_file():
        return None
    return next(
        (
            1024 * int(line.split()[1])
            for line in known.read_text().splitlines()
            if line.startswith("MemAvailable")
        ),
        None,
    )


def check_disk(folder: Path, state: TrainState, trainer: Trainer, steps: int) -> Iterator[Finding]:
    """Whether the checkpoints that will lie there at once fit."""
    count, each = checkpoints_kept(trainer, state.step, steps), checkpoint_bytes(state)
    there = shutil.disk_usage(
        next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    ).free
    told = f"disk: {count} checkpoints of {size_text(each)} take {size_text(count * each)} at most, {size_text(there)} are free"
    if there < each:
        yield Finding("error", f"{told}: not even one fits")
    elif there < count * each:
        yield Finding(
            "warning", f"{told}: choose a smaller trainer.keep_last or a larger trainer.keep_every"
        )
    else:
        yield Finding("ok", told)


def checkpoints_kept(trainer: Trainer, start: int, steps: int) -> int:
    """How many checkpoints lie on the disk at once: the newest, those for good, the best, and the one that is being written."""
    newest = min(trainer.keep_last, math.ceil(max(0, steps - start) / trainer.checkpoint_every))
    for_good = (
        0
        if trainer.keep_every is None
        else steps // math.lcm(trainer.keep_every, trainer.checkpoint_every)
    )
    return newest + for_good + 2


def checkpoint_bytes(state: TrainState) -> int:
    """The size of a checkpoint: network, average, and the moments of the optimizer."""
    kept = [
        tensor
        for each in state.optimizer.state.values()
        for tensor in each.values()
        if isinstance(tensor, torch.Tensor)
    ]
    return 2 * tensor_bytes(state.denoiser.network) + (
        sum(tensor.nbytes for tensor in kept) or optimizer_state_bytes(state)
    )


def optimizer_state_bytes(state: TrainState) -> int:
    """The bytes that an optimizer with two moments comes to hold."""
    return 2 * sum(parameter.nbytes for parameter in state.ema.parameters())


def tensor_bytes(network: nn.Module) -> int:
    """The bytes of a network."""
    return sum(tensor.nbytes for tensor in chain(network.parameters(), network.buffers()))


def estimate_time(
    state: TrainState, trainer: Trainer, steps: int, seconds: float, costs: Mapping[str, float]
) -> Iterator[Finding]:
    """What the rest of a run takes, of which a step takes so many seconds, and what is done at each cadence so many times that."""
    to_go = steps - state.step
    total = seconds * (
        to_go
        + sum(cost * (1 + to_go // getattr(trainer, cadence)) for cadence, cost in costs.items())
    )
    told = f"about {seconds:.2g} s a step, {duration_text(total)} in all; a checkpoint has {size_text(checkpoint_bytes(state))}"
    yield Finding("estimate", told)


def size_text(count: float) -> str:
    """Bytes in words."""
    power = min(len(UNITS) - 1, int(math.log2(max(1, count)) / 10))
    return f"{count / 2 ** (10 * power):.{int(power > 0)}f} {UNITS[power]}"


def duration_text(seconds: float) -> str:
    """A time in words."""
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if minutes < 2
        else f"{minutes:.0f} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )
