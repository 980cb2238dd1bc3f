"""`ddpm-sample`: draw images from a checkpoint, which describes its own model."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, checkpoint_path
from ddpm_cli.commands.sample.batch_size import choose_batch_size
from ddpm_cli.commands.sample.film import write_film
from ddpm_cli.commands.sample.grid import grid_picture
from ddpm_cli.commands.sample.options import Options
from ddpm_cli.config.build import bind_options, options_of
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options, refuse_idle
from ddpm_cli.config.values import path_override
from ddpm_cli.console import fact, logging_to
from ddpm_cli.generation.build import build_generator, with_compiled_network
from ddpm_cli.generation.draw import draw_missing, provenance
from ddpm_cli.generation.editing import Inpainting
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import ALL, GenerationOptions, drawing_groups
from ddpm_cli.generation.store import GRID, INDEX, ImageStore
from ddpm_cli.generation.tuned import TUNED, take_tuned
from ddpm_cli.hardware import check_compiler, device_text, find_device, words_for_full_memory
from ddpm_cli.parallel import ProcessGroup, join_group
from ddpm_cli.parallel.launch import mark_resumable, process_count, run_in_processes
from ddpm_cli.process.writer_lock import writer_lock
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Pixels

LOG = "sample.log"
SHOWN, COLUMNS = 256, 10  # images in a grid, and in a row of a grid whose rows are classes


def sample(cfg: DictConfig, invocation: Invocation) -> bool:
    """Draw images from a checkpoint into a folder; return False if the user stopped the command."""
    tuned = take_tuned(cfg, invocation.overrides) if cfg.tuned is True else []
    groups = drawing_groups(cfg)
    options = parse_options(cfg, Options, groups=groups, beside=options_of(GenerationOptions))
    generation = bind_options(GenerationOptions, cfg)()
    if generation.interpolate is not None:
        refuse_idle(options, "indices", "with interpolate, whose images are the first n")
    count = min(len(options.wanted_indices), process_count(options.processes, options.device))
    args = OmegaConf.to_container(cfg), options, generation, invocation.folder, tuned
    named, folder = invocation.folder_is_named, invocation.folder
    try:
        finished = run_in_processes(count, sample_in_process, *args, folder_is_named=named)
    except KeyboardInterrupt:
        finished = False
    if not finished and (folder / INDEX).exists():
        with logging_to(folder / LOG, True):
            again = shlex.quote(path_override("hydra.run.dir", folder))
            fact("stopped", f"go on with the same command and {again}")
    return finished


@words_for_full_memory("choose a smaller batch, or device=cpu")
@torch.no_grad()
def sample_in_process(
    plain: dict[Any, Any],
    options: Options,
    generation: GenerationOptions,
    folder: Path,
    tuned: Sequence[str],
) -> bool:
    """Sample in this process, which may be one of a group; the first process shows the images.

    tuned: the values of tuned.json that are taken, in words.
    """
    device = find_device(options.device)
    if options.compile:
        check_compiler(device)
    with (
        join_group(device) as group,
        writer_lock(folder, "images", first=group.rank == 0),
        logging_to(folder / LOG, group.rank == 0),
    ):
        checkpoint, generator = load_generator(plain, options, generation, group)
        for each in tuned if group.rank == 0 else ():
            fact("tuned", f"{each} ({TUNED}; tuned=false for the defaults)")
        shown = grid_indices(generator, options)
        store = ImageStore(folder, options.png, options.npz)
        batch_size, rows = 0, dict[int, dict[str, str]]()
        if group.rank == 0:
            batch_size, rows = open_folder(store, generator, checkpoint, options, group)
        images = store.images({index: rows[index] for index in shown if index in rows})
        batch_size, finished = group.broadcast((batch_size, set(rows)))
        if options.compile:
            generator = with_compiled_network(generator)
        images |= draw_images(generator, store, options, batch_size, finished, shown, group)
        if group.rank == 0:
            for path in write_outputs(generator, images, options, folder):
                fact("written", path)
    return True


def load_generator(
    plain: dict[Any, Any], options: Options, generation: GenerationOptions, group: ProcessGroup
) -> tuple[Checkpoint, Generator]:
    """Load the checkpoint and its generator."""
    checkpoint = Checkpoint.load(checkpoint_path(options.ckpt), [WEIGHTS[generation.weights]])
    generator = build_generator(
        OmegaConf.create(plain),
        generation,
        checkpoint,
        n=options.n,
        device=options.device,
        trust=options.trust,
        verbose=group.rank == 0,
    )
    return checkpoint, generator


def open_folder(
    store: ImageStore,
    generator: Generator,
    checkpoint: Checkpoint,
    options: Options,
    group: ProcessGroup,
) -> tuple[int, dict[int, dict[str, str]]]:
    """Open the store; return the batch size and the rows of the images that the store holds.

    Raises ValueError if the folder holds images of other settings.
    """
    n, batch_size = len(options.wanted_indices), options.batch
    if batch_size == "auto":
        batch_size = choose_batch_size(generator, n, store.read_provenance().get("batch"))
    store.open(provenance(generator, checkpoint.source, n, batch_size))
    if group.count > 1 and (store.png or store.npz):
        mark_resumable()
    rows = store.read_rows()
    rows = {index: rows[index] for index in options.wanted_indices if index in rows}
    log_sampling(generator, checkpoint, options, batch_size, len(rows), group)
    return batch_size, rows


def grid_indices(generator: Generator, options: Options) -> Sequence[int]:
    """The images in the grid: the first images, equally many of every class.

    Raises ValueError if the grid is the only output and does not hold all images.
    """
    rows = len(generator.classes) if generator.options.label == ALL else 1
    n = len(options.wanted_indices)
    most = SHOWN if rows == 1 else rows * min(COLUMNS, math.ceil(n / rows))
    if n > most and options.grid and not (options.png or options.npz):
        raise ValueError(
            f"a grid shows the first {most} images, but n is {n}: "
            "add png=true or npz=true for the others"
        )
    return options.wanted_indices[:most] if options.grid else []


def log_sampling(
    generator: Generator,
    checkpoint: Checkpoint,
    options: Options,
    batch_size: int,
    finished: int,
    group: ProcessGroup,
) -> None:
    """Log what will be drawn, the settings, and the cost."""
    drawing, size = generator.options, "x".join(map(str, generator.shape))
    device = device_text(generator.denoiser.device, processes=group.count)
    fact("device", f"{device}, {drawing.precision}, {batch_size} images at a time")
    weights = checkpoint.weights_text(drawing.weights)
    model = f"{checkpoint.step_text}, {weights} weights, images of {size}"
    fact("checkpoint", f"{checkpoint.source}: {model}")
    sampler = generator.sampler_node["_target_"].rpartition(".")[2]
    cost = f"{generator.nfe:,} network evaluations an image"
    fact("sampler", f"{sampler}, {generator.steps:,} steps, {cost}, seed {drawing.seed}")
    if drawing.label is not None or drawing.guide is not None:
        fact("label", generator.summary)
    if isinstance(generator.sampler, Inpainting):
        share = float(generator.sampler.mask.float().mean())
        fact("inpaint", f"{share:.0%} of the image is painted")
    if finished:
        fact("resumed", f"{finished:,} of {len(options.wanted_indices):,} images are there")


def draw_images(
    generator: Generator,
    store: ImageStore,
    options: Options,
    batch_size: int,
    finished: set[int],
    shown: Sequence[int],
    group: ProcessGroup,
) -> dict[int, Pixels]:
    """Draw the missing images; return the images in `shown` in the first process."""
    indices = options.wanted_indices if shown or store.png or store.npz else []
    mine = draw_missing(generator, store, indices, batch_size, finished, shown, group)
    parts = group.gather(mine)
    return {index: image for part in parts for index, image in part.items()}


def write_outputs(
    generator: Generator, shown: Mapping[int, Pixels], options: Options, folder: Path
) -> Iterator[Path]:
    """Write the grid and the film if asked; yield the paths of all outputs."""
    files = {"png": options.png, "npz": options.npz, INDEX: options.png or options.npz}
    yield from (folder / name for name, asked in files.items() if asked)
    if options.grid:
        save_png(folder / GRID, grid_picture(generator, shown))
        yield folder / GRID
    if options.film:
        yield from write_film(generator, options.wanted_indices, folder)
