"""What a checkpoint says of itself: its run, its recipe, and the command that makes it again."""

import logging
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.console import logging_to
from ddpm_cli.reports.reproduce import train_command
from ddpm_cli.text import printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-info` takes: the checkpoint."""

    _: KW_ONLY
    ckpt: str


def info(cfg: DictConfig) -> None:
    """Shows what the checkpoint says; whatever it holds, only printable characters reach the screen."""
    check_config(cfg, (), Options)
    checkpoint = Checkpoint.load(Path(bind_options(Options, cfg)().ckpt).expanduser())
    with logging_to(None, aloud=True):
        for line in checkpoint_lines(checkpoint):
            log.info("%s", printable(line))


def checkpoint_lines(checkpoint: Checkpoint) -> Iterator[str]:
    """What is shown, line by line."""
    parameters = sum(tensor.numel() for tensor in checkpoint.network.values())
    yield f"step        {checkpoint.step:,} of {checkpoint.steps:,}, learning rate times {checkpoint.lr_scale:g}"
    yield f"parameters  {parameters:,}"
    yield f"images      {' x '.join(map(str, checkpoint.shape))} (channels, height, width), fingerprint {checkpoint.fingerprint}"
    yield f"classes     {', '.join(checkpoint.classes) or 'none'}"
    yield from (f"{name:<11} {value}" for name, value in checkpoint.environment.items())
    yield from [
        "",
        "recipe",
        *(f"  {line}" for line in OmegaConf.to_yaml(checkpoint.config).splitlines()),
    ]
    yield from ["", "the command that trains it again", f"  {train_command(checkpoint)}"]
