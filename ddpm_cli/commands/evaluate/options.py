"""The options of ddpm-eval."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ddpm_cli.config.schema import at_least
from ddpm_cli.hardware import Precision


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-eval`, apart from its data and its sampler.

    metrics: nll, and names such as fd_pixels. samples: images to draw. png: write the images as
    files too. generated: a folder of images to judge instead. label, guidance, guidance_interval,
    threshold, quantile, precision: as in `ddpm-sample`. reference: the part of the data to compare
    with. nll: the variational bound, or the probability flow in nll_steps steps. nll_cdf: the CDF
    of the decoder. images: the part of the data for nll. n: images of the part; null: all. batch:
    images at a time. seed: the seed of the noise. weights: the EMA's (ema) or the network's last
    (raw). processes: processes that share the work; auto: one for each GPU.
    """

    _: KW_ONLY
    ckpt: str
    metrics: list[str]
    samples: int
    generated: str | None
    png: bool
    label: str | int | None
    guidance: float
    guidance_interval: list[float] | None
    threshold: Literal["static", "dynamic", "none"]
    quantile: float
    precision: Precision
    reference: Literal["training", "held_out", "all"]
    nll: Literal["bound", "ode"]
    nll_cdf: Literal["exact", "tanh"]
    nll_steps: int
    images: Literal["held_out", "training", "all"]
    n: int | None
    batch: int
    seed: int
    weights: Literal["ema", "raw"]
    device: str
    processes: int | Literal["auto"]
    trust: list[str]

    def __post_init__(self) -> None:
        at_least(self, samples=8, nll_steps=1, batch=1, seed=0, processes=1)
        if not self.metrics:
            raise ValueError("metrics must name at least one: nothing would be measured")
        if self.generated is not None and (self.png or self.label is not None):
            raise ValueError(
                "png and label are for images that are drawn, "
                "but those of generated=FOLDER are taken as they are"
            )

    @property
    def parts(self) -> list[str]:
        """The parts of the data that the metrics use."""
        parts = {"nll": [self.images], "copies": [self.reference, "training"]}
        families = [name.partition("_")[0] for name in self.metrics]
        return [part for family in families for part in parts.get(family, [self.reference])]
