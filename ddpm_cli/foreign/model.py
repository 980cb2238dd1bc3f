"""A model of another program in our terms: configuration, shape, classes, names of tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from ddpm_cli.checkpoints import Checkpoint, environment
from ddpm_cli.components import assemble_denoiser, build_diffusion
from ddpm_cli.config.build import options_of
from ddpm_cli.config.schema import check_groups
from ddpm_cli.foreign.entries import LONGEST, Entry, NamedTensors, misfit, ours_of
from ddpm_cli.foreign.unet_config import NETWORK
from ddpm_cli.networks.reference import ReferenceUNet

UNKNOWN = "unknown"  # source, licence and images that nobody names


@dataclass(frozen=True)
class ForeignModel:
    """A model of another program.

    config: model and schedule. shape: [C, H, W] of an image. classes: their names.
    entries: what its tensors are here. state: its tensors, by its own names.
    origin: source, licence and file. limits: how its sampling limits x_0, in words; "" if as ours.
    """

    config: DictConfig
    shape: list[int]
    classes: list[str]
    entries: Sequence[Entry]
    state: NamedTensors
    origin: dict[str, str] = field(default_factory=dict)
    limits: str = ""

    def check(self) -> None:
        """Raise ValueError with the first tensor that does not fit."""
        if fault := misfit(self.entries, self.state):
            raise ValueError(fault)

    def checkpoint(self) -> Checkpoint:
        """The model as a checkpoint before its first step, with these weights as its EMA."""
        ours = ours_of(self.entries, self.state, outline(self.config, self.shape, self.classes))
        return Checkpoint(
            config=self.config,
            fingerprint=UNKNOWN,
            shape=self.shape,
            classes=self.classes,
            step=0,
            steps=0,
            tensors={f"ema.{name}": tensor.contiguous() for name, tensor in ours.items()},
            origin=self.origin,
            environment=environment(),
        )


def outline(
    config: DictConfig, shape: Sequence[int], classes: Sequence[str]
) -> Mapping[str, Tensor]:
    """The tensors of a configuration's network by name, without memory. Raises ValueError."""
    check_groups(config, "schedule", "model")
    diffusion = build_diffusion(config)
    with torch.device("meta"):
        denoiser = assemble_denoiser(config, diffusion, shape, len(classes))
    state: Mapping[str, Tensor] = denoiser.network.state_dict()
    return state


def reference_options(config: DictConfig, task: str) -> dict[str, Any]:
    """All options of a configuration's network, which must be the reference UNet.

    task: what needs it, in messages. Raises ValueError for another network.
    """
    target = OmegaConf.select(config, "model.network._target_")
    if target != NETWORK:
        rule = f"{task} needs the network of model=ho, iddpm or adm"
        raise ValueError(f"{rule}, but model.network is {str(target)[:LONGEST]}")
    defaults = {name: each.default for name, each in options_of(ReferenceUNet).items()}
    node: Any = OmegaConf.to_container(config.model.network, resolve=True)
    plain = {name: [*each] if isinstance(each, tuple) else each for name, each in defaults.items()}
    return {**plain, **node}


def numbered_classes(count: int) -> list[str]:
    """Names of classes that are known by their numbers alone."""
    return [str(number) for number in range(count)]


def plain_config(model: Mapping[str, Any], schedule: Mapping[str, Any]) -> DictConfig:
    """A configuration of a model and its schedule."""
    return OmegaConf.create({"model": dict(model), "schedule": dict(schedule)})
