"""The options of the images to draw."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

from omegaconf import DictConfig

from ddpm_cli.config.auto import AUTO
from ddpm_cli.config.build import Options, options_of
from ddpm_cli.config.schema import at_least, at_most, refuse_idle
from ddpm_cli.hardware import Precision
from ddpm_cli.seeds import check_seed

LARGEST_SCALE = 1_000_000  # of guidance: more than any image survives, and within float32
ALL = "all"  # the label of the classes in turn
STEERING = ("label", "guidance", "guidance_interval", "guide", "threshold", "quantile")


@dataclass(frozen=True)
class GenerationOptions:
    """The options that, beside the sampler, decide which images a checkpoint draws.

    seed: image i is a function of the seed and i. weights: the EMA's (ema) or the last step's
    (raw). precision: the network's precision. label: a class by name or number, or `all`: image i
    has class i modulo the number of classes; `auto` is all for a model with classes, else None.
    guidance: 1 is no guidance, 0 ignores the label.
    guidance_interval: the noise levels sigma / alpha at which guidance acts. guide: a weaker
    checkpoint, whose estimate replaces the estimate without label. threshold: how x_0 is limited.
    quantile: of a dynamic threshold. start, strength: a start image, and the share of the steps.
    inpaint, mask, resample: an image to keep where the mask is black, and the repeats of each step.
    interpolate: two seeds or images, between which the images lie.
    """

    _: KW_ONLY
    seed: int = 0
    weights: Literal["ema", "raw"] = "ema"
    precision: Precision = "fp32"
    label: str | int | None = None
    guidance: float = 1.0
    guidance_interval: list[float] | None = None
    guide: str | None = None
    threshold: Literal["static", "dynamic", "none"] = "static"
    quantile: float = 0.995
    start: str | None = None
    strength: float = 0.6
    inpaint: str | None = None
    mask: str | None = None
    resample: int = 10
    interpolate: list[int | str] | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        at_least(self, resample=1, guidance=0)
        at_most(self, guidance=LARGEST_SCALE)
        for name in ("strength", "quantile"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, but is {getattr(self, name)}")
        if (self.inpaint is None) != (self.mask is None):
            raise ValueError(
                "inpaint=IMAGE and mask=MASK go together: white is painted, black is kept"
            )
        inputs = ("start", "inpaint", "interpolate")
        given = [name for name in inputs if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                "only one of start, inpaint and interpolate can be given, "
                f"but there are {' and '.join(given)}"
            )
        if self.guidance != 1 and self.label is None and self.guide is None:
            raise ValueError(f"guidance={self.guidance:g} needs label=CLASS or guide=CKPT")
        if self.guidance == 1 and (self.guide is not None or self.guidance_interval is not None):
            raise ValueError(
                "guide and guidance_interval have no effect at guidance=1; try guidance=2"
            )
        interval, ends = self.guidance_interval, self.interpolate
        if interval is not None and not (len(interval) == 2 and 0 <= interval[0] < interval[1]):
            raise ValueError(
                f"guidance_interval must be [low, high] with 0 <= low < high, but is {interval}"
            )
        if ends is not None and len(ends) != 2:
            raise ValueError(f"interpolate must be two seeds or images, but is {ends}")
        for end in ends or ():
            if isinstance(end, int):
                check_seed(end, "a seed of interpolate")
        if ends and self.label in (ALL, AUTO):
            raise ValueError(f"interpolate takes one label, but it is {self.label}")
        self.refuse_idle_options()

    @property
    def summary(self) -> str:
        """Label, guidance and guide in words."""
        away = f" away from {self.guide}" if self.guide else ""
        ends = self.guidance_interval
        levels = "" if ends is None else f" at noise levels {ends[0]:g} to {ends[1]:g}"
        label = "none" if self.label is None else self.label
        return f"{label}, guidance {self.guidance:g}{away}{levels}"

    def of_model(self, conditional: bool) -> "GenerationOptions":
        """The options with label=auto resolved for a model with classes, or without.

        Raises ValueError if guidance needs a label, and the model takes none.
        """
        if self.label != AUTO:
            return self
        return replace(self, label=ALL if conditional else None)

    def refuse_idle_options(self) -> None:
        """Refuse options that change no image beside the others."""
        if self.start is None:
            refuse_idle(self, "strength", "without start=IMAGE")
        if self.inpaint is None:
            refuse_idle(self, "resample", "without inpaint=IMAGE")
        if self.threshold != "dynamic":
            refuse_idle(self, "quantile", "without threshold=dynamic")
        if self.interpolate is not None:
            refuse_idle(self, "seed", "with interpolate")


def drawing_groups(cfg: DictConfig) -> list[str]:
    """The groups of a command that draws: its sampler, if it takes one, and its guider, if any."""
    return [group for group in ("sampler", "guider") if cfg.get(group) is not None]


def shared_options(*names: str) -> Options:
    """The options of these names, which other commands than ddpm-sample take too."""
    return {name: each for name, each in options_of(GenerationOptions).items() if name in names}


def options_text(options: Mapping[str, Any]) -> str:
    """Options in words, 1 as 1.0."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in options.items()
    )
