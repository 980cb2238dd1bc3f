"""A sampling run: from a checkpoint, which says what the model is, to images."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from einops import rearrange
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import bind, bound, check, shared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.images import grid, save_gif, save_png, save_text, to_bytes, whole
from ddpm_cli.parallel import Ranks, described, device_named, joined, load_network, on_device
from ddpm_cli.parallel.launch import check_named, processes, spread
from ddpm_cli.runs.lines import said
from ddpm_cli.runs.parts import denoiser_of, process
from ddpm_cli.sampling import rehearse, trajectory
from ddpm_cli.shapes import Bytes, Images

FILM_IMAGES, FILM_LENGTHS = 10, (10, 50)  # the picture has ten columns, the film fifty frames
Drawn: TypeAlias = Callable[[Sequence[int]], Iterator[Images]]
UNBUILDABLE = (ValueError, TypeError, RuntimeError, ArithmeticError, AttributeError, LookupError, MemoryError)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-sample` takes beside its sampler.

    ckpt: the checkpoint. n: images. batch: images at a time, without effect on them. seed: image i is a function of it and i.
    weights: the average (ema) or the last (raw). device: auto, cpu, cuda, cuda:N or mps. processes: that share the images, or auto:
    one for each GPU. grid, png, npz, film: what is written. trust: your own modules with targets.
    """

    _: KW_ONLY
    ckpt: str
    n: int
    batch: int
    seed: int
    weights: Literal["ema", "raw"]
    device: str
    processes: int | Literal["auto"]
    grid: bool
    png: bool
    npz: bool
    film: bool
    trust: list[str]

    def __post_init__(self) -> None:
        for name, low in {"n": 1, "batch": 1, "seed": 0}.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, but is {getattr(self, name)}")
        if self.processes != "auto" and self.processes < 1:
            raise ValueError(f"processes must be at least 1, or auto, but is {self.processes}")
        if not (self.grid or self.png or self.npz or self.film):
            raise ValueError("grid, png, npz and film are all false: nothing would be written")


def sample(cfg: DictConfig, folder: Path, *, named: bool) -> bool:
    """Draws the images that `cfg` asks for, in as many processes as it says, into `folder`; False where the user stopped it."""
    check(cfg, Options, ("sampler",))
    options = bound(Options, cfg)()
    check_named(named)
    return spread(min(options.n, processes(options.processes, options.device)), sample_here, OmegaConf.to_container(cfg), folder)


@torch.no_grad()
def sample_here(plain: dict[Any, Any], folder: Path) -> bool:
    """Draws this process's share of the images; the first one gathers and writes them."""
    cfg = OmegaConf.create(plain)
    options = bound(Options, cfg)()
    with joined(device_named(options.device)) as ranks, said(folder / "sample.log", ranks.first):
        draw(cfg, options, folder, ranks)
    return True


def draw(cfg: DictConfig, options: Options, folder: Path, ranks: Ranks) -> None:
    """Builds what the checkpoint says, and draws, gathers and writes."""
    content = checkpoints.load(Path(options.ckpt).expanduser())
    denoiser = restored(content, weights=options.weights, device=options.device, trust=options.trust)
    sampler, spaced, shape = bind(cfg, "sampler"), shared(cfg, "sampler"), content["facts"]["shape"]
    steps = len(spaced.times(denoiser.diffusion)) - 1
    rehearse(denoiser, sampler, shape)
    log.info("device     %s", described(next(denoiser.network.parameters()).device, ranks=ranks))
    size = "x".join(map(str, shape))
    log.info("checkpoint %s: step %s, %s weights, images of %s", options.ckpt, f"{content['step']:,}", options.weights, size)
    log.info("sampler    %s, %s steps, seed %s", cfg.sampler._target_.rpartition(".")[2], f"{steps:,}", options.seed)

    def drawn(indices: Sequence[int]) -> Iterator[Images]:
        return trajectory(denoiser, sampler, spaced, shape=shape, seed=options.seed, indices=indices)

    if ranks.first:
        save_text(folder / "sample.yaml", OmegaConf.to_yaml(cfg))
    mine = torch.cat([torch.empty(0, *shape, dtype=torch.uint8), *batches(drawn, steps, options, folder, ranks)])
    images = torch.cat(ranks.collected(mine if options.grid or options.npz else mine[:0]))
    for path in written(drawn, steps, images, options, folder) if ranks.first else ():
        log.info("written    %s", path)


def restored(content: dict[str, Any], *, weights: str, device: str, trust: list[str]) -> Denoiser:
    """The denoiser of a checkpoint, ready to sample. Its configuration may name what the command line trusts, no more.

    It is built without memory first: what does not fit the weights in the file is refused before any is taken.
    """
    recipe, shape = content["config"], content["facts"]["shape"]
    recipe.trust = trust
    state = content["ema" if weights == "ema" else "network"]
    try:
        diffusion = process(recipe)
        with torch.device("meta"):
            outline = denoiser_of(recipe, diffusion, shape).network
        load_network(outline, {name: tensor.to("meta") for name, tensor in state.items()})
        denoiser = denoiser_of(recipe, diffusion, shape)
    except UNBUILDABLE as error:
        raise error if isinstance(error, ValueError) else ValueError(f"the model of this checkpoint cannot be built: {error}") from error
    load_network(denoiser.network, state)
    return replace(denoiser, network=on_device(denoiser.network.eval(), device_named(device)))


def batches(drawn: Drawn, steps: int, options: Options, folder: Path, ranks: Ranks) -> Iterator[Bytes]:
    """This process's images, batch by batch; single files are written as they come."""
    mine = range(options.n)[ranks.part(options.n)]
    chunks = [mine[first : first + options.batch] for first in range(0, len(mine), options.batch)]
    with tqdm(total=steps * len(chunks), unit=" steps", dynamic_ncols=True, disable=not ranks.first) as bar:
        for chunk in chunks:
            for place, images in enumerate(drawn(chunk)):
                bar.update(place > 0)
            finished = to_bytes(images).cpu()
            for index, image in zip(chunk, finished, strict=True) if options.png else ():
                save_png(folder / "png" / f"{index:08d}.png", image)
            yield finished


def written(drawn: Drawn, steps: int, images: Bytes, options: Options, folder: Path) -> Iterator[Path]:
    """Writes what is asked for beside single files, and yields the paths.

    images.npz holds uint8 [N, H, W, C] as `arr_0`, the name that evaluation suites read. film.png: the first images, a row
    each, at ten times from noise to clean; film.gif: the same as a film.
    """
    if options.png:
        yield folder / "png"
    if options.npz:
        whole(folder / "images.npz", lambda partial: np.savez(partial, rearrange(images, "b c h w -> b h w c").numpy()))
        yield folder / "images.npz"
    if options.grid:
        save_png(folder / "grid.png", grid(images))
        yield folder / "grid.png"
    if options.film:
        frames = [to_bytes(images).cpu() for images in drawn(range(min(FILM_IMAGES, options.n)))]
        columns, film = ([frames[i] for i in sorted({*np.linspace(0, steps, count).round().astype(int)})] for count in FILM_LENGTHS)
        save_png(folder / "film.png", grid(torch.stack(columns, dim=1).flatten(0, 1), columns=len(columns)))
        save_gif(folder / "film.gif", [grid(frame, columns=5) for frame in film], milliseconds=60)
        yield folder / "film.png"
        yield folder / "film.gif"
