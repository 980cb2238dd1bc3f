"""A sampling run: from a checkpoint, which says what the model is, to images."""

import logging
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli import checkpoints
from ddpm_cli.commands.sample.batch_size import quickest
from ddpm_cli.commands.sample.options import Options
from ddpm_cli.commands.sample.outputs import shown_in_grid, written
from ddpm_cli.config.build import bound
from ddpm_cli.config.schema import check
from ddpm_cli.config.values import located
from ddpm_cli.console import said
from ddpm_cli.generation.build import drawing
from ddpm_cli.generation.draw import fill, made_by, missing, name_of
from ddpm_cli.generation.generator import Drawing
from ddpm_cli.generation.options import Steering
from ddpm_cli.generation.store import Album
from ddpm_cli.parallel import Ranks, described, device_named, joined
from ddpm_cli.parallel.launch import check_named, processes, spread

log = logging.getLogger(__name__)


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
            album.begin(made_by(cfg, made, options.n, batch))
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


@contextmanager
def going_on(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Says how a run that is interrupted goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if ranks.count == 1:
            log.info("stopped    go on with the same command and %s", shlex.quote(located("hydra.run.dir", folder)))
        raise
