"""The choice of a recipe: pure functions from facts to values of options."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ddpm_cli.config.auto import AUTO, FIXED
from ddpm_cli.recipes.facts import Facts
from ddpm_cli.recipes.values import (
    BATCH_BYTES,
    COMPILED,
    FEWEST_UPDATES,
    FLOPS_PER_WEIGHT,
    HALF_LIFE,
    HIGHEST_EMA,
    HIGHEST_LR,
    HOURS,
    LEAST_BATCH,
    LONGEST_WARMUP,
    LOWEST_EMA,
    LOWEST_LR,
    LR_TIMES_DIM,
    MACHINES,
    OBJECTIVE,
    SMALL_SET,
    SMALLEST,
    STAGES,
    TIMED,
    WARMUP,
    Rung,
)

Options = Mapping[str, Any]


def choose(facts: Facts, options: Options) -> dict[str, Any]:
    """The values of the options that hold `auto`; the others are taken as they are.

    options: the value of each option of FIXED that the configuration has.
    """
    values = {key: value for key, value in options.items() if value != AUTO}
    given = dict(values)
    size, dim, mults = shape_of_run(facts, values)
    values = {
        "data.size": size,
        "model.network.dim": dim,
        "model.network.dim_mults": mults,
    } | values
    values = {"data.flip": facts.channels >= 3 and not facts.classes} | OBJECTIVE | values
    values = {"trainer.batch_size": batch_size(facts, values)} | values
    values = {"trainer.optimizer.lr": learning_rate(values["model.network.dim"])} | values
    values = {"trainer.steps": planned_steps(facts, values["trainer.batch_size"])} | values
    values = {"trainer.precision": "bf16" if facts.bf16 else "fp32"} | values
    values = {"trainer.compile": is_compiled(facts, values)} | values
    values |= {
        key: each for key, each in by_length(values["trainer.steps"]).items() if key not in given
    }
    return {key: values[key] for key in FIXED if key in options and key not in given}


def shape_of_run(facts: Facts, given: Options) -> tuple[Any, int, list[int]]:
    """The size of the images, and dim and dim_mults of the network.

    The first rung is taken whose network sees images enough in the time.
    """
    rungs = rungs_for(facts, given)
    for rung in rungs:
        size, dim = given.get("data.size", rung.size), given.get("model.network.dim", rung.dim)
        mults = given.get("model.network.dim_mults", stages_for(size))
        if affordable_images(facts, size, dim, mults) >= rung.images:
            break
    return size, dim, mults


def rungs_for(facts: Facts, given: Options) -> Sequence[Rung]:
    """The rungs up to the power of two that holds the data's images; small for a small set."""
    machine = MACHINES[facts.device]
    largest = max(SMALLEST, 2 ** math.ceil(math.log2(max(1, facts.side))))
    if facts.images is not None and facts.images < SMALL_SET:
        largest = min(largest, machine.small)
    fitting = [rung for rung in machine.rungs if rung.size <= largest or "data.size" in given]
    return fitting or [Rung(largest, machine.rungs[-1].dim, 0)]


def stages_for(size: int | list[int]) -> list[int]:
    """The widths of the stages, as many as the sides of the images can be halved."""
    sides = math.gcd(*(size if isinstance(size, list) else [size]))
    return next(mults for divisor, mults in STAGES.items() if sides % divisor == 0)


def image_flops(size: int | list[int], dim: int, mults: Sequence[int]) -> float:
    """The FLOPs of one image forward and backward through the UNet, about."""
    pixels = math.prod(size) if isinstance(size, list) else size**2
    widths = sum(mult**2 / 4**stage for stage, mult in enumerate(mults))
    return FLOPS_PER_WEIGHT * pixels * dim**2 * widths


def seconds_for_steps(facts: Facts) -> float:
    """The seconds that a run has for its steps."""
    return TIMED * (3600 * HOURS if facts.minutes is None else 60 * facts.minutes)


def affordable_images(facts: Facts, size: int | list[int], dim: int, mults: Sequence[int]) -> float:
    """The images that a network sees in the time, by the usual speed of such a machine."""
    return seconds_for_steps(facts) * usual_flops(facts) / image_flops(size, dim, mults)


def usual_flops(facts: Facts) -> float:
    """The FLOP/s of such a machine; fewer count for a network that costs more than the UNet."""
    return MACHINES[facts.device].flops * facts.cores / facts.cost


def batch_size(facts: Facts, values: Options) -> int:
    """The images in a step: fewer for a short run, a small set or a small GPU."""
    size, dim = values["data.size"], values["model.network.dim"]
    mults, batch = values["model.network.dim_mults"], MACHINES[facts.device].batch
    pixels = math.prod(size) if isinstance(size, list) else size**2
    while batch * BATCH_BYTES * pixels * dim / facts.processes > facts.memory / 2 and batch > 1:
        batch //= 2
    updates = affordable_images(facts, size, dim, mults) / batch
    if updates < FEWEST_UPDATES and batch > LEAST_BATCH:
        batch //= 2
    while facts.images is not None and batch > 0.75 * facts.images and batch > 1:
        batch //= 2  # the share that is held out is not exact
    return max(batch, facts.processes)


def learning_rate(dim: int) -> float:
    """The learning rate of a width: lower for a wider network."""
    return float(f"{min(HIGHEST_LR, max(LOWEST_LR, LR_TIMES_DIM / dim)):.1e}")


def images_to_see(facts: Facts) -> int:
    """The images that a run should see in all: fewer passes over a large set than a small one."""
    machine = MACHINES[facts.device]
    if facts.images is None:
        return 10 * machine.seen
    passes = machine.passes * math.sqrt(min(1.0, SMALL_SET / facts.images))
    return max(machine.seen, round(passes * facts.images))


def planned_steps(facts: Facts, batch: int) -> int:
    """The steps of a run that has the time for them."""
    return math.ceil(images_to_see(facts) / batch)


def by_length(steps: int) -> dict[str, Any]:
    """The options that follow from the length of a run: warm-up, and the decay of the EMA."""
    decay = 0.5 ** (1 / max(1.0, HALF_LIFE * steps))
    return {
        "trainer.warmup": min(LONGEST_WARMUP, round(WARMUP * steps)),
        "trainer.ema": round(min(HIGHEST_EMA, max(LOWEST_EMA, decay)), 5),
    }


def is_compiled(facts: Facts, values: Options) -> bool:
    """Whether compiling pays: on a GPU, for a run that is long enough."""
    if facts.device != "cuda" or not facts.compiles:
        return False
    flops = image_flops(
        values["data.size"], values["model.network.dim"], values["model.network.dim_mults"]
    )
    needed = values["trainer.steps"] * values["trainer.batch_size"] * flops / usual_flops(facts)
    return min(needed, seconds_for_steps(facts)) > COMPILED
