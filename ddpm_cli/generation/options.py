"""What may be asked of the images that are drawn."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ddpm_cli.config.values import at_least
from ddpm_cli.parallel import Precision


@dataclass(frozen=True)
class GenerationOptions:
    """The options of `ddpm-sample` that say which images are drawn.

    ckpt: the checkpoint. seed: image i is a function of it and i. weights: the average (ema) or the last (raw).
    precision: of the network. label: a class by name or number, or `all`: image i is of class i modulo their number.
    guidance: 1 none, 0 without label; guidance_interval: the noise levels sigma / alpha where it acts; guide: a weaker checkpoint
    whose estimate takes the place of that without label. threshold: of the estimate, at its `quantile` where dynamic.
    start, strength: an image to take up, and the share of the steps. inpaint, mask, resample: an image to keep where the mask is black,
    and how often each step is taken. interpolate: two seeds or images, between which the images lie.
    """

    _: KW_ONLY
    ckpt: str
    seed: int
    weights: Literal["ema", "raw"]
    precision: Precision
    label: str | int | None
    guidance: float
    guidance_interval: list[float] | None
    guide: str | None
    threshold: Literal["static", "dynamic", "none"]
    quantile: float
    start: str | None
    strength: float
    inpaint: str | None
    mask: str | None
    resample: int
    interpolate: list[int | str] | None

    def __post_init__(self) -> None:
        at_least(self, seed=0, resample=1, guidance=0)
        for name in ("strength", "quantile"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, but is {getattr(self, name)}")
        if (self.inpaint is None) != (self.mask is None):
            raise ValueError(
                "inpaint=IMAGE and mask=MASK go together: white is painted, black is kept"
            )
        given = [
            name for name in ("start", "inpaint", "interpolate") if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(
                f"only one of start, inpaint and interpolate can be given, but there are {' and '.join(given)}"
            )
        if self.guidance != 1 and self.label is None and self.guide is None:
            raise ValueError(f"guidance={self.guidance:g} needs label=CLASS or guide=CKPT")
        if self.guidance == 1 and (self.guide is not None or self.guidance_interval is not None):
            raise ValueError(
                "guide and guidance_interval have no effect at guidance=1; try guidance=2"
            )
        if (ends := self.guidance_interval) is not None and not (
            len(ends) == 2 and 0 <= ends[0] < ends[1]
        ):
            raise ValueError(
                f"guidance_interval must be [low, high] with 0 <= low < high, but is {ends}"
            )
        if (both := self.interpolate) is not None and (
            len(both) != 2 or any(isinstance(end, int) and end < 0 for end in both)
        ):
            raise ValueError(f"interpolate must be two seeds, at least 0, or images, but is {both}")
        if self.interpolate is not None and self.label == "all":
            raise ValueError("interpolate takes one label, but it is all")
