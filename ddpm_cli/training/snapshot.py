"""The part of a training state that a checkpoint holds: take it and restore it."""

from typing import Any

from omegaconf import DictConfig
from torch import nn

from ddpm_cli.checkpoints import Checkpoint, environment, split_optimizer, tensors_by_name
from ddpm_cli.parallel import load_network, load_optimizer, network_state, optimizer_state, unwrap
from ddpm_cli.seeds import RANDOMNESS
from ddpm_cli.training.state import TrainState
from ddpm_cli.training.verdict import Verdict


def take_snapshot(state: TrainState, cfg: DictConfig, **facts: Any) -> Checkpoint:
    """The checkpoint of a state, with training's own tensors, not copies.

    facts: the fields of the checkpoint that the state does not hold.
    """
    tensors = tensors_by_name(
        {
            "network": network_state(state.denoiser.network),
            "ema": network_state(state.ema),
            "power_ema": state.averages.state_dict(),
            "loss": network_state(state.loss_module),
            "history.train_times": state.history.state_dict(),
            "history.verdict": state.verdict.state_dict(),
        }
    )
    named = optimized_parameters(state.denoiser.network, state.loss_module)
    moments, rest = split_optimizer(optimizer_state(state.optimizer, named))
    return Checkpoint(
        config=cfg,
        step=state.step,
        skipped=state.skipped,
        lr_scale=state.lr_scale,
        tensors=tensors | moments,
        optimizer=rest,
        scaler=state.scaler.state_dict(),
        stream=state.positions,
        environment=environment(),
        **facts,
    )


def restore_snapshot(
    state: TrainState, checkpoint: Checkpoint, *, optimizer: bool = True, history: bool = True
) -> None:
    """Restore `state` from a checkpoint.

    optimizer: whether to restore the optimizer and the loss's parameters. history: whether to
    restore the history of losses and the verdict, which rests on noise of one version.
    """
    load_network(state.denoiser.network, checkpoint.part("network"))
    load_network(state.ema, checkpoint.part("ema"))
    state.averages.load_state_dict(checkpoint.part("power_ema"), checkpoint.step)
    if optimizer:
        load_network(state.loss_module, checkpoint.part("loss"))
        named = optimized_parameters(state.denoiser.network, state.loss_module)
        load_optimizer(state.optimizer, checkpoint.optimizer_state(), named)
    if history:
        state.history.load_state_dict(checkpoint.part("history.train_times"))
    comparable = history and checkpoint.randomness == RANDOMNESS
    verdict = checkpoint.part("history.verdict") if comparable else {}
    state.verdict = Verdict.from_state_dict(verdict, checkpoint.step)
    state.position, state.positions = "", checkpoint.stream
    if checkpoint.scaler:
        state.scaler.load_state_dict(checkpoint.scaler)
    state.step, state.skipped = checkpoint.step, checkpoint.skipped
    state.lr_scale = checkpoint.lr_scale


def optimized_parameters(network: nn.Module, loss_module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that the optimizer changes, by their names in a checkpoint.

    They are in the order in which an optimizer without groups, and an old checkpoint, has them.
    """
    modules = {"network": unwrap(network), "loss": loss_module}
    return {
        f"{part}.{name}": parameter
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
    }
