"""The names that diffusers and OpenAI's codes give to the parameters of `ReferenceUNet`.

Values and their order are equal, but for axes of length 1. Of each of our names there is a list,
because diffusers keeps q, k and v apart.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Names: TypeAlias = dict[str, list[str]]

# A unit is a residual block, an attention or a single layer; a part is a layer of a unit.
PARAMETER = re.compile(
    r"(stem|(?:head|middle|embed\.time)\.\d|embed\.label"
    r"|(?:down|up)\.\d+\.(?:layers\.\d+\.(?:block|attention)|resample))"
    r"\.(?:(\w+)\.)?(weight|bias)"
)
DIFFUSERS_UNITS = (
    (r"embed\.time\.1", "time_embedding.linear_1"),
    (r"embed\.time\.3", "time_embedding.linear_2"),
    (r"embed\.label", "class_embedding"),
    (r"stem", "conv_in"),
    (r"(down|up)\.(\d+)\.layers\.(\d+)\.block", r"\1_blocks.\2.resnets.\3"),
    (r"(down|up)\.(\d+)\.layers\.(\d+)\.attention", r"\1_blocks.\2.attentions.\3"),
    (r"(down|up)\.(\d+)\.resample", r"\1_blocks.\2.\1samplers.0"),
    (r"middle\.0", "mid_block.resnets.0"),
    (r"middle\.1", "mid_block.attentions.0"),
    (r"middle\.2", "mid_block.resnets.1"),
    (r"head\.0", "conv_norm_out"),
    (r"head\.2", "conv_out"),
)
DIFFUSERS_BLOCK = {
    "first_norm": ["norm1"],
    "first": ["conv1"],
    "time": ["time_emb_proj"],
    "second_norm": ["norm2"],
    "last": ["conv2"],
    "shortcut": ["conv_shortcut"],
    "shrink": ["conv"],
    "grow": ["conv"],
}
DIFFUSERS_ATTENTION = {
    "norm": ["group_norm"],
    "qkv": ["to_q", "to_k", "to_v"],
    "last": ["to_out.0"],
}
OPENAI_UNITS = (
    (r"embed\.time\.1", "time_embed.0"),
    (r"embed\.time\.3", "time_embed.2"),
    (r"embed\.label", "label_emb"),
    (r"stem", "input_blocks.0.0"),
    (r"middle\.(\d)", r"middle_block.\1"),
    (r"head\.(\d)", r"out.\1"),
)
OPENAI_BLOCK = {
    "first_norm": ["in_layers.0"],
    "first": ["in_layers.2"],
    "time": ["emb_layers.1"],
    "second_norm": ["out_layers.0"],
    "last": ["out_layers.3"],
    "shortcut": ["skip_connection"],
    "shrink": ["op"],
    "grow": ["conv"],
}
OPENAI_ATTENTION = {"norm": ["norm"], "qkv": ["qkv"], "last": ["proj_out"]}


def names_in_diffusers(names: Sequence[str]) -> Names:
    """The names in a `UNet2DModel`. names: all of a network, in their order."""
    units = {unit: name_of_unit(unit, DIFFUSERS_UNITS) for unit in units_of(names)}
    return names_by_tables(names, units, DIFFUSERS_BLOCK, DIFFUSERS_ATTENTION)


def names_in_openai(names: Sequence[str]) -> Names:
    """The names in a `UNetModel` of improved-diffusion and guided-diffusion.

    It counts the blocks of all levels. A step to a smaller size counts as a block, and one to a
    larger size belongs to the block before it.
    """
    units, blocks, layers = dict[str, str](), {"input_blocks": 1, "output_blocks": 0}, 0
    for unit in units_of(names):
        way, kind = unit.split(".")[0], unit.split(".")[-1]
        numbered = {"down": "input_blocks", "up": "output_blocks"}.get(way)
        if numbered is None:
            units[unit] = name_of_unit(unit, OPENAI_UNITS)
            continue
        if kind == "block" or (way, kind) == ("down", "resample"):
            blocks[numbered], layers = blocks[numbered] + 1, 0
        units[unit] = f"{numbered}.{blocks[numbered] - 1}.{layers}"
        layers += 1
    return names_by_tables(names, units, OPENAI_BLOCK, OPENAI_ATTENTION)


def units_of(names: Sequence[str]) -> list[str]:
    """The units of a network in their order."""
    return list(dict.fromkeys(parameter_place(name)[0] for name in names))


def parameter_place(name: str) -> tuple[str, str | None, str]:
    """The unit, part and kind of a parameter."""
    match = PARAMETER.fullmatch(name)
    assert match, f"{name} is no parameter of a ReferenceUNet"
    unit, part, kind = match.groups()
    return unit, part, kind


def name_of_unit(unit: str, table: Sequence[tuple[str, str]]) -> str:
    """The name of a unit by the row of a table that describes it."""
    return next(
        match.expand(theirs) for ours, theirs in table if (match := re.fullmatch(ours, unit))
    )


def names_by_tables(
    names: Sequence[str],
    units: Mapping[str, str],
    block: Mapping[str, Sequence[str]],
    attention: Mapping[str, Sequence[str]],
) -> Names:
    """All names by those of units, and of parts of a block and of an attention."""
    table = Names()
    for name in names:
        unit, part, kind = parameter_place(name)
        parts = attention if unit.endswith((".attention", "middle.1")) else block
        places = (
            [units[unit]] if part is None else [f"{units[unit]}.{each}" for each in parts[part]]
        )
        table[name] = [f"{place}.{kind}" for place in places]
    return table
