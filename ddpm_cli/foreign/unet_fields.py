"""The configuration of a UNet2DModel of diffusers for the reference UNet, or why there is none."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddpm_cli.config.values import yaml_text
from ddpm_cli.foreign.unet_config import RESAMPLES, TIMES
from ddpm_cli.networks.layers import attended_stages

PLAIN = {  # a level without attention, by its way and how its maps are resampled
    "down": {"conv": "DownBlock2D", "block": "ResnetDownsampleBlock2D"},
    "up": {"conv": "UpBlock2D", "block": "ResnetUpsampleBlock2D"},
}
ATTENTION = {"down": "AttnDownBlock2D", "up": "AttnUpBlock2D"}


def unet_fields(
    options: Mapping[str, Any], shape: Sequence[int], *, outputs: int, rows: int, time_scale: float
) -> dict[str, Any]:
    """The configuration of the UNet2DModel that computes what our network with all options does.

    outputs: the channels of the output. rows: of the table of labels.
    Raises ValueError with the reason why there is none.
    """
    check_times(options, time_scale)
    sides, widths = [*shape[1:]], [int(options["dim"] * mult) for mult in options["dim_mults"]]
    attended = attended_stages(sides, len(widths), options["attention_at"])
    resample = {ours: theirs for theirs, ours in RESAMPLES.items()}[options["resample"]]
    blocks = {
        way: [ATTENTION[way] if has else PLAIN[way][options["resample"]] for has in attended]
        for way in PLAIN
    }
    return {
        "_class_name": "UNet2DModel",
        "sample_size": sides[0] if sides[0] == sides[1] else sides,
        "in_channels": shape[0],
        "out_channels": outputs,
        "block_out_channels": widths,
        "layers_per_block": options["blocks"],
        "down_block_types": blocks["down"],
        "up_block_types": blocks["up"][::-1],
        "attention_head_dim": head_width(options, widths, attended),
        "norm_num_groups": options["groups"],
        "attn_norm_num_groups": options["groups"],
        "norm_eps": options["norm_eps"],
        "dropout": options["dropout"],
        "resnet_time_scale_shift": {ours: name for name, ours in TIMES.items()}[options["time"]],
        "downsample_type": resample,
        "upsample_type": resample,
        "downsample_padding": int(options["padding"] == "all"),
        "flip_sin_to_cos": not options["sines_first"],
        "freq_shift": options["freq_shift"],
        "num_class_embeds": rows or None,
    }


def check_times(options: Mapping[str, Any], time_scale: float) -> None:
    """Refuse scaled times, and sines of another number than the width of the first level."""
    if time_scale != 1:
        reason = "diffusers gives the network whole times, 0 to T - 1"
        raise ValueError(f"to=diffusers: model.time_scale must be 1, but is {time_scale}: {reason}")
    mults = [*options["dim_mults"]]
    if int(options["dim"] * mults[0]) != options["dim"]:
        reason = "diffusers' times have as many features as the first level"
        rule = f"dim_mults must begin with 1, but are {yaml_text(mults)}"
        raise ValueError(f"to=diffusers: {rule}: {reason}")


def head_width(
    options: Mapping[str, Any], widths: Sequence[int], attended: Sequence[bool]
) -> int | None:
    """The one width of a head that diffusers has for all levels; None: one head at each level."""
    heads, head_dim = options["heads"], options["head_dim"]
    if head_dim is not None or heads == 1:
        return head_dim
    own = {width for width, has in zip(widths, attended, strict=True) if has} | {widths[-1]}
    if len(own) > 1:
        at = ", ".join(map(str, sorted(own)))
        reason = (
            "diffusers has one width of heads for all levels, and would be wrong without a word"
        )
        raise ValueError(f"to=diffusers: {heads} heads at the widths {at}: {reason}")
    return own.pop() // heads
