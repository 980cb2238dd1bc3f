"""The return to the last good checkpoint, after too many steps without finite numbers."""

import logging

from ddpm_cli.checkpoints import agree_on_checkpoint, newest_first, newest_readable
from ddpm_cli.commands.train.run import Run
from ddpm_cli.run_folder.logger import INCIDENTS
from ddpm_cli.training import snapshot

log = logging.getLogger(__name__)


def roll_back(run: Run) -> None:
    """Restore the last good checkpoint and halve the learning rate, once.

    Raises ValueError if the run has rolled back before, or if there is no checkpoint.
    """
    state, bad = run.state, f"{run.trainer.bad_steps} steps in a row without finite numbers"
    bad = f"{bad}, the last step {state.step:,}"
    run.writer.end()
    paths = run.group.broadcast(newest_first(run.folder))  # after the first process has written
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
    run.snapshots.rewind(state.step)
    name = f"back to {checkpoint.path.name} with half the learning rate"
    log.warning("warning: %s; %s; %s", bad, name, where)
