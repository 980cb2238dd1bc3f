"""Tensors of the reference UNet as another program keeps them: other names, parts and axes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from einops import rearrange
from torch import Tensor

from ddpm_cli.foreign.reference_names import (
    Names,
    names_in_diffusers,
    names_in_openai,
    parameter_place,
)

NamedTensors: TypeAlias = Mapping[str, Tensor]
LONGEST = 100  # characters of a name in a message


@dataclass(frozen=True)
class Entry:
    """One of our tensors, and its parts in another network. shape: of a part.

    heads: the number of heads, if our features are ordered by heads first and the parts are not.
    """

    ours: str
    theirs: Sequence[str]
    shape: Sequence[int]
    heads: int = 1

    def parts(self, tensor: Tensor) -> dict[str, Tensor]:
        """The parts of our tensor, by their names."""
        sizes = {"heads": self.heads, "part": len(self.theirs)}
        parts = rearrange(tensor.flatten(), "(heads part n) -> part (heads n)", **sizes)
        shaped = (part.reshape(tuple(self.shape)).clone() for part in parts)
        return dict(zip(self.theirs, shaped, strict=True))

    def whole(self, state: NamedTensors, shape: Sequence[int]) -> Tensor:
        """Our tensor of a shape, from its parts; a view where it is a single part."""
        if len(self.theirs) == 1:
            return state[self.theirs[0]].reshape(tuple(shape))
        parts = torch.stack([state[name].flatten() for name in self.theirs])
        whole = rearrange(parts, "part (heads n) -> (heads part n)", heads=self.heads)
        return whole.reshape(tuple(shape))


def diffusers_entries(own: NamedTensors, options: Mapping[str, Any]) -> list[Entry]:
    """The entries of a UNet2DModel. own: our tensors, perhaps on `meta`. options: our network's."""
    by_heads = options.get("qkv") == "heads"

    def heads(width: int) -> int:
        head_dim = options.get("head_dim")
        return (width // head_dim if head_dim else options.get("heads", 1)) if by_heads else 1

    return [*entries(own, names_in_diffusers, axes=2, heads=heads)]


def openai_entries(own: NamedTensors) -> list[Entry]:
    """The entries of a UNetModel of OpenAI's codes, which has both orders of features."""
    return [*entries(own, names_in_openai, axes=3, heads=lambda width: 1)]


def entries(
    own: NamedTensors,
    names: Callable[[Sequence[str]], Names],
    *,
    axes: int,
    heads: Callable[[int], int],
) -> Iterator[Entry]:
    """Yield the entries of our tensors. axes: of a matrix in their attentions.

    heads: the number of heads of an attention of a width.
    """
    for ours, theirs in names([*own]).items():
        unit, part, _ = parameter_place(ours)
        rows, *sides = own[ours].shape
        if unit.endswith((".attention", "middle.1")) and part != "norm":
            sides = sides[: axes - 1]
        shape = rows // len(theirs), *sides
        yield Entry(ours, theirs, shape, heads(rows // 3) if len(theirs) > 1 else 1)


def theirs_of(entries: Sequence[Entry], state: NamedTensors) -> dict[str, Tensor]:
    """Our tensors by their names."""
    return {name: part for each in entries for name, part in each.parts(state[each.ours]).items()}


def ours_of(entries: Sequence[Entry], state: NamedTensors, own: NamedTensors) -> dict[str, Tensor]:
    """Their tensors by our names. own: our tensors, perhaps on `meta`."""
    return {each.ours: each.whole(state, own[each.ours].shape) for each in entries}


def misfit(entries: Sequence[Entry], state: NamedTensors) -> str:
    """The first of their tensors that does not fit, in words; "" if all fit and none is left."""
    shapes = {name: [*each.shape] for each in entries for name in each.theirs}
    for name, shape in shapes.items():
        if name not in state:
            return f"{name} is missing"
        if [*state[name].shape] != shape:
            return f"{name} must be {shape}, but is {[*state[name].shape]}"
    more = sorted(state.keys() - shapes.keys())
    return f"{more[0][:LONGEST]} is one tensor too many" if more else ""
