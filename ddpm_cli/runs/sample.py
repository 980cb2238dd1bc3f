"""A sampling run: from a checkpoint, which says what the model is, to images."""

import logging
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import bound, check, located, plain
from ddpm_cli.images import grid, labelled, save_png, to_bytes
from ddpm_cli.parallel import Ranks, described, device_named, joined
from ddpm_cli.parallel.launch import check_named, processes, spread
from ddpm_cli.runs.album import Album
from ddpm_cli.runs.drawing import Drawing, Steering, drawing
from ddpm_cli.runs.film import film
from ddpm_cli.runs.inputs import digest
from ddpm_cli.runs.lines import said
from ddpm_cli.runs.tuning import quickest
from ddpm_cli.shapes import Images, Pixels

SHOWN, COLUMNS = 256, 10  # images in a grid; in its rows, where they are classes
log = logging.getLogger(__name__)


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
                raise ValueError(f"{name} must be at least 1{', or auto' * (name != 'n')}, but is {getattr(self, name)}")
        if not (self.grid or self.png or self.npz or self.film):
            raise ValueError("grid, png, npz and film are all false: nothing would be written")


def sample(cfg: DictConfig, folder: Path, *, named: bool) -> bool:
    """Draws the images that `cfg` asks for, in as many processes as it says, into `folder`; False where the user stopped it."""
    check(cfg, ("sampler",), Options, Steering)
    options = bound(Options, cfg)()
    bound(Steering, cfg)()
    check_named(named)
    return spread(min(options.n, processes(options.processes, options.device)), sample_here, OmegaConf.to_container(cfg), folder)


@torch.no_grad()
def sample_here(plain_cfg: dict[Any, Any], folder: Path) -> bool:
    """Draws images until all are there; the first process tells, and shows them in a grid and a film."""
    cfg = OmegaConf.create(plain_cfg)
    options, steering = bound(Options, cfg)(), bound(Steering, cfg)()
    with joined(device_named(options.device)) as ranks, said(folder / "sample.log", ranks.first):
        content = checkpoints.load(Path(steering.ckpt).expanduser())
        made = drawing(cfg, steering, content, device=options.device, compiled=options.compile, trust=options.trust, n=options.n)
        album = Album(folder, options.png, options.npz)
        shown = shown_in_grid(made, options)
        batch = batch_of(made, options, album) if ranks.first else 0
        if ranks.first:
            album.begin(made_by(cfg, made, options, batch))
            describe(made, content, options, batch, len(album.done), ranks)
        done, batch = ranks.shared((album.done, batch))
        with going_on(folder, ranks):
            batches = missing(options.n, batch, done) if shown or album.kept else []
            drawn = ranks.collected(fill(made, album, batches, options.n, shown, ranks))
        if ranks.first:
            images = album.images([index for index in range(shown) if index in done])
            for path in written(made, dict(chain(images.items(), *(each.items() for each in drawn))), options, folder):
                log.info("written    %s", path)
    return True


def batch_of(made: Drawing, options: Options, album: Album) -> int:
    """Images at a time: as asked, or as before in this folder, or what is quickest here."""
    if options.batch != "auto":
        return options.batch
    before = album.made_by.get("batch")
    return before if isinstance(before, int) and before > 0 else quickest(made, options.n)


def shown_in_grid(made: Drawing, options: Options) -> int:
    """How many images the grid shows: the first ones, as many of every class; ValueError where the others would be lost."""
    rows = len(made.classes) if made.options.label == "all" else 1
    most = SHOWN if rows == 1 else rows * min(COLUMNS, math.ceil(options.n / rows))
    if options.n > most and options.grid and not (options.png or options.npz):
        raise ValueError(f"a grid shows the first {most} images, but n is {options.n}: add png=true or npz=true for the others")
    return min(options.n, most) if options.grid else 0


def missing(n: int, batch: int, done: set[int]) -> list[range]:
    """The batches with images that are not done: always the same ones, so that an image comes out the same to the last bit."""
    batches = [range(first, min(first + batch, n)) for first in range(0, n, batch)]
    return [each for each in batches if not done.issuperset(each)]


def describe(made: Drawing, content: Mapping[str, Any], options: Options, batch: int, done: int, ranks: Ranks) -> None:
    """Says what will be drawn, with what, and what that costs."""
    steering, size = made.options, "x".join(map(str, made.shape))
    log.info("device     %s, %s, %s images at a time", described(made.device, ranks=ranks), steering.precision, batch)
    log.info("checkpoint %s: step %s, %s weights, images of %s", steering.ckpt, f"{content['step']:,}", steering.weights, size)
    cost = f"{made.evaluations:,} network evaluations an image"
    log.info("sampler    %s, %s steps, %s, seed %s", name_of(made.cfg), f"{made.steps:,}", cost, steering.seed)
    if steering.label is not None or steering.guide is not None:
        away = f" away from {steering.guide}" if steering.guide else ""
        log.info("label      %s, guidance %g%s", steering.label, steering.guidance, away)
    if done:
        log.info("resumed    %s of %s images are there", f"{min(done, options.n):,}", f"{options.n:,}")


def name_of(cfg: DictConfig) -> str:
    """The sampler's name."""
    return str(cfg.sampler._target_).rpartition(".")[2]


def made_by(cfg: DictConfig, made: Drawing, options: Options, batch: int) -> dict[str, Any]:
    """What made the images, for whoever must make them again: the recipe, which may not differ in one folder, and its circumstances."""
    steering = asdict(made.options)
    files = {name: steering[name] for name in ("ckpt", "guide", "start", "inpaint", "mask") if steering[name] is not None}
    files |= {f"interpolate[{place}]": end for place, end in enumerate(steering["interpolate"] or ()) if isinstance(end, str)}
    apart = {} if made.options.interpolate is None else {"n": options.n}
    recipe = {
        **{name: value for name, value in steering.items() if name not in files},
        **{f"{name} (sha256)": digest(path) for name, path in files.items()},
        **apart,
        "sampler": plain(cfg.sampler),
        "device": made.device.type,
    }
    return {
        "recipe": recipe,
        "files": files,
        "n": options.n,
        "batch": batch,
        "times": made.times,
        "evaluations": made.evaluations,
        "shape": made.shape,
        "classes": made.classes,
        "environment": checkpoints.environment(),
    }


@contextmanager
def going_on(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Says how a run that is interrupted goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if ranks.count == 1:
            log.info("stopped    go on with the same command and %s", shlex.quote(located("hydra.run.dir", folder)))
        raise


def fill(made: Drawing, album: Album, batches: Sequence[range], n: int, shown: int, ranks: Ranks) -> dict[int, Pixels]:
    """Draws batch after batch, writes them, and returns this process's images of the grid."""
    kept: dict[int, Pixels] = {}
    done, form = n - sum(map(len, batches)), "{l_bar}{bar}| {n:.0f}/{total} images [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
    with tqdm(total=n, initial=done, unit=" images", dynamic_ncols=True, bar_format=form, disable=not ranks.first) as bar:
        for place in ranks.dealt(len(batches)):
            batch = batches[place]
            before = done + sum(map(len, batches[:place]))  # the others have taken those
            for step, images in enumerate(made.of(batch)):
                bar.update(before + len(batch) * step / made.steps - bar.n if made.steps else 0)
            check_finite(images, batch, made.options.precision)
            finished = to_bytes(images).cpu()
            album.keep(batch, made.names(batch), finished)
            kept |= {index: image for index, image in zip(batch, finished, strict=True) if index < shown}
        bar.update(n - bar.n)
    return kept


def check_finite(images: Images, batch: range, precision: str) -> None:
    """Refuses numbers that would be taken for black pixels."""
    if wrong := int((~images.isfinite()).flatten(1).any(dim=1).sum()):
        raise ValueError(f"images must be finite, but {wrong} of {batch.start} to {batch.stop - 1} are not (precision={precision})")


def written(made: Drawing, shown: Mapping[int, Pixels], options: Options, folder: Path) -> Iterator[Path]:
    """Shows the first images in a grid, a row a class where there are all, and in a film; yields the paths of what is written."""
    files = {"png": options.png, "npz": options.npz, "index.csv": options.png or options.npz}
    yield from (folder / name for name, asked in files.items() if asked)
    if options.grid:
        images = torch.stack([shown[index] for index in sorted(shown)])
        classes = made.classes if made.options.label == "all" else []
        rows = [(name, images[place :: len(classes)]) for place, name in enumerate(classes) if place < len(images)]
        save_png(folder / "grid.png", labelled(rows) if rows else grid(images))
        yield folder / "grid.png"
    if options.film:
        yield from film(made, options.n, folder)
