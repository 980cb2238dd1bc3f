"""The part of a training state that a checkpoint holds: take it and restore it."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import FORMAT, Checkpoint, environment
from ddpm_cli.parallel import load_network, load_optimizer, network_state, optimizer_state
from ddpm_cli.training.state import TrainState
from ddpm_cli.training.verdict import Verdict


def take_snapshot(
    state: TrainState, cfg: DictConfig, *, data: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of a checkpoint in the file's layout, with training's own tensors, not copies.

    data: fingerprint of the images. facts: shape [C, H, W] of an image, names of the classes, and
    steps of the run.
    """
    return {
        "format": FORMAT,
        "config": OmegaConf.to_yaml(cfg, resolve=True),
        "step": state.step,
        "network": network_state(state.denoiser.network),
        "ema": network_state(state.ema),
        "loss": network_state(state.loss_module),
        "history": state.history.state_dict(),
        "verdict": state.verdict.state_dict(),
        "stream": state.positions,
        "optimizer": optimizer_state(state.optimizer),
        "scaler": state.scaler.state_dict(),
        "environment": environment(),
        "data": data,
        "facts": {**facts, "lr_scale": state.lr_scale, "skipped": state.skipped},
    }


def restore_snapshot(
    state: TrainState, checkpoint: Checkpoint, *, optimizer: bool = True, history: bool = True
) -> None:
    """Restore `state` from a checkpoint.

    optimizer: whether to restore the optimizer and the loss's parameters. history: whether to
    restore the history of losses and the verdict.
    """
    load_network(state.denoiser.network, checkpoint.network)
    load_network(state.ema, checkpoint.ema)
    if optimizer:
        load_network(state.loss_module, checkpoint.loss)
        load_optimizer(state.optimizer, checkpoint.optimizer)
    if history:
        state.history.load_state_dict(checkpoint.history)
    state.verdict = Verdict.from_state_dict(checkpoint.verdict if history else {}, checkpoint.step)
    state.position, state.positions = "", checkpoint.stream
    if checkpoint.scaler:
        state.scaler.load_state_dict(checkpoint.scaler)
    state.step, state.skipped = checkpoint.step, checkpoint.skipped
    state.lr_scale = checkpoint.lr_scale
