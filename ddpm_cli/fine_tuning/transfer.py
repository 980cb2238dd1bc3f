"""Weights of a checkpoint into a network: equal ones as they are, labels and channels fitted."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from ddpm_cli.fine_tuning.channels import fit_inputs, fit_outputs
from ddpm_cli.fine_tuning.classes import fit_rows, rows_text
from ddpm_cli.fine_tuning.initial_weights import InitialWeights
from ddpm_cli.fine_tuning.interface import Interface, InterfaceAxes, Outline, interface_axes
from ddpm_cli.parallel import load_network

LEAST = 0.5  # share of a network's numbers that a checkpoint must have
SHOWN = 3  # names in a text


def take_weights(
    network: nn.Module, initial: InitialWeights, new: Interface, outline: Outline
) -> dict[str, str]:
    """Give a network the weights of a checkpoint; return what is recorded of them.

    Tensors of equal name and shape are taken. Those whose shape follows from channels, classes and
    variance are fitted. The others stay as they are drawn, and so do those that the checkpoint
    lacks; but new rows of labels are zero, so that labels change nothing at first.
    new: what the network takes and gives. outline: a network without memory for others of these.
    Raises ValueError if less than half of the network is in the checkpoint, or if a frozen tensor
    is not.
    """
    old, given, own = initial.interface, initial.tensors, network.state_dict()
    equal = {
        name for name, each in own.items() if name in given and is_replaceable(given[name], each)
    }
    axes = interface_axes(outline, new) if len(equal) < len(own) or old != new else InterfaceAxes()
    by_class = equal & axes.classes.keys() if old.classes != new.classes else set()
    check_share(own, given, axes, equal, initial.source)
    alike = {name: given[name].to(own[name].dtype) for name in equal - by_class}
    fitted = {
        name: each.to(own[name].dtype)
        for name in own.keys() - alike.keys()
        if (each := fitted_tensor(name, own[name], given.get(name), axes, old, new)) is not None
    }
    random = [name for name in own if name not in {*alike, *fitted}]
    if constant := [name for name in random if name in frozen_names(network)]:
        why = f"trainer.freeze holds {names_text(constant)}, which {initial.source} lacks"
        raise ValueError(f"init: {why}: random numbers would stay")
    load_network(network, {**own, **alike, **fitted})
    unused = [name for name in given if name not in own]
    notes = change_texts([name for name in own if name in fitted], axes, old, new)
    notes += [f"drawn: {names_text(random)}"] * bool(random)
    notes += [f"left out: {names_text(unused)}"] * bool(unused)
    return {"tensors": f"{len(alike)} of {len(own)}", "changes": "; ".join(notes)}


def frozen_names(network: nn.Module) -> set[str]:
    """The names of the parameters that training does not change."""
    return {name for name, each in network.named_parameters() if not each.requires_grad}


def is_replaceable(tensor: Tensor, own: Tensor) -> bool:
    """Whether a tensor has the shape of a network's own, and is of real numbers if it is."""
    return tensor.shape == own.shape and tensor.is_floating_point() == own.is_floating_point()


def check_share(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    axes: InterfaceAxes,
    equal: Collection[str],
    source: str,
) -> None:
    """Refuse a checkpoint that has less than half of a network's numbers by name and shape.

    Tensors that channels and classes decide do not count. Raises ValueError.
    """
    inner = {name: each for name, each in own.items() if name not in axes.names}
    share, total = (
        sum(each.numel() for name, each in inner.items() if name in names)
        for names in (equal, inner)
    )
    if share >= LEAST * total and share:
        return
    name = next(name for name in inner if name not in equal)
    there = list(given[name].shape) if name in given else "not there"
    part = f"{len(equal)} of {len(own)} tensors, {share / max(1, total):.0%} of the numbers"
    raise ValueError(
        f"init: {source} has only {part} of this network: {name} is {there} and must be "
        f"{list(own[name].shape)}; name no option of model, and the network is the checkpoint's"
    )


def fitted_tensor(
    name: str,
    own: Tensor,
    given: Tensor | None,
    axes: InterfaceAxes,
    old: Interface,
    new: Interface,
) -> Tensor | None:
    """A checkpoint's tensor with other channels or classes, if it can be fitted to them."""
    if name in axes.classes and not old.classes:
        return torch.zeros_like(own)
    if given is None:
        return None
    fitted = None
    if (axis := axes.classes.get(name)) is not None and given.ndim == 2:
        rows = given.movedim(axis, 0)
        if len(rows) - len(old.classes) in (0, 1):
            fitted = fit_rows(rows, old.classes, new.classes, own.shape[axis]).movedim(0, axis)
    elif (axis := axes.outputs.get(name)) is not None:
        if given.shape[axis] % (old.halves * old.channels) == 0:
            fitted = fit_outputs(given, axis, old, new)
    elif (axis := axes.inputs.get(name)) is not None and given.shape[axis] % old.channels == 0:
        fitted = fit_inputs(given, axis, old.channels, new.channels)
    return fitted if fitted is not None and is_replaceable(fitted, own) else None


def change_texts(
    fitted: Sequence[str], axes: InterfaceAxes, old: Interface, new: Interface
) -> list[str]:
    """What has been fitted to other channels, another variance and other classes, in words."""
    outer = [name for name in fitted if name not in axes.classes]
    parts = [f"channels {old.channels} -> {new.channels}"] * (old.channels != new.channels)
    parts += [f"variance {old.variance} -> {new.variance}"] * (old.halves != new.halves)
    texts = [f"{', '.join(parts)} in {names_text(outer)}"] * bool(outer)
    return texts + [rows_text(old.classes, new.classes)] * (len(outer) < len(fitted))


def names_text(names: Sequence[str]) -> str:
    """Some names of tensors, and the number of the others."""
    more = f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
    return f"{', '.join(names[:SHOWN])}{more}"
