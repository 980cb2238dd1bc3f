"""The options of ddpm-sample."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ddpm_cli.config.schema import at_most, refuse_idle
from ddpm_cli.seeds import MAX_IMAGES


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-sample`, apart from its sampler and the options of the images.

    ckpt: the checkpoint. n: images to draw, from image 0 on. indices: the images to draw instead.
    batch: images at a time, or auto. device: auto, cpu, cuda, cuda:N or mps. processes: processes
    that share the images; auto: one for each GPU. compile: compile the network. grid, png, npz,
    film: the outputs to write. tuned: whether to take tuned.json beside the checkpoint. trust: the
    user's own modules that targets may name.
    """

    _: KW_ONLY
    ckpt: str
    n: int = 64
    indices: list[int] | None = None
    batch: int | Literal["auto"]
    device: str
    processes: int | Literal["auto"]
    compile: bool
    grid: bool
    png: bool
    npz: bool
    film: bool
    tuned: bool
    trust: list[str]

    def __post_init__(self) -> None:
        for name in ("n", "batch", "processes"):
            if getattr(self, name) != "auto" and getattr(self, name) < 1:
                either = ", or auto" * (name != "n")
                raise ValueError(f"{name} must be at least 1{either}, but is {getattr(self, name)}")
        at_most(self, n=MAX_IMAGES)
        if not (self.grid or self.png or self.npz or self.film):
            raise ValueError("grid, png, npz and film are all false: nothing would be written")
        if self.indices is not None:
            refuse_idle(self, "n", "with indices")
            if not self.indices or min(self.indices) < 0 or max(self.indices) >= MAX_IMAGES:
                rule = f"indices must be at least 0 and less than {MAX_IMAGES:,}"
                raise ValueError(f"{rule}, but are {self.indices}")

    @property
    def wanted_indices(self) -> Sequence[int]:
        """The indices of the images to draw."""
        return range(self.n) if self.indices is None else sorted(set(self.indices))
