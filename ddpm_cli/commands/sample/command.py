"""`ddpm-sample`: from a checkpoint, which says what the model is, to images."""

import logging
import shlex
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.sample.batch_size import quickest_batch_size
from ddpm_cli.commands.sample.options import Options
from ddpm_cli.commands.sample.outputs import grid_count, write_outputs
from ddpm_cli.config.build import bind_options, parse_options
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.values import path_override
from ddpm_cli.console import logging_to
from ddpm_cli.generation.build import build_generator
from ddpm_cli.generation.draw import draw_missing, provenance
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.parallel import ProcessGroup, device_text, find_device, join_group
from ddpm_cli.parallel.launch import process_count, run_in_processes
from ddpm_cli.shapes import Pixels

log = logging.getLogger(__name__)


def sample(cfg: DictConfig, invocation: Invocation) -> bool:
    """Draw images from a checkpoint into a folder; False where the user stopped the command."""
    options = parse_options(cfg, Options, groups=["sampler"], beside=[GenerationOptions])
    generation = bind_options(GenerationOptions, cfg)()
    count = min(options.n, process_count(options.processes, options.device))
    args = OmegaConf.to_container(cfg), options, generation, invocation.folder
    named = invocation.folder_is_named
    return run_in_processes(count, sample_in_process, *args, folder_is_named=named)


@torch.no_grad()
def sample_in_process(
    plain: dict[Any, Any], options: Options, generation: GenerationOptions, folder: Path
) -> bool:
    """Sample in this process, the only one or one of a group; the first one shows the images."""
    with (
        join_group(find_device(options.device)) as group,
        logging_to(folder / "sample.log", group.is_first),
    ):
        checkpoint = Checkpoint.load(Path(options.ckpt).expanduser())
        generator = build_generator(
            OmegaConf.create(plain),
            generation,
            checkpoint,
            n=options.n,
            device=options.device,
            trust=options.trust,
            compiled=options.compile,
        )
        shown = grid_count(generator, options)
        store = ImageStore(folder, options.png, options.npz)
        batch_size, rows = 0, dict[int, dict[str, str]]()
        if group.is_first:
            batch_size = choose_batch_size(generator, options, store)
            store.open(provenance(generator, options.ckpt, options.n, batch_size))
            rows = store.read_rows()
            log_sampling(generator, checkpoint.step, options, batch_size, len(rows), group)
        images = store.images({index: rows[index] for index in range(shown) if index in rows})
        batch_size, finished = group.broadcast((batch_size, set(rows)))
        images |= draw_images(generator, store, options, batch_size, finished, shown, group)
        if group.is_first:
            for path in write_outputs(generator, images, options, folder):
                log.info("written    %s", path)
    return True


def choose_batch_size(generator: Generator, options: Options, store: ImageStore) -> int:
    """Images at a time: as asked, or as before in this folder, or as many as are quickest here."""
    if options.batch != "auto":
        return options.batch
    before = store.provenance().get("batch")
    if isinstance(before, int) and before > 0:
        return before
    return quickest_batch_size(generator, options.n)


def log_sampling(
    generator: Generator,
    step: int,
    options: Options,
    batch_size: int,
    finished: int,
    group: ProcessGroup,
) -> None:
    """Log what will be drawn, with what, and at what cost."""
    drawing, size = generator.options, "x".join(map(str, generator.shape))
    log.info(
        "device     %s, %s, %s images at a time",
        device_text(generator.denoiser.device, group=group),
        drawing.precision,
        batch_size,
    )
    log.info(
        "checkpoint %s: step %s, %s weights, images of %s",
        options.ckpt,
        f"{step:,}",
        drawing.weights,
        size,
    )
    log.info(
        "sampler    %s, %s steps, %s network evaluations an image, seed %s",
        generator.sampler_node["_target_"].rpartition(".")[2],
        f"{generator.steps:,}",
        f"{generator.evaluations:,}",
        drawing.seed,
    )
    if drawing.label is not None or drawing.guide is not None:
        away = f" away from {drawing.guide}" if drawing.guide else ""
        log.info("label      %s, guidance %g%s", drawing.label, drawing.guidance, away)
    if finished:
        there = min(finished, options.n)
        log.info("resumed    %s of %s images are there", f"{there:,}", f"{options.n:,}")


def draw_images(
    generator: Generator,
    store: ImageStore,
    options: Options,
    batch_size: int,
    finished: set[int],
    shown: int,
    group: ProcessGroup,
) -> dict[int, Pixels]:
    """Draw the missing images; return those of the first `shown` to the first process."""
    n = options.n if shown or store.png or store.npz else 0
    try:
        mine = draw_missing(generator, store, n, batch_size, finished, shown, group)
        parts = group.gather(mine)
    except KeyboardInterrupt:
        if group.count == 1:
            again = shlex.quote(path_override("hydra.run.dir", store.folder))
            log.info("stopped    go on with the same command and %s", again)
        raise
    return {index: image for part in parts for index, image in part.items()}
