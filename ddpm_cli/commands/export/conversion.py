"""A checkpoint of an old format in this version's own, to go on with."""

from dataclasses import replace

from torch import nn

from ddpm_cli.checkpoints import Checkpoint, split_optimizer
from ddpm_cli.components import build_loss, load_denoiser
from ddpm_cli.config.schema import check_groups
from ddpm_cli.parallel import state_by_name
from ddpm_cli.training.snapshot import optimized_parameters


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
    module = loss if isinstance(loss, nn.Module) else nn.Module()
    return list(optimized_parameters(denoiser.network, module))
