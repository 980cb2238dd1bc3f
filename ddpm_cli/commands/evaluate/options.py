"""The options of ddpm-eval."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ddpm_cli.config.auto import AUTO
from ddpm_cli.config.schema import at_least, at_most, refuse_idle
from ddpm_cli.evaluation.metric_registry import full_names
from ddpm_cli.generation.options import ALL, STEERING, GenerationOptions
from ddpm_cli.seeds import MAX_IMAGES, check_seed

DRAWING_PARTS = ("sampler=", "sampler.", "guider=", "guider.")
WITH_GENERATED = "with generated, whose images are there"
ONLY_NLL = "with metrics=[nll], which draws no images"


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-eval`, apart from its data, its sampler and the options of the images.

    metrics: nll, and names such as fd_pixels. samples: images to draw. png: write the images as
    files too. generated: a folder or file of images to judge instead. reference: the part of the
    data to compare with. nll: the variational bound, or the probability flow in nll_steps steps.
    nll_cdf: the CDF of the decoder. images: the part of the data for nll. n: images of the part;
    null: all. batch: images at a time. seed: the seed of the noise. weights: the EMA's (ema) or the
    network's last (raw). processes: processes that share the work; auto: one for each GPU.
    """

    _: KW_ONLY
    ckpt: str
    metrics: list[str]
    samples: int = 1024
    generated: str | None = None
    png: bool = False
    reference: Literal["training", "held_out", "all"] = "training"
    nll: Literal["bound", "ode"] = "bound"
    nll_cdf: Literal["exact", "tanh"] = "exact"
    nll_steps: int = 100
    images: Literal["held_out", "training", "all"] = "held_out"
    n: int | None = None
    batch: int
    seed: int = 0
    weights: Literal["ema", "raw"] = "ema"
    device: str
    processes: int | Literal["auto"]
    trust: list[str]

    def __post_init__(self) -> None:
        check_seed(self.seed)
        at_least(self, samples=8, nll_steps=1, batch=1, processes=1)
        at_most(self, samples=MAX_IMAGES, n=MAX_IMAGES)
        if not self.metrics:
            raise ValueError("metrics must name at least one: nothing would be measured")
        full_names(self.metrics)  # refuses what is no metric
        if "nll" not in self.metrics:
            refuse_idle(self, "nll nll_cdf nll_steps images n", "without metrics=[nll]")
        elif self.nll != "ode":
            refuse_idle(self, "nll_steps", "without nll=ode")
        if self.only_nll:
            refuse_idle(self, "samples generated png reference", ONLY_NLL)
        if self.generated is not None:
            own = "samples png" if "nll" in self.metrics else "samples png seed weights"
            refuse_idle(self, own, WITH_GENERATED)

    @property
    def only_nll(self) -> bool:
        """Whether no images are judged."""
        return set(self.metrics) == {"nll"}

    @property
    def parts(self) -> list[str]:
        """The parts of the data that the metrics use."""
        parts = {"nll": [self.images], "copies": [self.reference, "training"]}
        families = [name.partition("_")[0] for name in self.metrics]
        return [part for family in families for part in parts.get(family, [self.reference])]


def refuse_idle_drawing(
    options: Options, generation: GenerationOptions, overrides: Sequence[str]
) -> None:
    """Refuse options of the images to draw if none are drawn; a label also names the reference."""
    if options.generated is None and not options.only_nll:
        return
    where = ONLY_NLL if options.only_nll else WITH_GENERATED
    names = ["precision", *STEERING]
    if generation.label == AUTO or not (options.only_nll or generation.label == ALL):
        names.remove("label")
    refuse_idle(generation, " ".join(names), where)
    for override in overrides:
        if override.lstrip("+").startswith(DRAWING_PARTS):
            raise ValueError(f"{override} has no effect {where}")
