"""The components of a model and its training, built from a configuration or a checkpoint.

They are the diffusion process, the denoiser, the loss and the sampler of times.
"""

from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, Literal

import torch
from omegaconf import DictConfig

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint
from ddpm_cli.config.build import REFUSALS, bind, bind_options, build, target_of
from ddpm_cli.config.schema import check_groups
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware import find_device, is_out_of_memory, memory_fault, on_device, total_memory
from ddpm_cli.losses import Loss
from ddpm_cli.parallel import load_network
from ddpm_cli.schedules import Ending, with_zero_snr
from ddpm_cli.train_times import History, TimeSampler

UNBUILDABLE = (*REFUSALS, AttributeError, LookupError)
WITHOUT_CLASSES = "model.conditional=true needs labels, but these images have none"


def build_diffusion(cfg: DictConfig) -> GaussianDiffusion:
    """The diffusion process of the schedule."""
    betas = build(cfg, "schedule")
    try:
        if bind_options(Ending, cfg.schedule)().zero_snr:
            betas = with_zero_snr(betas)
        return GaussianDiffusion.from_betas(betas)
    except ValueError as error:
        raise ValueError(f"schedule: {error}") from error


def build_denoiser(
    cfg: DictConfig, diffusion: GaussianDiffusion, shape: Sequence[int], classes: int = 0
) -> Denoiser:
    """The denoiser for images of `shape` [C, H, W] and a number of classes.

    Raises ValueError if the denoiser needs labels and there are no classes, or with the network's
    size if the memory is too small.
    """
    with torch.device("meta"):  # takes no memory
        outline = assemble_denoiser(cfg, diffusion, shape, classes).network
    fault = f"model.network: {memory_fault(outline, torch.device('cpu'))}"
    if sum(each.nbytes for each in outline.parameters()) > total_memory():
        raise ValueError(fault)
    try:
        return assemble_denoiser(cfg, diffusion, shape, classes)
    except ValueError as error:
        if not is_out_of_memory(error.__cause__):
            raise
        raise ValueError(fault) from error


def assemble_denoiser(
    cfg: DictConfig, diffusion: GaussianDiffusion, shape: Sequence[int], classes: int
) -> Denoiser:
    """The denoiser on the default device, whose memory is not measured."""
    channels = shape[0]
    outputs = 2 * channels if cfg.model.get("variance") == "learned" else channels
    conditional = cfg.model.get("conditional", False)
    if conditional and not classes:
        raise ValueError(WITHOUT_CLASSES)
    facts: list[Any] = [channels, outputs, classes if conditional else 0]
    if "sides" in signature(target_of(cfg, "model.network")).parameters:
        facts.append(shape[1:])
    network = build(cfg, "model.network", *facts)
    return build(cfg, "model", diffusion, network)


def build_loss(cfg: DictConfig) -> Loss:
    """The loss. A loss that wraps another loss (`loss.of`) gets the wrapped loss as argument."""
    if "of" in cfg.loss:
        return build(cfg, "loss", bind(cfg, "loss.of"))
    return bind(cfg, "loss")


def build_time_sampler(cfg: DictConfig, diffusion: GaussianDiffusion) -> TimeSampler:
    """The sampler of times, after a trial."""
    sampler = bind(cfg, "train_times")
    build(cfg, "train_times", torch.full((1,), 0.5, dtype=torch.float64), History(diffusion, 1))
    return sampler


def load_denoiser(
    checkpoint: Checkpoint, *, weights: Literal["ema", "raw"], device: str, trust: list[str]
) -> Denoiser:
    """Load the denoiser of a checkpoint, ready to sample.

    The configuration may name only modules in `trust`. The network is first built without memory,
    so that a network that does not fit the weights is refused before it takes memory.
    """
    state = checkpoint.part(WEIGHTS[weights])
    if not state:
        raise ValueError(f"weights={weights}: {checkpoint.source} has none (an export has the EMA)")
    config = checkpoint.config.copy()
    config.trust = trust
    shape, classes = checkpoint.shape, len(checkpoint.classes)
    if "path" in (config.get("schedule") or {}):
        raise ValueError(
            "the checkpoint's schedule names a file, but a checkpoint of ddpm-train holds betas"
        )
    try:
        check_groups(config, "schedule", "model")
        diffusion = build_diffusion(config)
        with torch.device("meta"):
            outline = assemble_denoiser(config, diffusion, shape, classes).network
        load_network(outline, {name: tensor.to("meta") for name, tensor in state.items()})
        denoiser = build_denoiser(config, diffusion, shape, classes)
    except UNBUILDABLE as error:
        raise (
            error
            if isinstance(error, ValueError)
            else ValueError(f"the model of this checkpoint cannot be built: {error}")
        ) from error
    load_network(denoiser.network, state)
    return replace(denoiser, network=on_device(denoiser.network.eval(), find_device(device)))
