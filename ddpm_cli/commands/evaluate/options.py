"""The options of ddpm-eval."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ddpm_cli.config.values import at_least
from ddpm_cli.parallel import Precision


@dataclass(frozen=True)
class Options:
    """What `ddpm-eval` takes beside its data and its sampler.

    metrics: nll, and names such as fd_pixels. samples: images that are drawn; png: as files too; generated: a folder of images in place of
    them. label, guidance, guidance_interval, threshold, quantile, precision: as `ddpm-sample` takes them. reference: the part of the data
    that they are compared with. nll: the variational bound, or the probability flow in nll_steps steps; nll_cdf: of the decoder; images:
    the part of the data; n of them, or all (null). batch: images at a time. seed: of the noise. weights: the average (ema) or the last
    (raw). processes: that share the work, or auto: one for each GPU.
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
                "png and label are for images that are drawn, but those of generated=FOLDER are taken as they are"
            )

    @property
    def parts(self) -> list[str]:
        """The parts of the data that these metrics go by."""
        told = {"nll": [self.images], "copies": [self.reference, "training"]}
        return [
            part
            for name in self.metrics
            for part in told.get(name.partition("_")[0], [self.reference])
        ]
