"""The configuration of diffusers' UNet2DModel, and the options of the reference UNet."""

import math
from collections.abc import Sequence
from typing import Any, Literal

from ddpm_cli.foreign.json_fields import JsonFields
from ddpm_cli.networks.layers import attended_stages
from ddpm_cli.networks.reference.levels import MOST_BLOCKS

NETWORK = "ddpm_cli.networks.reference.ReferenceUNet"
DOWN = {  # of a level: whether it has attention, and how its maps are halved
    "DownBlock2D": (False, "conv"),
    "ResnetDownsampleBlock2D": (False, "block"),
    "AttnDownBlock2D": (True, None),  # by downsample_type
}
UP = {
    "UpBlock2D": (False, "conv"),
    "ResnetUpsampleBlock2D": (False, "block"),
    "AttnUpBlock2D": (True, None),
}
MOST_CLASSES = 2**16  # more than any network has
RESAMPLES = {"conv": "conv", "resnet": "block"}
TIMES = {"default": "added", "scale_shift": "scale_shift"}
REQUIRED: dict[str, list[Any]] = {  # fields with the values that the reference UNet has
    "_class_name": ["UNet2DModel"],
    "center_input_sample": [False, None],
    "time_embedding_type": ["positional"],
    "mid_block_type": ["UNetMidBlock2D"],
    "mid_block_scale_factor": [1],
    "add_attention": [True],
    "act_fn": ["silu", "swish"],
    "class_embed_type": [None],
}
KNOWN = (
    *REQUIRED,
    *("sample_size", "in_channels", "out_channels", "time_embedding_dim", "freq_shift"),
    *("flip_sin_to_cos", "down_block_types", "up_block_types", "block_out_channels"),
    *("layers_per_block", "downsample_padding", "downsample_type"),
    *("upsample_type", "dropout", "attention_head_dim", "norm_num_groups"),
    *("attn_norm_num_groups", "norm_eps", "resnet_time_scale_shift"),
    *("num_class_embeds", "num_train_timesteps"),
)


def network_options(config: JsonFields) -> dict[str, Any]:
    """The options of the reference UNet that is a UNet2DModel of a configuration.

    Raises ValueError with the field that the reference UNet cannot express.
    """
    config.refuse_others(KNOWN)
    for name, allowed in REQUIRED.items():
        config.expect(name, allowed)
    widths = config.get("block_out_channels", list[int], [224, 448, 672, 896])
    if not widths or min(widths) < 1 or widths[0] % 2:
        raise ValueError(f"{config.file}: {config.rule('block_out_channels', 'positive and even')}")
    groups = config.get("norm_num_groups", int, 32)
    config.expect("time_embedding_dim", [None, 4 * widths[0]])
    time = config.get("resnet_time_scale_shift", Literal[tuple(TIMES)], "default")
    check_middle_norm(config, groups, time)
    attended, resample = levels(config, len(widths))
    attention_at = attended_sides(config, attended)
    head_dim = config.get("attention_head_dim", int | None, 8)
    own = [width for width, has in zip(widths, attended, strict=True) if has]
    check_heads(config, head_dim, [*own, widths[-1]])
    return {
        "_target_": NETWORK,
        "dim": widths[0],
        "dim_mults": [multiple(width, widths[0]) for width in widths],
        "blocks": config.count("layers_per_block", 2, MOST_BLOCKS),
        "attention_at": attention_at,
        "heads": 1,
        "head_dim": head_dim,
        "qkv": "parts",
        "groups": groups,
        "norm_eps": config.get("norm_eps", float, 1e-5),
        "dropout": config.get("dropout", float, 0.0),
        "time": TIMES[time],
        "resample": resample,
        "padding": ("end", "all")[config.get("downsample_padding", Literal[0, 1], 1)],
        "sines_first": not config.get("flip_sin_to_cos", bool, True),
        "freq_shift": float(config.get("freq_shift", float, 0)),
        "null_label": False,
    }


def check_middle_norm(config: JsonFields, groups: int, time: str) -> None:
    """Refuse other groups in the norm of the middle's attention, and none with scale_shift."""
    own = config.get("attn_norm_num_groups", int | None, None)
    if own != groups and (own is not None or time == "scale_shift"):
        raise ValueError(f"{config.file}: {config.rule('attn_norm_num_groups', str(groups))}")


def multiple(width: int, dim: int) -> int | float:
    """A width over the base width, whole if it is; times the base width it is the width again."""
    ratio = width / dim
    if width % dim == 0:
        return width // dim
    return ratio if int(dim * ratio) == width else math.nextafter(ratio, math.inf)


def sides_of(config: JsonFields) -> list[int]:
    """H and W of the images."""
    size = config.get("sample_size", int | list[int], None)
    sides = [size, size] if isinstance(size, int) else size
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"{config.file}: {config.rule('sample_size', 'a side, or two')}")
    return sides


def attended_sides(config: JsonFields, attended: Sequence[bool]) -> list[int]:
    """The sides of maps that have attention at these levels, and at no others."""
    for side in sides_of(config):
        at = [side // 2**place for place, has in enumerate(attended) if has]
        if attended_stages(sides_of(config), len(attended), at) == [*attended]:
            return at
    allowed = "sides that name the sizes of maps with attention"
    raise ValueError(f"{config.file}: {config.rule('sample_size', allowed)}")


def levels(config: JsonFields, count: int) -> tuple[list[bool], str]:
    """Whether each level has attention, and how maps are resampled between all levels."""
    attended, resamples = [], []
    for way, kinds in (("down", DOWN), ("up", UP)):
        name = f"{way}_block_types"
        default = ["DownBlock2D", *["AttnDownBlock2D"] * 3]
        default = default if way == "down" else ["AttnUpBlock2D"] * 3 + ["UpBlock2D"]
        types = config.get(name, list[str], default)
        if foreign := [each for each in types if each not in kinds]:
            rule = f"{name} must be of {', '.join(kinds)}, but one is {foreign[0][:40]!r}"
            raise ValueError(f"{config.file}: {rule}")
        if len(types) != count:
            raise ValueError(f"{config.file}: {config.rule(name, f'{count} names')}")
        own = RESAMPLES[config.get(f"{way}sample_type", Literal[tuple(RESAMPLES)], "conv")]
        facts = [kinds[each] for each in (types if way == "down" else types[::-1])]
        attended.append([has for has, _ in facts])
        at_steps = facts[:-1] if way == "down" else facts[1:]
        resamples += [resample or own for _, resample in at_steps]
    if attended[0] != attended[1]:
        allowed = "down_block_types in reverse, with attention at the same sizes"
        raise ValueError(f"{config.file}: {config.rule('up_block_types', allowed)}")
    if len(set(resamples)) > 1:
        allowed = "of one kind with down_block_types, downsample_type and upsample_type"
        raise ValueError(f"{config.file}: {config.rule('up_block_types', allowed)}")
    return attended[0], (resamples or ["conv"])[0]


def check_heads(config: JsonFields, head_dim: int | None, widths: Sequence[int]) -> None:
    """Refuse a width of heads that does not divide a width with attention."""
    if head_dim is not None and (head_dim < 1 or any(width % head_dim for width in widths)):
        allowed = f"null, or a divisor of {', '.join(map(str, sorted(set(widths))))}"
        raise ValueError(f"{config.file}: {config.rule('attention_head_dim', allowed)}")
