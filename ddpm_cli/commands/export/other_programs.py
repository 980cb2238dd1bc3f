"""A model's files for diffusers or OpenAI's codes, which are tried before the folder is there."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import save_file

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.console import fact
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.files import save_text
from ddpm_cli.foreign.difference import prove
from ddpm_cli.foreign.diffusers_folder import OURS, PIPELINE, SCHEDULER, UNET, WEIGHTS, read_folder
from ddpm_cli.foreign.diffusers_model import exported_model, import_diffusers
from ddpm_cli.foreign.entries import NamedTensors, diffusers_entries, openai_entries, theirs_of
from ddpm_cli.foreign.model import reference_options
from ddpm_cli.foreign.openai_flags import Flags, openai_flags
from ddpm_cli.foreign.openai_program import openai_program
from ddpm_cli.foreign.schedulers import scheduler_config
from ddpm_cli.foreign.unet_fields import unet_fields
from ddpm_cli.foreign.weights_file import read_weights

NETWORK_FILE = "model.pt"  # of OpenAI's codes
Fill: TypeAlias = Callable[[Path], list[str]]


def diffusers_files(checkpoint: Checkpoint, trust: list[str], licence: str | None) -> Fill:
    """What writes a checkpoint's EMA as a pipeline of diffusers, and returns the files' names.

    licence: of the weights, which the pipeline's file keeps.
    Raises ValueError with the reason if diffusers has no such network, or computes another output.
    """
    options = reference_options(checkpoint.config, "to=diffusers")
    denoiser = load_denoiser(checkpoint, weights="ema", device="cpu", trust=trust)
    texts = diffusers_texts(checkpoint, denoiser, options, licence)
    own = denoiser.network.state_dict()
    state = theirs_of(diffusers_entries(own, options), own)

    def fill(folder: Path) -> list[str]:
        for name, values in texts.items():
            save_text(folder / name, f"{json.dumps(values, indent=2)}\n")
        save_file(state, folder / "unet" / WEIGHTS[0], {"format": "pt"})
        package = import_diffusers()
        if isinstance(package, str):
            check_same(read_folder(folder)[0].state, state, package)
        else:
            other = exported_model(package, folder)
            prove(denoiser, other, checkpoint.shape, len(checkpoint.classes))
        return [*texts, f"unet/{WEIGHTS[0]}"]

    return fill


def diffusers_texts(
    checkpoint: Checkpoint, denoiser: Denoiser, options: Mapping[str, Any], licence: str | None
) -> dict[str, Any]:
    """The configurations of a pipeline by file. options: all of the network.

    Raises ValueError with the reason if diffusers has no such network.
    """
    rows, channels = table_rows(denoiser), checkpoint.shape[0]
    facts = {
        "classes": checkpoint.classes if rows else [],
        "null_label": rows > len(checkpoint.classes),
        "origin": {**checkpoint.origin, **({"licence": licence.strip()} if licence else {})},
    }
    network = unet_fields(
        options,
        checkpoint.shape,
        outputs=2 * channels if denoiser.variance == "learned" else channels,
        rows=rows,
        time_scale=denoiser.time_scale,
    )
    pipeline = {
        "_class_name": "DDPMPipeline",
        OURS: facts,
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }
    return {
        PIPELINE: pipeline,
        f"unet/{UNET}": network,
        f"scheduler/{SCHEDULER}": scheduler_config(checkpoint.config, denoiser.diffusion),
    }


def openai_files(checkpoint: Checkpoint, trust: list[str]) -> tuple[Fill, Flags, int]:
    """What writes the EMA as a state dict of OpenAI's codes; their flags, and their classes.

    Raises ValueError with the option that the codes have no flag for, or for another output.
    """
    config = checkpoint.config.copy()
    config.model.network = reference_options(config, "to=openai")
    denoiser = load_denoiser(checkpoint, weights="ema", device="cpu", trust=trust)
    rows = table_rows(denoiser)
    try:
        flags = openai_flags(config, checkpoint.shape, rows)
    except ValueError as error:
        raise ValueError(f"to=openai: {error}") from error
    own = denoiser.network.state_dict()
    state = theirs_of(openai_entries(own), own)

    def fill(folder: Path) -> list[str]:
        with (folder / NETWORK_FILE).open("wb") as file:
            torch.save(state, file)
        content = read_weights(folder / NETWORK_FILE)
        other = openai_program(flags, content, rows)
        if isinstance(other, str):
            check_same(content, state, other)
        else:
            prove(denoiser, other, checkpoint.shape, len(checkpoint.classes))
        return [NETWORK_FILE]

    return fill, flags, rows


def table_rows(denoiser: Denoiser) -> int:
    """The rows of the reference UNet's table of labels; 0 if it takes none."""
    return len(dict(denoiser.network.named_parameters()).get("embed.label.weight", ()))


def check_same(content: NamedTensors, state: NamedTensors, reason: str) -> None:
    """Check that a file holds these tensors, and log that no outputs were compared, and why."""
    same = content.keys() == state.keys() and all(
        torch.equal(content[name], state[name]) for name in state
    )
    if not same:
        raise ValueError("the weights in the files are not those of the checkpoint")
    fact("proof", f"{len(state):,} tensors were read back bit for bit; no outputs were compared,")
    fact("", f"because {reason}")
