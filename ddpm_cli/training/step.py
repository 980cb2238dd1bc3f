"""One training step: functions of static tensors, which are called or replayed from CUDA graphs."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ddpm_cli.averages.tracking import update_power_emas
from ddpm_cli.hardware import has_overflowed, refill, seed_generators, to_device
from ddpm_cli.hardware.graphs import Replay, addresses, capture_graphs
from ddpm_cli.losses import Loss
from ddpm_cli.optimizers.modes import has_modes, set_mode
from ddpm_cli.parallel import ALONE, ProcessGroup, without_sync
from ddpm_cli.seeds import Purpose, torch_seed
from ddpm_cli.shapes import Numbers, PerImage, Rates, Scalar
from ddpm_cli.training.noising import CleanBatch, add_keyed_noise
from ddpm_cli.training.state import TrainState, copy_buffers, is_fused, step_optimizer, update_ema
from ddpm_cli.training.trainer import Trainer

PLAIN_STEPS = 3  # before the capture: kernels are chosen, the optimizer's state is filled
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepInputs:
    """What a step takes from the host: the clean batch, each group's LR, the decay of the EMA."""

    clean: CleanBatch
    lr: Rates
    decay: Scalar

    def tensors(self) -> list[Tensor]:
        """The tensors of the inputs."""
        every = *vars(self.clean).values(), self.lr, self.decay
        return [each for each in every if each is not None]

    def static_copy(self, device: torch.device) -> "StepInputs":
        """A copy on a device, into which the inputs of later steps are copied."""
        lr, decay = (to_device(each.clone(), device) for each in (self.lr, self.decay))
        return StepInputs(self.clean.map(torch.clone).to(device), lr, decay)


class TrainStep:
    """Takes one training step after the other, on the same static tensors.

    A step is a pass for each microbatch, and an update. After three plain steps a GPU replays them
    as CUDA graphs, as far as `Trainer.graphs` asks and there is no obstacle.
    Raises ValueError if `Trainer.graphs` is true and the steps cannot be captured.
    """

    def __init__(
        self,
        trainer: Trainer,
        state: TrainState,
        loss: Loss,
        inputs: StepInputs,
        seed: int,
        group: ProcessGroup = ALONE,
    ) -> None:
        obstacle = graph_obstacle(trainer, state, group)
        if obstacle and trainer.graphs is True:
            why = f"{obstacle}; choose auto or false"
            raise ValueError(f"trainer.graphs=true does not work here: {why}")
        self.captures = not obstacle and trainer.graphs is not False
        self.trainer, self.state, self.loss = trainer, state, loss
        self.seed, self.group, self.count = seed, group, 0
        self.inputs = inputs.static_copy(state.denoiser.device)
        self.losses = torch.zeros_like(self.inputs.clean.weights)
        # walks over the parts of a network cost a small network's step 1 %
        self.averaged: list[Tensor] = list(state.ema.parameters())
        self.current: list[Tensor] = list(state.denoiser.network.parameters())
        self.power_averaged = state.averages.parameters()
        networks = (state.denoiser.network, state.ema, state.loss_module)
        own = chain.from_iterable(chain(each.parameters(), each.buffers()) for each in networks)
        self.fixed = [self.losses, *own, *state.averages.tensors()]
        self.replays: list[Replay] = []
        self.captured_at: list[int] = []

    def __call__(self, inputs: StepInputs) -> Numbers:
        """Take a step; return loss, gradient norm, skipped, overflow, and the images' losses.

        The numbers stay on the device. The losses are weighted, and those of this process.
        """
        set_mode(self.state.optimizer, "train")
        self.compute_gradients(inputs)
        self.count += 1
        return self.functions[-1]().clone()

    def compute_gradients(self, inputs: StepInputs) -> PerImage:
        """Compute the gradient of the global batch's mean loss; return this process's losses.

        The processes exchange gradients with the last microbatch.
        """
        self.fill(inputs)
        if self.captures and self.count >= PLAIN_STEPS and self.state.optimizer.state:
            self.capture()
        step, rank = self.state.step, self.group.rank
        for place, run_pass in enumerate(self.functions[:-1]):
            key = torch_seed(self.seed, Purpose.DROPOUT, step, rank, place)
            seed_generators(self.losses.device, key)
            run_pass()
        for parameter in self.state.loss_module.parameters() if self.group.count > 1 else ():
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self.group.sum(grad) / self.group.count
        return self.losses

    @property
    def functions(self) -> list[Replay]:
        """The passes and the update: graphs once they are captured."""
        if self.replays:
            return self.replays
        images = len(self.losses)
        firsts = range(0, images, self.trainer.microbatch or images)
        return [*(partial(self.run_pass, first, firsts) for first in firsts), self.update]

    def fill(self, inputs: StepInputs) -> None:
        """Copy the inputs of a step into the static tensors."""
        for mine, new in zip(self.inputs.tensors(), inputs.tensors(), strict=True):
            refill(mine, new)
        optimizer = self.state.optimizer
        rates = self.inputs.lr if is_fused(optimizer) else inputs.lr.tolist()
        for options, lr in zip(optimizer.param_groups, rates, strict=True):
            options["lr"] = lr

    def run_pass(self, first: int, firsts: range) -> Tensor:
        """Add the gradients of the microbatch from image `first` on; the first one replaces them.

        DistributedDataParallel takes the mean over the processes, hence the factor `group.count`.
        """
        state, trainer, is_last = self.state, self.trainer, first == firsts[-1]
        if first == 0:
            state.optimizer.zero_grad()
        noise = {name: getattr(trainer, name) for name in ("offset_noise", "input_perturbation")}
        part = self.inputs.clean.part(first, firsts.step)
        noised = add_keyed_noise(state.denoiser, part, self.seed, **noise)
        network = state.denoiser.network
        with nullcontext() if is_last else without_sync(network):
            losses = noised.weight * self.loss(state.denoiser, noised)
            mean = losses.sum() * (self.group.count / trainer.batch_size)
            state.scaler.scale(mean).backward()  # type: ignore[no-untyped-call]
        self.losses[first : first + firsts.step] = losses.detach()
        return self.losses

    def update(self) -> Tensor:
        """Change weights and EMA by the gradients, unless a number is not finite; clip them."""
        state, optimizer, scaler = self.state, self.state.optimizer, self.state.scaler
        mean = self.group.sum(self.losses.sum()) / self.trainer.batch_size
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(state.parameters, self.trainer.grad_clip or math.inf)
        skipped = ~(mean.isfinite() & norm.isfinite())
        overflow = has_overflowed(scaler, mean, norm)
        step_optimizer(optimizer, skipped)
        set_mode(optimizer, "eval")
        update_ema(self.averaged, self.current, self.inputs.decay, skipped)
        update_power_emas(state.averages, self.power_averaged, self.current, skipped)
        copy_buffers(state.ema, state.denoiser.network, skipped)
        scaler.update()
        return torch.cat([torch.stack([mean, norm, skipped, overflow]), self.losses])

    def capture(self) -> None:
        """Capture the step, unless it is captured already and no tensor has moved since.

        If that fails, the steps stay plain, and a warning says why.
        """
        if self.replays and addresses(self.static_tensors()) == self.captured_at:
            return
        self.replays = []
        try:
            with capturable(self.state.optimizer):
                self.replays = capture_graphs(self.functions)
        except RuntimeError as error:
            why = " ".join(str(error).split())[:200]
            if self.trainer.graphs is True:
                fault = f"trainer.graphs=true: the step cannot be captured: {why}"
                raise ValueError(fault) from error
            log.warning("warning: no CUDA graphs, each step waits for Python: %s", why)
            self.captures = False
        self.captured_at = addresses(self.static_tensors())

    def static_tensors(self) -> list[Tensor]:
        """Every tensor that a step reads or writes and that outlives the step."""
        gradients = (each.grad for each in self.state.parameters if each.grad is not None)
        moments = chain.from_iterable(map(dict.values, self.state.optimizer.state.values()))
        return [*self.inputs.tensors(), *self.fixed, *gradients, *moments]


def graph_obstacle(trainer: Trainer, state: TrainState, group: ProcessGroup) -> str:
    """Why the steps of a run cannot be captured in CUDA graphs; "" if no obstacle is known."""
    optimizer, network, device = state.optimizer, state.denoiser.network, state.denoiser.device
    obstacles = {
        f"the device is {device}": device.type != "cuda",
        "DataParallel copies the network at every step": isinstance(network, nn.DataParallel),
        "several processes exchange their gradients": group.count > 1,
        "activation checkpointing rewinds the random numbers": trainer.activation_checkpointing,
        f"{type(optimizer).__name__} asks Python whether to step": not is_fused(optimizer),
        f"{type(optimizer).__name__} exchanges the weights": has_modes(optimizer),
    }
    return next((text for text, applies in obstacles.items() if applies), "")


def graphs_text(trainer: Trainer, state: TrainState, group: ProcessGroup) -> str:
    """Whether the steps will be captured, in words, and why not."""
    if trainer.graphs is False:
        return "no CUDA graphs"
    obstacle = graph_obstacle(trainer, state, group)
    return f"no CUDA graphs: {obstacle}" if obstacle else "CUDA graphs"


@contextmanager
def capturable(optimizer: Optimizer) -> Iterator[None]:
    """Mark an optimizer as captured in this context; marked, it would warn of plain steps."""
    groups = [options for options in optimizer.param_groups if "capturable" in options]
    for options in groups:
        options["capturable"] = True
    try:
        yield
    finally:
        for options in groups:
            options["capturable"] = False
