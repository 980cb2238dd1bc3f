"""The flags by which the scripts of improved-diffusion and guided-diffusion build a model."""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.values import yaml_text

IMPROVED, GUIDED = "improved_diffusion", "guided_diffusion"
MULTS: dict[str, dict[int, list[float]]] = {  # by the size of the images, in create_model
    IMPROVED: {32: [1, 2, 2, 2], 64: [1, 2, 3, 4], 256: [1, 1, 2, 2, 4, 4]},
    GUIDED: {
        64: [1, 2, 3, 4],
        128: [1, 1, 2, 3, 4],
        256: [1, 1, 2, 2, 4, 4],
        512: [0.5, 1, 1, 2, 2, 4, 4],
    },
}
IMAGE_CHANNELS = 3
FLAGLESS = {  # options that the codes have no flags for, with their values
    "groups": 32,
    "norm_eps": 1e-5,
    "padding": "all",
    "sines_first": False,
    "freq_shift": 0.0,
}
SCHEDULES = {
    "linear": {"first": 1e-4, "last": 0.02},
    "cosine": {"offset": 0.008, "max_beta": 0.999},
}


class Flags(NamedTuple):
    """The package whose scripts draw a model, and the flags that they need."""

    package: str
    values: dict[str, Any]

    @property
    def text(self) -> str:
        """The flags as they are typed."""
        return " ".join(f"--{name} {value}" for name, value in self.values.items())


def openai_flags(config: DictConfig, shape: Sequence[int], rows: int) -> Flags:
    """The flags of a model. rows: of the table of labels.

    Raises ValueError with the option that the codes have no flag for.
    """
    whole: Any = OmegaConf.to_container(config, resolve=True)
    model, schedule = whole["model"], whole["schedule"]
    network = model["network"]
    check_fixed(network, shape)
    package = package_of(network, model["variance"], shape)
    flags = {
        "image_size": shape[1],
        "num_channels": network["dim"],
        "num_res_blocks": network["blocks"],
        "num_heads": network["heads"],
        # No map has twice the side of the image.
        "attention_resolutions": ",".join(map(str, network["attention_at"] or [2 * shape[1]])),
        "dropout": network["dropout"],
        "use_scale_shift_norm": network["time"] == "scale_shift",
        "class_cond": rows > 0,
        "learn_sigma": model["variance"] == "learned",
        **process_flags(model, schedule),
    }
    if package == IMPROVED:
        return Flags(package, {**flags, "sigma_small": model["variance"] == "small"})
    mults = network["dim_mults"]
    default = MULTS[GUIDED].get(shape[1]) == mults
    more = {
        "channel_mult": "" if default else ",".join(map(str, mults)),
        "num_head_channels": network["head_dim"] or -1,
        "resblock_updown": network["resample"] == "block",
        "use_new_attention_order": network["qkv"] == "parts",
    }
    return Flags(package, {**flags, **{name: each for name, each in more.items() if each != ""}})


def process_flags(model: Mapping[str, Any], schedule: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a process and of what the network predicts."""
    name = schedule["_target_"].rpartition(".")[2]
    known = SCHEDULES.get(name, {})
    if not known or not all(isclose(schedule[key], each) for key, each in known.items()):
        raise refusal("schedule", name, "linear from 1e-4 to 0.02, or cosine as in Improved DDPM")
    if schedule.get("zero_snr"):
        raise refusal("schedule.zero_snr", True, "false")
    if model["predicts"] == "v":
        raise refusal("model.predicts", "v", "eps or x0")
    scale, steps = model.get("time_scale", 1.0), schedule["steps"]
    if scale not in (1.0, 1000 / steps):
        raise refusal("model.time_scale", scale, f"1, or {1000 / steps:g} (1000 / T)")
    return {
        "diffusion_steps": steps,
        "noise_schedule": name,
        "predict_xstart": model["predicts"] == "x0",
        "rescale_timesteps": scale != 1.0,
    }


def check_fixed(network: Mapping[str, Any], shape: Sequence[int]) -> None:
    """Refuse options that the codes have other, fixed values of."""
    if shape[0] != IMAGE_CHANNELS or shape[1] != shape[2]:
        raise refusal("the shape of the images", [*shape], "3 channels and a square")
    for name, value in FLAGLESS.items():
        if network[name] != value:
            raise refusal(f"model.network.{name}", network[name], yaml_text(value))


def package_of(network: Mapping[str, Any], variance: str, shape: Sequence[int]) -> str:
    """The package whose scripts have flags for a network. Raises ValueError if none has."""
    mults, one_head = network["dim_mults"], network["head_dim"] is None and network["heads"] == 1
    has_older_parts = (
        network["head_dim"] is None
        and network["resample"] == "conv"
        and (network["qkv"] == "heads" or one_head)
    )
    if has_older_parts and MULTS[IMPROVED].get(shape[1]) == mults:
        return IMPROVED
    if variance == "small":
        raise refusal("model.variance", "small", "large or learned for this network")
    if MULTS[GUIDED].get(shape[1]) != mults and not all(float(each).is_integer() for each in mults):
        raise refusal("model.network.dim_mults", mults, "whole numbers")
    return GUIDED


def refusal(name: str, value: object, allowed: str) -> ValueError:
    """The error for an option that OpenAI's codes cannot have."""
    return ValueError(f"{name} must be {allowed}, but is {yaml_text(value)}")
