"""`ddpm-sample`: from a checkpoint, which says what the model is, to images."""

import shlex
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.sample.batch_size import choose_batch_size
from ddpm_cli.commands.sample.options import Options
from ddpm_cli.commands.sample.outputs import grid_count, write_outputs
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.config.values import path_override
from ddpm_cli.console import fact, logging_to
from ddpm_cli.generation.build import build_generator
from ddpm_cli.generation.draw import draw_missing, provenance
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.parallel import ProcessGroup, device_text, find_device, join_group
from ddpm_cli.parallel.launch import process_count, run_in_processes
from ddpm_cli.shapes import Pixels


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
            batch_size = (
                options.batch
                if options.batch != "auto"
                else choose_batch_size(generator, options.n, store)
            )
            store.open(provenance(generator, options.ckpt, options.n, batch_size))
            rows = store.read_rows()
            log_sampling(generator, checkpoint.step, options, batch_size, len(rows), group)
        images = store.images({index: rows[index] for index in range(shown) if index in rows})
        batch_size, finished = group.broadcast((batch_size, set(rows)))
        images |= draw_images(generator, store, options, batch_size, finished, shown, group)
        if group.is_first:
            for path in write_outputs(generator, images, options, folder):
                fact("written", path)
    return True


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
    device = device_text(generator.denoiser.device, group=group)
    fact("device", f"{device}, {drawing.precision}, {batch_size} images at a time")
    model = f"step {step:,}, {drawing.weights} weights, images of {size}"
    fact("checkpoint", f"{options.ckpt}: {model}")
    sampler = generator.sampler_node["_target_"].rpartition(".")[2]
    cost = f"{generator.evaluations:,} network evaluations an image"
    fact("sampler", f"{sampler}, {generator.steps:,} steps, {cost}, seed {drawing.seed}")
    if drawing.label is not None or drawing.guide is not None:
        away = f" away from {drawing.guide}" if drawing.guide else ""
        fact("label", f"{drawing.label}, guidance {drawing.guidance:g}{away}")
    if finished:
        fact("resumed", f"{min(finished, options.n):,} of {options.n:,} images are there")


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
            fact("stopped", f"go on with the same command and {again}")
        raise
    return {index: image for part in parts for index, image in part.items()}
