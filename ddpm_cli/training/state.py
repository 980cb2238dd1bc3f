"""The state that training changes, and how a step changes weights and EMA."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from ddpm_cli.averages.tracking import PowerEmas, move_toward
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.optimizers.groups import Groups, build_optimizer
from ddpm_cli.shapes import Flag, Scalar
from ddpm_cli.train_times import History, TimeSampler, uniform
from ddpm_cli.training.verdict import Verdict


@dataclass
class TrainState:
    """The state that training changes. It depends on the steps alone, not on stops and resumes.

    skipped: steps whose numbers were not finite, without overflows that fp16's scaler handles.
    loss_module: the module of a loss with parameters, else an empty module.
    averages: the power-function EMAs of the network, by their lengths.
    history: losses that the sampler of times uses. parameters: all that the optimizer changes.
    verdict: the verdict on how well the run learns; it does not affect the weights.
    position: the position of this process in its stream; "" without a stream.
    positions: the positions of all processes at the last checkpoint.
    """

    denoiser: Denoiser
    ema: nn.Module
    optimizer: Optimizer
    step: int = 0
    lr_scale: float = 1.0
    skipped: int = 0
    scaler: GradScaler = field(default_factory=partial(GradScaler, "cpu", enabled=False))
    loss_module: nn.Module = field(default_factory=nn.Module)
    time_sampler: TimeSampler = uniform
    averages: PowerEmas = field(default_factory=PowerEmas)
    history: History = field(init=False)
    parameters: list[nn.Parameter] = field(init=False)
    verdict: Verdict = field(default_factory=Verdict)
    position: str = ""
    positions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        option = signature(self.time_sampler).parameters.get("kept")
        self.history = History(self.denoiser.diffusion, option.default if option else 0)
        groups = self.optimizer.param_groups
        self.parameters = [parameter for group in groups for parameter in group["params"]]

    @classmethod
    def fresh(
        cls,
        denoiser: Denoiser,
        optimizer: Callable[..., Optimizer],
        *,
        loss_module: nn.Module | None = None,
        time_sampler: TimeSampler = uniform,
        parameter_groups: Groups = (),
        ema_lengths: Sequence[float] | None = None,
    ) -> "TrainState":
        """The state before the first step, in which the EMA is a copy of the network.

        parameter_groups, ema_lengths: as in `Trainer`. Raises ValueError if the optimizer refuses
        the groups.
        """
        ema = copy.deepcopy(denoiser.network).eval().requires_grad_(False)
        loss_module = loss_module or nn.Module()
        return cls(
            denoiser,
            ema,
            build_optimizer(optimizer, denoiser.network, loss_module, parameter_groups),
            loss_module=loss_module,
            time_sampler=time_sampler,
            averages=PowerEmas.fresh(ema, ema_lengths or ()),
        )


def is_fused(optimizer: Optimizer) -> bool:
    """Whether an optimizer reads its learning rate and whether to step from the device."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def step_optimizer(optimizer: Optimizer, skipped: Flag) -> None:
    """Take a step unless it is skipped; a fused optimizer reads the flag on the device."""
    # a skipped first step would leave the optimizer's state unfilled: wait for the flag
    if optimizer.state and is_fused(optimizer):
        optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
        optimizer.step()
    elif not skipped:
        optimizer.step()


@torch.no_grad()
def update_ema(ema: list[Tensor], current: list[Tensor], decay: Scalar, skipped: Flag) -> None:
    """ema <- ema + (1 - decay) (current - ema) for all parameters, unless the step is skipped.

    The device is not asked: a skipped step adds 0.
    """
    move_toward(ema, current, (1 - decay) * ~skipped)


@torch.no_grad()
def copy_buffers(ema: nn.Module, network: nn.Module, skipped: Flag) -> None:
    """Give the EMA the network's buffers, unless the step is skipped."""
    for buffer, other in zip(ema.buffers(), network.buffers(), strict=True):
        buffer.copy_(torch.where(skipped, buffer, other))
