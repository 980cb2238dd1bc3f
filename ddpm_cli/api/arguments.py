"""The tensors that a program hands to a model, checked and on the model's device."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.generator import check_label
from ddpm_cli.generation.labels import class_number
from ddpm_cli.shapes import Time

Label: TypeAlias = str | int | Tensor | None


def check_shape(images: Tensor, shape: Sequence[int]) -> None:
    """Refuse images of another shape than the model's."""
    if list(images.shape[1:]) != list(shape):
        raise ValueError(f"images must be {list(shape)}, but are {list(images.shape[1:])}")


def check_noised(x_t: Tensor, shape: Sequence[int]) -> None:
    """Refuse what is no batch of noised images for the model."""
    if not x_t.is_floating_point() or x_t.ndim != 4 or not len(x_t):
        kind = f"{str(x_t.dtype).removeprefix('torch.')} {list(x_t.shape)}"
        raise ValueError(f"x_t must be floats [B, C, H, W], at least one image, but are {kind}")
    check_shape(x_t, shape)


def times_of(t: float | Tensor, count: int, steps: int) -> Time:
    """A time, or one for each of `count` images. Raises ValueError unless all are in [1, steps]."""
    times = torch.as_tensor(t)
    if times.ndim and times.shape != (count,):
        raise ValueError(f"t must be one time or {count}, but has the shape {list(times.shape)}")
    if not bool(((times >= 1) & (times <= steps)).all()):
        given = range_text(times)
        raise ValueError(f"t must be from 1 to {steps}, but is {given}")
    if not times.ndim:
        return float(times)
    return times if times.is_floating_point() else times.long()


def labels_of(
    label: Label, count: int, denoiser: Denoiser, classes: Sequence[str]
) -> Tensor | None:
    """A label for each of `count` images; None if no image has one.

    Raises ValueError for a class that the model does not know.
    """
    if label is None:
        return None
    check_label("all" if isinstance(label, Tensor) else label, denoiser, classes)
    if not isinstance(label, Tensor):
        return torch.full((count,), class_number(label, classes), device=denoiser.device)
    if label.shape != (count,) or label.is_floating_point():
        kind = f"{str(label.dtype).removeprefix('torch.')} {list(label.shape)}"
        raise ValueError(f"label must be {count} integers, but is {kind}")
    lowest = 0 if denoiser.needs_label else -1
    if not bool(((label >= lowest) & (label < len(classes))).all()):
        allowed = f"from {lowest} to {len(classes) - 1}"
        raise ValueError(f"label must be {allowed}, but is {range_text(label)}")
    return label.long().to(denoiser.device)


def range_text(numbers: Tensor) -> str:
    """The lowest and the highest of some numbers."""
    low, high = numbers.min().item(), numbers.max().item()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
