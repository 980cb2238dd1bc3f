"""Input and output channels of a network, fitted to images of another number of channels."""

import torch
from einops import rearrange
from torch import Tensor

from ddpm_cli.fine_tuning.interface import Interface

BANDS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # more channels are those of arrays, in order
CONSTANT = {"small": -1.0, "large": 1.0}  # the output of a learned variance that equals a fixed one


def channel_sources(old: int, new: int) -> list[list[int]]:
    """For each new channel, the old channels that it stands for; [] if it has none.

    Grey stands for red in colour images, and all colours for grey.
    """
    if not {old, new} <= BANDS.keys():
        return [[place] if place < old else [] for place in range(new)]
    bands = BANDS[old]
    stands_for = {band: band for band in "LRGBA"}
    stands_for |= {"R": "L"} if "L" in bands else {"L": "RGB"}
    return [
        [bands.index(each) for each in stands_for[band] if each in bands] for band in BANDS[new]
    ]


def mixing(old: int, new: int) -> Tensor:
    """The 0/1 matrix [new, old] of the old channels that each new channel stands for."""
    matrix = torch.zeros(new, old)
    for place, sources in enumerate(channel_sources(old, new)):
        matrix[place, sources] = 1
    return matrix


def fit_inputs(weight: Tensor, axis: int, old: int, new: int) -> Tensor:
    """A weight for `new` input channels: a new channel adds nothing, joined channels add up.

    The axis may hold a patch of pixels, in which the channels lie last.
    """
    parts = rearrange(weight.movedim(axis, 0), "(k c) ... -> k c ...", c=old)
    parts = torch.einsum("nc,kc...->kn...", mixing(old, new).to(weight.dtype), parts)
    return parts.flatten(0, 1).movedim(0, axis)


def fit_outputs(weight: Tensor, axis: int, old: Interface, new: Interface) -> Tensor:
    """A weight or a bias for other outputs: a new channel is zero, joined channels are averaged.

    A variance that was not learned before begins as the fixed variance was; that of a new channel
    as the mean of the others. The axis may hold a patch of pixels, in which the channels lie last.
    """
    axes = "(k h c) ... -> k h c ..."
    parts = rearrange(weight.movedim(axis, 0), axes, h=old.halves, c=old.channels)
    matrix = mixing(old.channels, new.channels).to(weight.dtype)
    count = matrix.sum(1, keepdim=True)
    mean = torch.einsum("nc,kc...->kn...", matrix / count.clamp(min=1), parts[:, 0])
    halves = [mean]
    if new.halves == 2 and old.halves == 2:
        matrix = torch.where(count > 0, matrix, 1)
        matrix = matrix / matrix.sum(1, keepdim=True)
        halves.append(torch.einsum("nc,kc...->kn...", matrix, parts[:, 1]))
    elif new.halves == 2:
        constant = CONSTANT.get(old.variance, 0.0) if weight.ndim == 1 else 0.0
        halves.append(torch.full_like(mean, constant))
    return torch.stack(halves, dim=1).flatten(0, 2).movedim(0, axis)
