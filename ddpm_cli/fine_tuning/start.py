"""The weights with which a run starts: drawn from its seed, or those of a checkpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ddpm_cli.components import assemble_denoiser, build_denoiser
from ddpm_cli.config.schema import option_differences
from ddpm_cli.config.values import yaml_text
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.fine_tuning.initial_weights import InitialWeights
from ddpm_cli.fine_tuning.interface import Interface
from ddpm_cli.fine_tuning.network_options import GROUPS_TAKEN
from ddpm_cli.fine_tuning.transfer import take_weights
from ddpm_cli.optimizers.groups import freeze
from ddpm_cli.seeds import Purpose, torch_seed
from ddpm_cli.text import cut_text

OF_INTERFACE = ("model.conditional", "model.variance")  # whose changes the transfer tells
MOST_TEXT = 2000  # characters of all changes; a checkpoint that says more is refused


def initial_denoiser(
    cfg: DictConfig,
    diffusion: GaussianDiffusion,
    shape: Sequence[int],
    classes: Sequence[str],
    initial: InitialWeights | None,
) -> tuple[Denoiser, dict[str, str]]:
    """The denoiser before training, and what is recorded of the checkpoint that it starts from.

    Its weights are a function of the seed where no checkpoint gives them.
    Raises ValueError if `trainer.freeze` matches nothing or everything.
    """
    torch.manual_seed(torch_seed(cfg.seed, Purpose.WEIGHTS))
    denoiser = build_denoiser(cfg, diffusion, shape, len(classes))
    freeze(denoiser.network, cfg.trainer.freeze)
    if initial is None:
        return denoiser, {}
    return denoiser, start_from(initial, denoiser, cfg, shape, classes)


def start_from(
    initial: InitialWeights,
    denoiser: Denoiser,
    cfg: DictConfig,
    shape: Sequence[int],
    classes: Sequence[str],
) -> dict[str, str]:
    """Give a denoiser the weights of a checkpoint; return what is recorded of them.

    shape: [C, H, W] of the images. Raises ValueError if the weights are of another network.
    """

    def outline(interface: Interface) -> nn.Module:
        other = cfg.copy()
        OmegaConf.update(other, "model.variance", interface.variance)
        sizes = interface.channels, *shape[1:]
        with torch.device("meta"):
            count = len(interface.classes)
            return assemble_denoiser(other, denoiser.diffusion, sizes, count).network

    names = list(classes) if denoiser.conditional else []
    interface = Interface(shape[0], names, denoiser.variance)
    facts = initial.facts | take_weights(denoiser.network, initial, interface, outline)
    changes = [facts["changes"], *option_changes(initial.checkpoint.config, cfg)]
    return {**facts, "changes": cut_text("; ".join(filter(None, changes)), MOST_TEXT)}


def option_changes(old: DictConfig, new: DictConfig) -> Iterator[str]:
    """Yield the options of network and schedule that are not the checkpoint's, in words."""
    before, after = (plain_groups(each) for each in (old, new))
    for key, one, other in option_differences(before, after):
        if key not in OF_INTERFACE and one is not None and other is not None:
            yield cut_text(f"{key}: {yaml_text(one)} -> {yaml_text(other)}")


def plain_groups(cfg: DictConfig) -> dict[str, Any]:
    """The options of network and schedule as plain values."""
    nodes = {group: OmegaConf.select(cfg, group) for group in GROUPS_TAKEN}
    return {group: OmegaConf.to_container(node, resolve=True) for group, node in nodes.items()}
