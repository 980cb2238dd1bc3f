"""A first preview within the first minutes of a run, where the cadence brings none."""

from ddpm_cli.pace.costs import Costs

EARLY = 120.0  # seconds of steps until the first preview
SHARE = 0.1  # largest share of a run's time for the first and the last preview


def first_preview(costs: Costs, every: int, steps: int) -> int:
    """The step of a first preview; 0 if the cadence is early enough or the run too short."""
    if costs.step * every <= EARLY:
        return 0
    step = max(1, int(EARLY / costs.step))
    return step if step < steps and 2 * costs.grid <= SHARE * steps * costs.step else 0
