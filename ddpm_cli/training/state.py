"""All that training changes, and how the average of the weights follows them."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.parallel import AsyncScalar, ProcessGroup
from ddpm_cli.seeds import Purpose
from ddpm_cli.shapes import Flag, PerImage
from ddpm_cli.train_times import History, SampledTimes, TimeSampler, uniform
from ddpm_cli.training.noising import keyed_uniforms
from ddpm_cli.training.verdict import Verdict, tensor_kinds


@dataclass
class TrainState:
    """All that training changes: after the same steps it is the same, whatever happened in between.

    skipped: of these steps, those whose numbers were not finite, but for the overflows that fp16's scaler answers.
    loss_module: the module of a loss with parameters, else an empty one. time_sampler: the sampler of times, which goes by `history`;
    waiting: times and losses of the last step, which come into it a step late, so that the loop never waits for the device.
    verdict: on how the run is doing, which changes nothing learned.
    position: where this process's stream goes on, if it has one; positions: where those of all processes did at the last checkpoint.
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
    history: History = field(init=False)
    waiting: tuple[list[int], AsyncScalar] | None = None
    verdict: Verdict = field(default_factory=Verdict)
    position: str = ""
    positions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history = History(
            self.denoiser.diffusion, getattr(self.time_sampler, "keywords", {}).get("kept", 0)
        )

    @classmethod
    def fresh(
        cls,
        denoiser: Denoiser,
        optimizer: Callable[..., Optimizer],
        *,
        loss_module: nn.Module | None = None,
        time_sampler: TimeSampler = uniform,
    ) -> "TrainState":
        """The state before the first step: the average is the network."""
        ema, loss_module = (
            copy.deepcopy(denoiser.network).eval().requires_grad_(False),
            loss_module or nn.Module(),
        )
        return cls(
            denoiser,
            ema,
            optimizer([*denoiser.network.parameters(), *loss_module.parameters()]),
            loss_module=loss_module,
            time_sampler=time_sampler,
        )

    @property
    def learned(self) -> list[nn.Parameter]:
        """All parameters that the optimizer changes."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def sample_times(self, seed: int, batch_size: int) -> SampledTimes:
        """The times and weights of the next global batch."""
        return self.time_sampler(
            keyed_uniforms(seed, Purpose.TIMES, self.step, batch_size), self.history
        )

    def remember(
        self, drawn: SampledTimes, first: int, losses: PerImage, group: ProcessGroup
    ) -> None:
        """Brings this process's losses of a step, from place `first` of the global batch on, into the history of all."""
        if not self.history.kept:
            return
        self.recall()
        every = losses.new_zeros(len(drawn[0]))
        every[first : first + len(losses)] = losses
        self.waiting = drawn[0].tolist(), AsyncScalar(group.sum(every))

    def recall(self) -> None:
        """Takes the losses that wait into the history."""
        if self.waiting is not None:
            self.history.note(self.waiting[0], self.waiting[1].read())
        self.waiting = None

    @property
    def past(self) -> dict[str, Tensor]:
        """What the sampler of times goes by, {} where it goes by nothing."""
        if not self.history.kept:
            return {}
        times, last = (self.waiting[0], self.waiting[1].read()) if self.waiting else ([], [])
        waiting = {
            "times": torch.tensor(times, dtype=torch.int64),
            "last": torch.tensor(last, dtype=torch.float64),
        }
        return {
            "losses": self.history.losses.clone(),
            "counts": self.history.counts.clone(),
            **waiting,
        }

    def recollect(self, past: Mapping[str, Tensor]) -> None:
        """Puts back what the sampler of times went by; ValueError where that is of another one."""
        mine = self.past
        if tensor_kinds(past) != tensor_kinds(mine) or any(
            past[name].shape != mine[name].shape for name in mine.keys() & {"losses", "counts"}
        ):
            raise ValueError("the checkpoint's history of losses is not of this sampler of times")
        if not mine:
            return
        times, counts = past["times"], past["counts"]
        known = ((times >= 1) & (times <= len(counts))).all() and (
            (counts >= 0) & (counts < 2**40)
        ).all()
        if times.shape != past["last"].shape or not known:
            raise ValueError(
                "the checkpoint's history of losses has times or counts that are none of this schedule"
            )
        self.history.losses.copy_(past["losses"])
        self.history.counts.copy_(past["counts"])
        self.waiting = (
            (past["times"].tolist(), AsyncScalar(past["last"])) if len(past["times"]) else None
        )


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float, skipped: Flag) -> None:
    """average <- decay average + (1 - decay) network, for the parameters; buffers are copied. Nothing where the step was skipped."""
    mine: list[Tensor] = list(average.parameters())
    its: list[Tensor] = list(network.parameters())
    if skipped.is_cuda:  # the flag is not waited for
        weight: Tensor = (1 - decay) * ~skipped
        torch._foreach_lerp_(mine, its, [weight.to(each.dtype) for each in mine])
    elif not skipped:
        torch._foreach_lerp_(mine, its, 1 - decay)
    for buffer, other in zip(average.buffers(), network.buffers(), strict=True):
        buffer.copy_(torch.where(skipped, buffer, other))
