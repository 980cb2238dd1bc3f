"""The options of ddpm-sample."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-sample` beside its sampler and the options of the images.

    ckpt: the checkpoint. n: images. batch: images at a time, or auto. device: auto, cpu, cuda,
    cuda:N or mps. processes: that share the images, or auto: one for each GPU. compile: the
    network. grid, png, npz, film: what is written. trust: your own modules with targets.
    """

    _: KW_ONLY
    ckpt: str
    n: int
    batch: int | Literal["auto"]
    device: str
    processes: int | Literal["auto"]
    compile: bool
    grid: bool
    png: bool
    npz: bool
    film: bool
    trust: list[str]

    def __post_init__(self) -> None:
        for name in ("n", "batch", "processes"):
            if getattr(self, name) != "auto" and getattr(self, name) < 1:
                either = ", or auto" * (name != "n")
                raise ValueError(f"{name} must be at least 1{either}, but is {getattr(self, name)}")
        if not (self.grid or self.png or self.npz or self.film):
            raise ValueError("grid, png, npz and film are all false: nothing would be written")
