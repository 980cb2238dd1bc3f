"""Images as `ddpm-sample` draws them, into memory instead of a folder."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.sample.batch_size import choose_batch_size
from ddpm_cli.commands.sample.command import Options
from ddpm_cli.config.build import bind_options, options_of
from ddpm_cli.config.composition import compose_options
from ddpm_cli.config.other_names import meant_option
from ddpm_cli.config.schema import parse_options
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.build import build_generator_of
from ddpm_cli.generation.draw import draw_missing
from ddpm_cli.generation.options import GenerationOptions, drawing_groups
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.hardware import prepare_for_sampling
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.shapes import Bytes

SamplerChoice: TypeAlias = str | Mapping[str, Any]
GuiderChoice: TypeAlias = str | Mapping[str, Any] | None
OF_IMAGES = options_of(GenerationOptions)
OF_FILES = {*options_of(Options), "weights"} - {"n", "batch", "indices"}  # and of `load`
NOWHERE, ALONE = ImageStore(Path(), png=False, npz=False), ProcessGroup()


def sample_config(
    sampler: SamplerChoice, guider: GuiderChoice, given: Mapping[str, Any]
) -> DictConfig:
    """The configuration that `ddpm-sample` composes for a sampler, a guider and these options.

    Options that are neither the command's nor the images' are the sampler's. Raises ValueError for
    another program's name of an option.
    """
    named = {"sampler": sampler if isinstance(sampler, str) else "ddim"}
    named |= {"guider": guider} if isinstance(guider, str) else {}
    plain = deepcopy(sample_defaults(*(f"{group}={choice}" for group, choice in named.items())))
    plain |= {"guider": dict(guider)} if isinstance(guider, Mapping) else {}
    node = plain["sampler"] if isinstance(sampler, str) else dict(sampler)
    for name, value in given.items():
        is_known = name in plain or name in node
        if meant := "" if is_known else meant_option(name, [*plain, "steps"]):
            raise ValueError(f"{name} is not an option of Model.sample; did you mean {meant}?")
        own = plain if name in plain else node
        own[name] = str(value) if isinstance(value, Path) else value
    return OmegaConf.create({**plain, "sampler": node})


@cache
def sample_defaults(*choices: str) -> dict[str, Any]:
    """The plain options of `ddpm-sample` with these choices of its groups."""
    cfg, _ = compose_options("sample", list(choices))
    plain: Any = OmegaConf.to_container(cfg)
    return plain


def draw_into_memory(
    denoiser: Denoiser, checkpoint: Checkpoint, cfg: DictConfig, *, verbose: bool
) -> Bytes:
    """Draw the images of a configuration of `ddpm-sample` by a denoiser that is loaded already.

    Images of `indices` come in the order of the indices.
    """
    options = parse_options(cfg, Options, groups=drawing_groups(cfg), beside=OF_IMAGES)
    generation = bind_options(GenerationOptions, cfg)()
    if generation.precision != "fp32":  # the weights of the model stay as they are
        network = prepare_for_sampling(deepcopy(denoiser.network), generation.precision)
        denoiser = replace(denoiser, network=network)
    about: dict[str, Any] = {"n": options.n, "device": options.device, "trust": options.trust}
    generator = build_generator_of(denoiser, cfg, generation, checkpoint, **about, verbose=verbose)
    wanted, batch = options.wanted_indices, options.batch
    if batch == "auto":
        batch = choose_batch_size(generator, len(wanted))
    images = draw_missing(generator, NOWHERE, wanted, batch, set(), wanted, ALONE, verbose=verbose)
    return torch.stack([images[index] for index in options.indices or wanted])
