"""Steps whose numbers are not finite: skip them, record evidence, and finally roll back."""

import logging
import math
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from ddpm_cli.checkpoints import agree_on_checkpoint, newest_first, newest_readable
from ddpm_cli.commands.train.run import Run
from ddpm_cli.hardware import AsyncScalar
from ddpm_cli.parallel import ProcessGroup, unwrap
from ddpm_cli.run_folder.logger import INCIDENTS, RunLogger
from ddpm_cli.training import Progress, TrainState, snapshot

log = logging.getLogger(__name__)


@dataclass
class NonFiniteGuard:
    """Reads the flags of every step one step late, so that the loop never waits for the device."""

    state: TrainState
    logger: RunLogger
    group: ProcessGroup
    in_a_row: int = 0
    pending: tuple[Progress, AsyncScalar] | None = None

    def follow(self, progress: Progress) -> None:
        """Read the flags of the step before, and begin to copy the flags of this step."""
        self.look()
        self.pending = progress, AsyncScalar(progress.flags)

    def look(self) -> None:
        """Read the pending flags; record a skipped step as an incident."""
        if self.pending is None:
            return
        (step, flags), self.pending = self.pending, None
        skipped, overflow = flags.read()
        if overflow:
            return
        if not skipped:
            self.in_a_row = 0
            return
        self.in_a_row += 1
        self.state.skipped += 1
        self.logger.write_row(INCIDENTS, evidence(step, self.state.denoiser.network, self.group))
        if self.in_a_row == 1:
            why = "its numbers are not finite; see incidents.jsonl"
            log.warning("warning: step %s was skipped: %s", f"{step.step:,}", why)


def evidence(progress: Progress, network: nn.Module, group: ProcessGroup) -> dict[str, object]:
    """The evidence of a step: losses, norms, images, times, and weights that are not finite.

    Numbers that are not finite are written as words.
    """
    times, losses = progress.times.tolist(), progress.losses.tolist()
    parts = group.all_gather((progress.indices.tolist(), times, losses))
    indices, times, losses = (list(chain(*part)) for part in zip(*parts, strict=True))
    named = unwrap(network).named_parameters()
    norms = {name: parameter.detach().norm() for name, parameter in named}
    return {
        "step": progress.step,
        "loss": json_number(progress.loss.item()),
        "grad_norm": json_number(progress.grad_norm.item()),
        "weight_norm": json_number(torch.stack(list(norms.values())).norm().item()),
        "lr": progress.lr,
        "weights": [name for name, norm in norms.items() if not norm.isfinite()],
        "indices": indices,
        "times": times,
        "losses": [json_number(each) for each in losses],
    }


def json_number(value: float) -> float | str:
    """A number, or a word for a number that JSON does not have."""
    return value if math.isfinite(value) else str(value)


def roll_back(run: Run) -> None:
    """Restore the last good checkpoint and halve the learning rate, once.

    Raises ValueError if the run has rolled back before, or if there is no checkpoint.
    """
    state, bad = run.state, f"{run.trainer.bad_steps} steps in a row without finite numbers"
    bad = f"{bad}, the last step {state.step:,}"
    run.writer.end()
    paths = run.group.broadcast(newest_first(run.folder))  # once the first process has written
    where = f"the evidence is in {run.folder / INCIDENTS}"
    if state.lr_scale < 1:
        stays = "though the learning rate was halved; the last good checkpoint stays"
        raise ValueError(f"{bad}, {stays}; {where}")
    if not paths:
        remedy = "try a smaller trainer.optimizer.lr"
        raise ValueError(f"{bad}, and no checkpoint to go back to; {remedy}; {where}")
    checkpoint = agree_on_checkpoint(run.group, lambda: newest_readable(paths))
    snapshot.restore_snapshot(state, checkpoint)
    state.lr_scale = 0.5
    run.logger.rewind(state.step)
    name = f"back to {checkpoint.path.name} with half the learning rate"
    log.warning("warning: %s; %s; %s", bad, name, where)
