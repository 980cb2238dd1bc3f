"""What makes a run fit into its minutes, if no step does."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ddpm_cli.config.overrides import override_value
from ddpm_cli.pace.costs import Costs
from ddpm_cli.pace.run_length import steps_within
from ddpm_cli.recipes.choice import image_flops, stages_for
from ddpm_cli.training import Trainer

SENSIBLE = 20  # the fewest steps of a run that makes sense
SMALLER: Sequence[tuple[str, Any]] = (  # the values that are tried, the gentlest first
    ("sampler.steps", 10),
    ("trainer.batch_size", 8),
    ("model.network.dim", 32),
    ("model.network.dim", 16),
    ("data.size", 32),
    ("data.size", 16),
)
OPTIONS = (*dict(SMALLER), "model.network.dim_mults")


def remedy(costs: Costs, options: Mapping[str, Any], trainer: Trainer, seconds: float) -> str:
    """The option that makes a run fit into some seconds, or all of them, or the minutes it takes.

    options: the values of OPTIONS.
    """
    changes = dict[str, Any]()

    def fits(**changed: Any) -> bool:
        after = changed_costs(costs, options, {**options, **changed})
        return steps_within(seconds, after, trainer) >= SENSIBLE

    for name, value in smaller_values(options):
        if fits(**{name: value}):
            return f"{name}={override_value(value)} would fit"
        changes[name] = value
    if changes and fits(**changes):
        options_text = " ".join(f"{name}={override_value(each)}" for name, each in changes.items())
        return f"{options_text} would fit"
    return f"trainer.minutes={minutes_for(costs):g} would fit"


def smaller_values(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of SMALLER that are below those of the options."""
    for name, value in SMALLER:
        now = options.get(name)
        if isinstance(now, int) and now > value:
            yield name, value


def changed_costs(costs: Costs, before: Mapping[str, Any], after: Mapping[str, Any]) -> Costs:
    """The costs of a run with other options, by the FLOPs of the network."""
    network = cost_of_image(after) / cost_of_image(before)
    batch = after["trainer.batch_size"] / before["trainer.batch_size"]
    known = isinstance(before["sampler.steps"], int)
    drawing = network * (after["sampler.steps"] / before["sampler.steps"] if known else 1.0)
    return replace(
        costs,
        step=costs.step * network * batch,
        validation=costs.validation * network,
        grid=costs.grid * drawing,
        measurement=costs.measurement * drawing,
    )


def cost_of_image(options: Mapping[str, Any]) -> float:
    """The FLOPs of an image; of a network of one's own, those of its size alone."""
    size, dim = options["data.size"], options.get("model.network.dim") or 1
    mults = options.get("model.network.dim_mults") or stages_for(size)
    return image_flops(size, dim, mults)


def minutes_for(costs: Costs) -> int:
    """The minutes in which a run makes sense as it is."""
    parts = sum(costs.by_cadence().values())
    return math.ceil(1.25 * (parts + SENSIBLE * costs.step) / 60) + 1
