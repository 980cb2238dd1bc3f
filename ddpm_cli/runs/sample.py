"""A sampling run: from a checkpoint, which says what the model is, to images."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from omegaconf import DictConfig
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import bind, check, filled, shared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.images import grid, save_gif, save_png, to_bytes, whole
from ddpm_cli.parallel import described, device_named, load_network
from ddpm_cli.runs.parts import denoiser_of, process
from ddpm_cli.sampling import trajectory
from ddpm_cli.shapes import Bytes, Images

FILM_IMAGES, FILM_COLUMNS, FILM_FRAMES = 10, 10, 50
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-sample` takes beside its sampler.

    ckpt: the checkpoint. n: images. batch: images at a time, without effect on them. seed: image i is a function of it and i.
    weights: the average (ema) or the last (raw). device: auto, cpu, cuda, cuda:N or mps. grid, png, npz, film: what is written.
    trust: your own modules with targets.
    """

    _: KW_ONLY
    ckpt: str
    n: int
    batch: int
    seed: int
    weights: Literal["ema", "raw"]
    device: str
    grid: bool
    png: bool
    npz: bool
    film: bool
    trust: list[str]

    def __post_init__(self) -> None:
        for name in ("n", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if not (self.grid or self.png or self.npz or self.film):
            raise ValueError("grid, png, npz and film are all false: nothing would be written")


@dataclass(frozen=True)
class Drawing:
    """How images are drawn: `trajectories(indices)` yields a batch of them as it becomes clean, `steps` times."""

    trajectories: Callable[[Sequence[int]], Iterator[Images]]
    steps: int


def sample(cfg: DictConfig, folder: Path) -> None:
    """Draws the images that `cfg` asks for and writes them into `folder`."""
    check(cfg, Options, ("sampler",))
    options = filled(Options, cfg)
    content = checkpoints.load(Path(options.ckpt))
    denoiser = restored(content, weights=options.weights, device=options.device, trust=options.trust)
    drawing = drawn(cfg, options, denoiser, content)
    with torch.no_grad():
        images = torch.cat(list(batches(drawing, options, folder)))
        paths = list(written(folder, options, images, drawing))
    for path in paths:
        log.info("written    %s", path)


def restored(content: dict[str, Any], *, weights: str, device: str, trust: list[str]) -> Denoiser:
    """The denoiser of a checkpoint, ready to sample. Its configuration may name what the command line trusts, no more."""
    recipe = content["config"]
    recipe.trust = trust
    denoiser = denoiser_of(recipe, process(recipe), content["facts"]["shape"])
    load_network(denoiser.network, content["ema" if weights == "ema" else "network"])
    return replace(denoiser, network=denoiser.network.eval().to(device_named(device)))


def drawn(cfg: DictConfig, options: Options, denoiser: Denoiser, content: dict[str, Any]) -> Drawing:
    """Puts sampler and denoiser together, and says what they are."""
    sampler, spaced, shape = bind(cfg, "sampler"), shared(cfg, "sampler"), content["facts"]["shape"]
    steps = len(spaced.times(denoiser.diffusion)) - 1
    log.info("device     %s", described(next(denoiser.network.parameters()).device))
    log.info(
        "checkpoint %s: step %s, %s weights, images of %s", options.ckpt, f"{content['step']:,}", options.weights, "x".join(map(str, shape))
    )
    log.info("sampler    %s, %s steps, seed %s", cfg.sampler._target_.rpartition(".")[2], f"{steps:,}", options.seed)
    return Drawing(lambda indices: trajectory(denoiser, sampler, spaced, shape=shape, seed=options.seed, indices=indices), steps)


def batches(drawing: Drawing, options: Options, folder: Path) -> Iterator[Bytes]:
    """All images, batch by batch; single files are written as they come."""
    chunks = [range(first, min(first + options.batch, options.n)) for first in range(0, options.n, options.batch)]
    with tqdm(total=drawing.steps * len(chunks), unit=" steps", dynamic_ncols=True) as bar:
        for chunk in chunks:
            images = to_bytes(last(drawing.trajectories(chunk), bar)).cpu()
            if options.png:
                for index, image in zip(chunk, images, strict=True):
                    save_png(folder / "png" / f"{index:08d}.png", image)
            yield images


def last(trajectory: Iterator[Images], bar: tqdm) -> Images:
    """The clean images of a trajectory; the bar counts its steps."""
    images = next(trajectory)
    for images in trajectory:
        bar.update()
    return images


def written(folder: Path, options: Options, images: Bytes, drawing: Drawing) -> Iterator[Path]:
    """Writes what is asked for beside single files, and yields the paths."""
    if options.png:
        yield folder / "png"
    if options.npz:
        array = rearrange(images, "b c h w -> b h w c").numpy()
        whole(folder / "images.npz", lambda partial: savez(partial, array))
        yield folder / "images.npz"
    if options.grid:
        save_png(folder / "grid.png", grid(images))
        yield folder / "grid.png"
    if options.film:
        yield from films(folder, drawing, min(FILM_IMAGES, options.n))


def savez(path: Path, array: np.ndarray) -> None:
    """Writes uint8 [N, H, W, C] as `arr_0`, the name that evaluation suites read."""
    with path.open("wb") as file:
        np.savez(file, array)


def films(folder: Path, drawing: Drawing, count: int) -> Iterator[Path]:
    """`film.png`: the first images, a row each, at ten times from noise to clean; `film.gif`: the same as a film."""
    frames = [to_bytes(images).cpu() for images in drawing.trajectories(range(count))]
    columns = [frames[place] for place in places(len(frames), FILM_COLUMNS)]
    save_png(folder / "film.png", grid(torch.stack(columns, dim=1).flatten(0, 1), columns=len(columns)))
    yield folder / "film.png"
    save_gif(folder / "film.gif", [grid(frames[place], columns=5) for place in places(len(frames), FILM_FRAMES)], milliseconds=60)
    yield folder / "film.gif"


def places(length: int, count: int) -> list[int]:
    """At most `count` places, even from the first to the last of `length`."""
    return sorted({round(place) for place in np.linspace(0, length - 1, count)})
