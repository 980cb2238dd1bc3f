"""A sampling run: from a checkpoint, which says what the model is, to images."""

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.sample.batch_size import quickest_batch_size
from ddpm_cli.commands.sample.options import Options
from ddpm_cli.commands.sample.outputs import grid_count, write_outputs
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.config.values import path_override
from ddpm_cli.console import logging_to
from ddpm_cli.generation.build import build_generator
from ddpm_cli.generation.draw import draw_batches, missing_batches, provenance, sampler_name
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.parallel import ProcessGroup, device_text, find_device, join_group
from ddpm_cli.parallel.launch import check_folder_is_named, process_count, run_in_processes

log = logging.getLogger(__name__)


def sample(cfg: DictConfig, folder: Path, *, named: bool) -> bool:
    """Draws the images that `cfg` asks for, in as many processes as it says, into `folder`; False where the user stopped it."""
    check_config(cfg, ("sampler",), Options, GenerationOptions)
    options = bind_options(Options, cfg)()
    bind_options(GenerationOptions, cfg)()
    check_folder_is_named(named)
    return run_in_processes(
        min(options.n, process_count(options.processes, options.device)),
        sample_in_process,
        OmegaConf.to_container(cfg),
        folder,
    )


@torch.no_grad()
def sample_in_process(plain_cfg: dict[Any, Any], folder: Path) -> bool:
    """Draws images until all are there; the first process tells, and shows them in a grid and a film."""
    cfg = OmegaConf.create(plain_cfg)
    options, steering = bind_options(Options, cfg)(), bind_options(GenerationOptions, cfg)()
    with (
        join_group(find_device(options.device)) as group,
        logging_to(folder / "sample.log", group.is_first),
    ):
        checkpoint = Checkpoint.load(Path(steering.ckpt).expanduser())
        made = build_generator(
            cfg,
            steering,
            checkpoint,
            device=options.device,
            compiled=options.compile,
            trust=options.trust,
            n=options.n,
        )
        album = ImageStore(folder, options.png, options.npz)
        shown = grid_count(made, options)
        batch = batch_size(made, options, album) if group.is_first else 0
        if group.is_first:
            album.begin(provenance(cfg, made, options.n, batch))
            log_sampling(made, checkpoint, options, batch, len(album.done), group)
        done, batch = group.broadcast((album.done, batch))
        with tell_how_to_resume(folder, group):
            batches = missing_batches(options.n, batch, done) if shown or album.kept else []
            drawn = group.gather(draw_batches(made, album, batches, options.n, shown, group))
        if group.is_first:
            images = album.images([index for index in range(shown) if index in done])
            for path in write_outputs(
                made,
                dict(chain(images.items(), *(each.items() for each in drawn))),
                options,
                folder,
            ):
                log.info("written    %s", path)
    return True


def batch_size(made: Generator, options: Options, album: ImageStore) -> int:
    """Images at a time: as asked, or as before in this folder, or what is quickest here."""
    if options.batch != "auto":
        return options.batch
    before = album.made_by.get("batch")
    return (
        before if isinstance(before, int) and before > 0 else quickest_batch_size(made, options.n)
    )


def log_sampling(
    made: Generator,
    checkpoint: Checkpoint,
    options: Options,
    batch: int,
    done: int,
    group: ProcessGroup,
) -> None:
    """Says what will be drawn, with what, and what that costs."""
    steering, size = made.options, "x".join(map(str, made.shape))
    log.info(
        "device     %s, %s, %s images at a time",
        device_text(made.device, group=group),
        steering.precision,
        batch,
    )
    log.info(
        "checkpoint %s: step %s, %s weights, images of %s",
        steering.ckpt,
        f"{checkpoint.step:,}",
        steering.weights,
        size,
    )
    cost = f"{made.evaluations:,} network evaluations an image"
    log.info(
        "sampler    %s, %s steps, %s, seed %s",
        sampler_name(made.cfg),
        f"{made.steps:,}",
        cost,
        steering.seed,
    )
    if steering.label is not None or steering.guide is not None:
        away = f" away from {steering.guide}" if steering.guide else ""
        log.info("label      %s, guidance %g%s", steering.label, steering.guidance, away)
    if done:
        log.info(
            "resumed    %s of %s images are there", f"{min(done, options.n):,}", f"{options.n:,}"
        )


@contextmanager
def tell_how_to_resume(folder: Path, group: ProcessGroup) -> Iterator[None]:
    """Says how a run that is interrupted goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if group.count == 1:
            log.info(
                "stopped    go on with the same command and %s",
                shlex.quote(path_override("hydra.run.dir", folder)),
            )
        raise
