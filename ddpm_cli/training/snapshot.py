"""What of a training state a checkpoint holds, and how it is put back."""

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
    """What a checkpoint holds, its tensors where training has them.

    data: the fingerprint of the images. facts: what the run found out: their shape [C, H, W], names of the classes, steps in all.
    """
    return {
        "format": FORMAT,
        "config": OmegaConf.to_yaml(cfg, resolve=True),
        "step": state.step,
        "network": network_state(state.denoiser.network),
        "ema": network_state(state.ema),
        "loss": network_state(state.loss_module),
        "history": state.past,
        "verdict": state.verdict.past,
        "stream": state.positions,
        "optimizer": optimizer_state(state.optimizer),
        "scaler": state.scaler.state_dict(),
        "environment": environment(),
        "data": data,
        "facts": {**facts, "lr_scale": state.lr_scale, "skipped": state.skipped},
    }


def restore_snapshot(
    state: TrainState, checkpoint: Checkpoint, *, moments: bool = True, past: bool = True
) -> None:
    """Puts what a loaded checkpoint remembers into `state`.

    Without `moments` the optimizer and the parameters of the loss start afresh, without `past` the sampler of times and the verdict do.
    """
    load_network(state.denoiser.network, checkpoint.network)
    load_network(state.ema, checkpoint.ema)
    if moments:
        load_network(state.loss_module, checkpoint.loss)
        load_optimizer(state.optimizer, checkpoint.optimizer)
    if past:
        state.recollect(checkpoint.history)
    state.verdict = Verdict.recalled(checkpoint.verdict if past else {}, checkpoint.step)
    state.position, state.positions = "", checkpoint.stream
    if checkpoint.scaler:
        state.scaler.load_state_dict(checkpoint.scaler)
    state.step, state.lr_scale, state.skipped = (
        checkpoint.step,
        checkpoint.lr_scale,
        checkpoint.skipped,
    )
