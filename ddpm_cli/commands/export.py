"""`ddpm-export`: a checkpoint in another format."""

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig
from torch import nn

from ddpm_cli.checkpoints import Checkpoint, split_optimizer, write_checkpoint
from ddpm_cli.components import build_loss, load_denoiser
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import check_groups, parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.files import user_path
from ddpm_cli.parallel import state_by_name
from ddpm_cli.training.snapshot import parameter_names

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-export`.

    ckpt: the checkpoint. to: the format; ckpt is this version's own. out: the new file.
    trust: the user's own modules that the checkpoint names.
    """

    _: KW_ONLY
    ckpt: str
    to: Literal["ckpt"]
    out: str
    trust: list[str]

    def __post_init__(self) -> None:
        if Path(self.out).suffix != SUFFIX:
            raise ValueError(f"out must end in {SUFFIX}, but is {self.out!r}")


def export(cfg: DictConfig, _: Invocation) -> None:
    """Write a checkpoint anew in this version's own format."""
    options = parse_options(cfg, Options)
    out = user_path(options.out)
    if out.exists():
        raise ValueError(f"out must be a new file, but {str(out)!r} exists")
    with logging_to(None, aloud=True):
        checkpoint = Checkpoint.load(user_path(options.ckpt))
        write_checkpoint(out, name_parameters(checkpoint, options.trust))
        fact("exported", out)


def name_parameters(checkpoint: Checkpoint, trust: list[str]) -> Checkpoint:
    """The checkpoint with names in place of the numbers of parameters in an old optimizer's state.

    Raises ValueError if the state is not of the checkpoint's network and loss.
    """
    state = checkpoint.optimizer_state()
    if not all(map(str.isdecimal, state)):
        return checkpoint
    moments, rest = split_optimizer(state_by_name(state, optimized_names(checkpoint, trust)))
    own = {
        name: each for name, each in checkpoint.tensors.items() if not name.startswith("optimizer.")
    }
    return replace(checkpoint, tensors=own | moments, optimizer=rest)


def optimized_names(checkpoint: Checkpoint, trust: list[str]) -> list[str]:
    """The names of the parameters that the checkpoint's optimizer changes, in its order."""
    denoiser = load_denoiser(checkpoint, weights="raw", device="cpu", trust=trust)
    config = checkpoint.config.copy()
    config.trust = trust
    check_groups(config, "loss")
    loss = build_loss(config)
    return parameter_names(denoiser.network, loss if isinstance(loss, nn.Module) else nn.Module())
