"""Checks that memory and disk suffice for a run, and an estimate of its time."""

import math
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from ddpm_cli.pace.cadences import Cadences
from ddpm_cli.pace.costs import Costs
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.text import duration_text, size_text
from ddpm_cli.training import Trainer, TrainState

REMEDY = "choose a smaller trainer.microbatch"
FULL_MEMORY = (  # the remedy once a run has begun
    f"{REMEDY}, trainer.activation_checkpointing=true or a smaller network; "
    "what the run has saved stays"
)
MOMENTS = 2  # moments of an optimizer, each as large as the parameters


def check_memory(state: TrainState, extra: int, free: int | None) -> Iterator[Finding]:
    """Check that a run fits into `free` bytes of memory; None if the number is unknown.

    The run needs `extra` bytes for a while, and the optimizer's moments if they are not yet there.
    On the CPU it also needs the copies of a checkpoint and of the snapshots of EMAs.
    """
    device, needed = state.denoiser.device, extra
    if device.type == "cpu":
        copies = len(state.averages.networks) * weight_bytes(state.ema)
        needed += checkpoint_bytes(state) + copies
    if not state.optimizer.state:
        needed += MOMENTS * sum(parameter.nbytes for parameter in state.ema.parameters())
    if free is not None:
        sizes = f"training needs about {size_text(needed)} more, {size_text(free)} are free"
        text = f"memory of {device}: {sizes}"
        remedy = f"{REMEDY}, or a smaller network"
        yield Finding("ok", text) if needed <= free else Finding("warning", f"{text}: {remedy}")


def check_disk(
    folder: Path, state: TrainState, trainer: Trainer, steps: int, every: int, *, ema_every: int = 1
) -> Iterator[Finding]:
    """Check that the checkpoints of a run, one after `every` steps, fit on the disk.

    The most at once are the newest, the permanent, the best and the next. The snapshots of EMAs,
    one after `ema_every` steps, are added.
    """
    size, to_go = checkpoint_bytes(state), max(0, steps - state.step)
    count = min(trainer.keep_last, math.ceil(to_go / every)) + 2
    if trainer.keep_every is not None:
        count += steps // math.lcm(trainer.keep_every, every)
    existing = next(
        each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir()
    )
    free = shutil.disk_usage(existing).free
    total = f"{count} checkpoints of {size_text(size)} take {size_text(count * size)} at most"
    files = len(state.averages.networks) * (math.ceil(steps / ema_every) - state.step // ema_every)
    beside = files * weight_bytes(state.ema)
    also = f", {files} snapshots of averages {size_text(beside)}" if files else ""
    text = f"disk: {total}{also}, {size_text(free)} are free"
    if free < size:
        yield Finding("error", f"{text}: not even one fits")
    elif free < count * size + beside:
        remedy = "choose a smaller trainer.keep_last or a larger trainer.keep_every"
        yield Finding("warning", f"{text}: {remedy}{' or trainer.ema_every' if files else ''}")
    else:
        yield Finding("ok", text)


def checkpoint_bytes(state: TrainState) -> int:
    """The size of a checkpoint: the network, its EMAs, and the moments of the optimizer."""
    networks = 2 + len(state.averages.networks)
    moments = sum(
        tensor.nbytes
        for entries in state.optimizer.state.values()
        for tensor in entries.values()
        if isinstance(tensor, torch.Tensor)
    )
    expected = MOMENTS * sum(parameter.nbytes for parameter in state.ema.parameters())
    return networks * weight_bytes(state.ema) + (moments or expected)


def weight_bytes(network: nn.Module) -> int:
    """The size of the weights of a network, buffers included."""
    return sum(tensor.nbytes for tensor in chain(network.parameters(), network.buffers()))


def estimate_time(
    state: TrainState, steps: int, costs: Costs, cadences: Cadences
) -> Iterator[Finding]:
    """Estimate the remaining time of a run."""
    total = duration_text(remaining_seconds(steps - state.step, costs, cadences))
    size = size_text(checkpoint_bytes(state))
    whole = f"{total} in all with previews and evaluations"
    text = f"about {costs.step:.2g} s a step, {whole}; a checkpoint has {size}"
    yield Finding("estimate", text)


def remaining_seconds(steps: int, costs: Costs, cadences: Cadences) -> float:
    """The seconds of some steps, with the actions before and after the last."""
    beside = costs.by_cadence().items()
    extra = sum(cost * (1 + steps // getattr(cadences, name)) for name, cost in beside)
    return steps * costs.step + extra
