"""Steps whose numbers are not finite: skip them, and record evidence."""

import logging
import math
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from ddpm_cli.hardware import AsyncScalar
from ddpm_cli.parallel import ProcessGroup, unwrap
from ddpm_cli.run_folder.logger import INCIDENTS, RunLogger
from ddpm_cli.training.fit import Progress
from ddpm_cli.training.state import TrainState

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
