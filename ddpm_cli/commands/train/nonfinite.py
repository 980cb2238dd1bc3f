"""Steps whose numbers were not finite: noted with their evidence, counted, and in a row a reason to go back."""

import logging
import math
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from ddpm_cli import checkpoints
from ddpm_cli.commands.train.run import Run
from ddpm_cli.parallel import AsyncScalar, ProcessGroup, unwrap
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.training import Progress, TrainState, snapshot

log = logging.getLogger(__name__)


@dataclass
class NonFiniteGuard:
    """Reads the flag of every step one step late, so that the loop never waits for the device."""

    state: TrainState
    logger: RunLogger
    group: ProcessGroup
    in_a_row: int = 0
    before: tuple[Progress, AsyncScalar] | None = None

    def follow(self, progress: Progress) -> None:
        """Looks at the step before, and keeps this one for the next."""
        self.look()
        self.before = progress, AsyncScalar(torch.stack([progress.skipped, progress.overflow]))

    def look(self) -> None:
        """Reads the flag of the step that is kept, and notes what was wrong with it."""
        kept, self.before = self.before, None
        if kept is None:
            return
        before, flags = kept
        skipped, overflow = flags.read()
        if overflow:
            return
        if not skipped:
            self.in_a_row = 0
            return
        self.in_a_row += 1
        self.state.skipped += 1
        self.logger.row(
            "incidents.jsonl", evidence(before, self.state.denoiser.network, self.group)
        )
        if self.in_a_row == 1:
            log.warning(
                "warning: step %s was skipped: its numbers are not finite; see incidents.jsonl",
                f"{before.step:,}",
            )


def evidence(progress: Progress, network: nn.Module, group: ProcessGroup) -> dict[str, object]:
    """What is known of a step: losses and norms, images and times, and the weights that are not finite; nan and inf as words."""
    here = [
        (
            progress.indices.tolist(),
            torch.as_tensor(progress.times).tolist(),
            progress.losses.tolist(),
        )
    ]
    indices, times, losses = (
        list(chain(*parts)) for parts in zip(*chain(*group.all_gather(here)), strict=True)
    )
    norms = {
        name: parameter.detach().norm() for name, parameter in unwrap(network).named_parameters()
    }
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
    """A number, or the word for it where JSON has none."""
    return value if math.isfinite(value) else str(value)


def roll_back(run: Run) -> None:
    """Puts the last good checkpoint back and halves the learning rate, once; ValueError where that is no remedy."""
    row, state = (
        f"{run.trainer.bad_steps} steps in a row without finite numbers, the last step {run.state.step:,}",
        run.state,
    )
    run.writer.end()
    paths = run.group.broadcast(
        checkpoints.newest_first(run.folder)
    )  # as the first process sees them once it has written the last
    evidence = f"the evidence is in {run.folder / 'incidents.jsonl'}"
    if state.lr_scale < 1:
        raise ValueError(
            f"{row}, though the learning rate was halved; the last good checkpoint stays; {evidence}"
        )
    if not paths:
        raise ValueError(
            f"{row}, and no checkpoint to go back to; try a smaller trainer.optimizer.lr; {evidence}"
        )
    checkpoint = checkpoints.agree_on_checkpoint(
        run.group, lambda: checkpoints.newest_readable(paths)
    )
    snapshot.restore_snapshot(state, checkpoint)
    state.lr_scale = 0.5
    run.logger.cut(state.step)
    log.warning(
        "warning: %s; back to %s with half the learning rate; %s",
        row,
        checkpoint.path.name,
        evidence,
    )
