"""How the options of a run were chosen, and the choice in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddpm_cli.recipes.choice import image_flops
from ddpm_cli.recipes.facts import Facts
from ddpm_cli.recipes.values import HOURS, SMALL_SET
from ddpm_cli.training import Trainer

STEPS = "trainer.steps"


@dataclass(frozen=True)
class Recipe:
    """The choice of a run. names: options that held `auto`. is_shared: another job has chosen."""

    facts: Facts
    names: Sequence[str]
    is_shared: bool = False

    def measures_steps(self, trainer: Trainer) -> bool:
        """Whether the steps follow from the speed of this run."""
        fresh = not self.is_shared or trainer.minutes is not None
        return STEPS in self.names and trainer.epochs is None and fresh

    def lines(self, options: Mapping[str, Any], steps: int, images: int | None = None) -> list[str]:
        """The choice in three lines: images, network, training.

        options: all values by name. images: those that are trained on, if they are counted.
        """
        names = {*self.names}
        parts = images_text(self.facts, options, names), network_text(self.facts, options, names)
        images = images or self.facts.images
        return [line for line in (*parts, training_text(options, names, steps, images)) if line]


def images_text(facts: Facts, options: Mapping[str, Any], names: set[str]) -> str:
    """What was chosen of the images, and why."""
    size, flip = options["data.size"], options["data.flip"]
    parts, reasons = list[str](), list[str]()
    if "data.size" in names:
        count = "an unknown number of" if facts.images is None else f"about {facts.images:,}"
        parts.append(f"images of {size} x {size}")
        why = f"{count} images with sides of about {facts.side}, {machine_text(facts)}"
        reasons.append(why)
    if "data.flip" in names:
        kind = "grey" if facts.channels < 3 else "of classes" if facts.classes else "in colour"
        parts.append("mirrored at random" if flip else "not mirrored")
        reasons.append(f"they are {kind}")
    return f"{', '.join(parts)}: {'; '.join(reasons)}" if parts else ""


def network_text(facts: Facts, options: Mapping[str, Any], names: set[str]) -> str:
    """What was chosen of the network, and why."""
    size, dim = options["data.size"], options.get("model.network.dim")
    mults, parts = options.get("model.network.dim_mults"), list[str]()
    if names & {"model.network.dim", "model.network.dim_mults"}:
        widths = [str(each) for each in (dim, mults) if each]  # a network may lack one of them
        parts.append(f"a network of width {' times '.join(widths)}")
    if names & {"model.predicts", "loss"}:
        loss = options["loss"]["_target_"].rpartition(".")[2]
        parts.append(f"predicts {options['model.predicts']} with loss {loss}")
    if names & {"trainer.precision", "trainer.compile"}:
        compiled = "compiled" if options["trainer.compile"] else "not compiled"
        parts.append(f"{options['trainer.precision']}, {compiled}")
    if not parts:
        return ""
    cost = "by the device"
    if dim and mults:
        cost = f"{facts.cost * image_flops(size, dim, mults) / 1e9:.2g} GFLOP an image"
    has_time = STEPS in names or facts.minutes is not None  # else the length is typed
    within = f", in {time_text(facts)}" * has_time
    return f"{', '.join(parts)}: {cost}{within} on {facts.device}"


def training_text(
    options: Mapping[str, Any], names: set[str], steps: int, images: int | None
) -> str:
    """What was chosen of the training, and why."""
    batch, parts = options["trainer.batch_size"], list[str]()
    if STEPS in names:
        parts.append(f"{steps:,} steps")
    if "trainer.batch_size" in names:
        parts.append(f"batches of {batch}")
    if "trainer.optimizer.lr" in names:
        parts.append(f"learning rate {options['trainer.optimizer.lr']:g}")
    if "trainer.ema" in names:
        parts.append(f"EMA {options['trainer.ema']:g}")
    if not parts:
        return ""
    seen = steps * batch
    if images is None:
        return f"{', '.join(parts)}: {seen:,} images in all"
    small = " of a small set" if images < SMALL_SET else ""
    return f"{', '.join(parts)}: {seen / images:,.0f} passes over the images{small}"


def machine_text(facts: Facts) -> str:
    """The machine in words."""
    if facts.device == "cpu":
        return f"a CPU of {facts.cores} thread{'s' * (facts.cores > 1)}"
    return f"{max(1, facts.processes)} x {facts.device} with {facts.memory / 2**30:.0f} GiB"


def time_text(facts: Facts) -> str:
    """The time in words."""
    if facts.minutes is None:
        return f"at most {HOURS:g} hours"
    return f"{facts.minutes:g} minutes"
