"""The length of a run: given, or the steps that fit into a time, and what follows from it."""

from dataclasses import replace

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.train.resume import cadences_of
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.time_budget import choose_cadences, steps_that_fit
from ddpm_cli.config.auto import set_options
from ddpm_cli.pace.cadences import needs_costs, settled_cadences
from ddpm_cli.pace.length_scaling import scale_to_length
from ddpm_cli.recipes.choice import by_length


def set_length(run: Run, checkpoint: Checkpoint | None, began: float) -> None:
    """Set the steps of a run, and its cadences as far as no further measurement changes them.

    If minutes set the steps in place of a number, the cadences that the user says are shortened in
    proportion; there is no proportion to steps that are `auto`. A resumed run keeps its cadences,
    and its steps with the same minutes.
    """
    trainer, run.epoch_size = run.trainer, len(run.data.images)
    if run.rows is not None:
        share = 1 - run.cfg.data.get("holdout", 0.0)
        run.epoch_size = run.rows.count and round(run.rows.count * share)
    run.steps, costs = trainer.length(run.epoch_size), None
    recipe = run.recipe if run.recipe and run.recipe.measures_steps(trainer) else None
    if trainer.minutes is not None:
        before = checkpoint and OmegaConf.select(checkpoint.config, "trainer.minutes", default=None)
        if checkpoint and before == trainer.minutes:
            run.steps = checkpoint.steps
        else:
            steps, costs = steps_that_fit(run, began)
            run.steps = (checkpoint.step if checkpoint else 0) + steps
        if recipe is None:
            run.trainer = replace(trainer, **scale_to_length(vars(trainer), run.steps))
    elif recipe:
        steps, costs = steps_that_fit(run, began)
        run.steps = min(run.steps, steps)
    saved = cadences_of(checkpoint) if checkpoint else {}
    run.cadences = settled_cadences(run.trainer, run.steps, saved)
    if costs and not checkpoint:
        choose_cadences(run, costs)
    elif not checkpoint:
        run.cadences_are_final = not needs_costs(run.trainer, run.steps)
    if recipe:
        settle_steps(run)


def settle_steps(run: Run) -> None:
    """Write the measured steps into the recipe, with the options that follow from them."""
    names = run.cfg.auto
    follow = {key: each for key, each in by_length(run.steps).items() if key in names}
    set_options(run.cfg, {"trainer.steps": run.steps, **follow})
    own = {key.removeprefix("trainer."): each for key, each in follow.items()}
    run.trainer = replace(run.trainer, steps=run.steps, **own)
