"""The two sides of the benchmarks: training and sampling as tutorials write them, and ours."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import torch
from einops import einsum, rearrange
from omegaconf import OmegaConf
from torch import nn
from torch.amp import GradScaler
from torch.nn import functional as F

from ddpm_cli import losses, schedules
from ddpm_cli.config.auto import FIXED
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware import TYPES, choose_layout, on_device, prepare_for_training
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.loading import BatchDataset, batches
from ddpm_cli.networks.layers import GroupNorm, Pointwise
from ddpm_cli.networks.unet import UNet
from ddpm_cli.networks.unet.blocks import Attention
from ddpm_cli.parallel import ALONE, ProcessGroup
from ddpm_cli.training import Progress, Trainer, TrainState, fit

Sides: TypeAlias = Mapping[str, Callable[[], object]]
CPU = torch.device("cpu")
DIFFUSION = GaussianDiffusion.from_betas(schedules.linear())


@dataclass(frozen=True)
class Task:
    """The network and the images that both sides train."""

    dim: int
    mults: tuple[int, ...]
    size: int
    batch: int
    channels: int = 3

    def network(self) -> UNet:
        """The network, the same at every call."""
        torch.manual_seed(0)
        return UNet(self.channels, self.channels, dim=self.dim, dim_mults=self.mults)

    def images(self, batches: int = 1) -> torch.Tensor:
        """Random bytes, enough for some batches."""
        return torch.randint(
            0, 256, (batches * self.batch, self.channels, self.size, self.size), dtype=torch.uint8
        )


class Einsum(nn.Module):
    """Attention of either kind with its products written out."""

    def __init__(self, attention: Attention, mix: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.heads, self.to_qkv, self.to_out, self.mix = (
            attention.heads,
            attention.to_qkv,
            attention.to_out,
            mix,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            rearrange(part, "b (h d) y x -> b h d (y x)", h=self.heads)
            for part in self.to_qkv(x).chunk(3, dim=1)
        )
        return self.to_out(
            rearrange(
                self.mix(q * q.shape[2] ** -0.5, k, v), "b h d (y x) -> b (h d) y x", y=x.shape[2]
            )
        )


def pairs(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention by the matrix of all pairs."""
    scores = einsum(q, k, "b h d i, b h d j -> b h i j")
    scores = (scores - scores.amax(dim=-1, keepdim=True).detach()).softmax(dim=-1)
    return einsum(scores, v, "b h i j, b h d j -> b h d i")


def linear(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Linear attention."""
    scale = q.shape[2] ** -0.5
    context = einsum(k.softmax(dim=-1), v, "b h d n, b h e n -> b h d e")
    return einsum(context, (q / scale).softmax(dim=-2) * scale, "b h d e, b h d n -> b h e n")


def plain(layer: nn.Module) -> nn.Module:
    """Replace a layer and all layers in it by those of tutorials, with the same weights."""
    for name, child in layer.named_children():
        setattr(layer, name, plain(child))
    if isinstance(layer, Attention):
        return Einsum(layer, linear if layer.linear else pairs)
    if isinstance(layer, Pointwise | GroupNorm):
        layer = copy.copy(layer)
        layer.__class__ = nn.Conv2d if isinstance(layer, Pointwise) else nn.GroupNorm
    return layer


def tutorial(task: Task, device: torch.device = CPU) -> Iterator[torch.Tensor]:
    """Train as tutorials do, step by step: fp32, einsum attention, plain Adam, contiguous maps."""
    network, images = plain(task.network()).to(device), task.images().to(device)
    alpha_bar = DIFFUSION.alpha_bar.float().to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    while True:
        optimizer.zero_grad()
        x0 = images.float() / 127.5 - 1
        t, eps = torch.randint(0, 1000, (task.batch,), device=device), torch.randn_like(x0)
        kept = alpha_bar[t + 1].view(-1, 1, 1, 1)
        loss = F.mse_loss(network(kept.sqrt() * x0 + (1 - kept).sqrt() * eps, t.float()), eps)
        loss.backward()
        optimizer.step()
        yield loss.detach()


def tutorial_sampling(task: Task) -> Iterator[torch.Tensor]:
    """Sample as tutorials do: fp32, einsum attention, coefficients looked up for each image."""
    network, x, alpha_bar = (
        plain(task.network()).eval(),
        torch.randn(task.batch, task.channels, task.size, task.size),
        DIFFUSION.alpha_bar.float(),
    )
    betas = 1 - alpha_bar[1:] / alpha_bar[:-1]
    while True:
        for step in reversed(range(1, 1000)):
            t = torch.full((task.batch,), step, dtype=torch.long)
            beta, rest, kept = (
                each[t].view(-1, 1, 1, 1)
                for each in (betas, (1 - alpha_bar[1:]).sqrt(), (1 / (1 - betas)).sqrt())
            )
            mean = kept * (x - beta * network(x, t.float()) / rest)
            variance = (betas * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]))[t].view(-1, 1, 1, 1)
            x = mean + variance.sqrt() * torch.randn_like(x)
            yield x.cpu()


def state_of(
    task: Task,
    precision: str = "fp32",
    recomputed: bool = False,
    device: torch.device = CPU,
    compiled: bool = False,
    ema_lengths: Sequence[float] = (),
) -> TrainState:
    """The project's state before the first step."""
    optimizer, network = partial(torch.optim.AdamW, lr=1e-4, fused=True), task.network()
    shape, count = (task.channels, task.size, task.size), task.batch
    layout = choose_layout(network, device, TYPES[precision], shape, count, compiled=compiled)
    denoiser = Denoiser(DIFFUSION, on_device(network, device, layout))
    state = TrainState.fresh(denoiser, optimizer, ema_lengths=ema_lengths)
    network = prepare_for_training(
        state.denoiser.network, precision, compiled=compiled, recomputed=recomputed
    )
    state.denoiser = replace(state.denoiser, network=network)
    state.scaler = GradScaler(device.type, enabled=precision == "fp16")
    return state


def recipe(task: Task, **options: Any) -> Trainer:
    """The project's defaults, for so long that no benchmark reaches the end."""
    defaults: dict[str, Any] = OmegaConf.to_container(
        OmegaConf.load(CONFIG_DIR / "trainer/single.yaml")
    )
    changed = {"device": "cpu", "steps": 10**6, "batch_size": task.batch, **options}
    own = {
        name: FIXED.get(f"trainer.{name}", each)
        for name, each in defaults.items()
        if name not in ("_target_", "optimizer")
    }
    return Trainer(torch.optim.AdamW, **{**own, **changed})


def project(
    task: Task, state: TrainState, group: ProcessGroup = ALONE, **options: Any
) -> Iterator[Progress]:
    """Train as this project does; yield after each step. options: options of the trainer."""
    stream = BatchDataset(
        ImageSet(task.images(4), None, []), task.batch, 0, False, group.slice_of(task.batch)
    )
    source = batches(stream, pin=state.denoiser.device.type == "cuda")
    trainer = recipe(task, **options)
    return fit(trainer, state, source, losses.l2, steps=10**6, seed=0, group=group)


def bare(task: Task, state: TrainState) -> Iterator[None]:
    """Run forward pass, backward pass and optimizer of the project's network alone."""
    (x, eps), t = (
        torch.randn(2, task.batch, task.channels, task.size, task.size),
        torch.full((task.batch,), 500.0),
    )
    while True:
        state.optimizer.zero_grad()
        F.mse_loss(state.denoiser.network(x, t).float(), eps).backward()
        state.optimizer.step()
        yield


def interleaved(sides: Sides, rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Seconds of every side in every round; sides take turns, and the first rounds warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for place in range(warm + rounds):
        for name, side in sides.items():
            since = time.perf_counter()
            side()
            seconds[name] += [time.perf_counter() - since] * (place >= warm)
    return seconds
