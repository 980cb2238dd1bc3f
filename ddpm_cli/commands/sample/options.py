"""The options of ddpm-sample."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """What `ddpm-sample` takes beside its sampler and what steers the images.

    n: images. batch: images at a time, or auto. device: auto, cpu, cuda, cuda:N or mps. processes: that share the images, or auto: one
    for each GPU. compile: the network. grid, png, npz, film: what is written. trust: your own modules with targets.
    """

    _: KW_ONLY
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
                raise ValueError(
                    f"{name} must be at least 1{', or auto' * (name != 'n')}, but is {getattr(self, name)}"
                )
        if not (self.grid or self.png or self.npz or self.film):
            raise ValueError("grid, png, npz and film are all false: nothing would be written")
