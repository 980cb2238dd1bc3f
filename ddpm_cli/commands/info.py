"""The content of a checkpoint: its run, its recipe, and the command that trains it again."""

import logging
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint, checkpoint_path
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import logging_to
from ddpm_cli.fine_tuning.initial_weights import initial_text
from ddpm_cli.reports.reproduce import length_text, recipe_in_steps, train_command

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-info`."""

    _: KW_ONLY
    ckpt: str


def info(cfg: DictConfig, _: Invocation) -> None:
    """Log the content of the checkpoint."""
    ckpt = parse_options(cfg, Options).ckpt
    with logging_to(None, aloud=True):
        checkpoint = Checkpoint.load(checkpoint_path(ckpt))
        for line in checkpoint_lines(checkpoint):
            log.info("%s", line)


def checkpoint_lines(checkpoint: Checkpoint) -> Iterator[str]:
    """The content of a checkpoint, line by line."""
    weights = checkpoint.part("network") or checkpoint.part("ema")  # a published one has the EMA
    parameters = sum(tensor.numel() for tensor in weights.values())
    shape = " x ".join(map(str, checkpoint.shape))
    if checkpoint.source != str(checkpoint.path):
        yield f"hub         {checkpoint.source}"
    yield (
        f"step        {checkpoint.step:,} of {checkpoint.steps:,}, "
        f"learning rate times {checkpoint.lr_scale:g}"
    )
    yield from [f"length      {text}" for text in [length_text(checkpoint)] if text]
    yield f"parameters  {parameters:,}"
    yield from [f"init        {initial_text(checkpoint.init)}"] * bool(checkpoint.init)
    yield from [f"average     {checkpoint.average_text}"] * bool(checkpoint.average)
    yield f"images      {shape} (channels, height, width), fingerprint {checkpoint.fingerprint}"
    yield from [f"randomness  {checkpoint.noise_text}"] * bool(checkpoint.noise_text)
    yield f"classes     {', '.join(checkpoint.classes) or 'none'}"
    yield from (f"{name:<11} {value}" for name, value in checkpoint.origin.items())
    yield from (f"{name:<11} {value}" for name, value in checkpoint.environment.items())
    recipe = OmegaConf.to_yaml(recipe_in_steps(checkpoint)).splitlines()
    yield from ["", "recipe", *(f"  {line}" for line in recipe)]
    yield from ["", "the command that trains it again", f"  {train_command(checkpoint)}"]
