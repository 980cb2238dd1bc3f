"""Take and restore the state of optimizers, by the names of the parameters."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ddpm_cli.optimizers.modes import set_mode
from ddpm_cli.parallel.state_dicts import State

GROUP = "group:"  # before the name of what an optimizer counts for a group


def optimizer_state(
    optimizer: Optimizer, named: Mapping[str, nn.Parameter]
) -> dict[str, dict[str, Any]]:
    """The optimizer's state by the name of the parameter; {} for one that never got a gradient.

    named: the parameters. What the optimizer counts for a group stands with each of its parameters.
    The options are left out, because they come from the configuration.
    """
    state, counts = optimizer.state, dict[int, dict[str, Any]]()
    for group in optimizer.param_groups:
        own = {f"{GROUP}{name}": value for name, value in group_counts(optimizer, group).items()}
        counts |= {id(parameter): own for parameter in group["params"]}
    return {name: {**state.get(each, {}), **counts[id(each)]} for name, each in named.items()}


def group_counts(optimizer: Optimizer, group: Mapping[str, Any]) -> dict[str, Any]:
    """What an optimizer has counted for a group: entries that are no options, and have changed."""
    start = optimizer.defaults
    counts = {name: group[name] for name in counted_names(optimizer) if name in group}
    return {name: each for name, each in counts.items() if each is not start[name]}


def counted_names(optimizer: Optimizer) -> set[str]:
    """The names of an optimizer's entries in each group that are no options."""
    options = signature(type(optimizer)).parameters
    if any(each.kind is each.VAR_KEYWORD for each in options.values()):
        return set()  # the options of a class that hands all of them on have no names here
    return optimizer.defaults.keys() - options.keys()


def load_optimizer(optimizer: Optimizer, state: State, named: Mapping[str, nn.Parameter]) -> None:
    """Restore an optimizer's state under its present options. Raises ValueError if it does not fit.

    state: by the name of the parameter, or by its number in `named`. The state of a parameter that
    is not trained is left out.
    A step on `meta` tensors gives the expected names and shapes, which torch itself does not check.
    """
    by_name = state_by_name(state, list(named))
    entries = {id(each): by_name[name] for name, each in named.items()}
    moments, groups = moments_by_number(optimizer, entries), optimizer.param_groups
    counts = [counts_in(entries[id(group["params"][0])]) for group in groups]
    try:
        expected = state_outline(first_step(optimizer)) if moments else {}
        fits = all(each == expected[number] for number, each in state_outline(moments).items())
    except (RuntimeError, TypeError, AssertionError, KeyError):
        fits = False
    if not fits or not all(are_counts(optimizer, each) for each in counts):
        raise ValueError(
            f"the optimizer's state does not fit {type(optimizer).__name__} and this network"
        )
    options = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": options})
    for parameter, entry in optimizer.state.items():
        entry.update({name: own_copy(moment, parameter) for name, moment in entry.items()})
    start = {name: optimizer.defaults[name] for name in counted_names(optimizer)}
    for group, own in zip(optimizer.param_groups, counts, strict=True):
        first = group["params"][0]
        group.update(start | {name: own_copy(each, first) for name, each in own.items()})


def moments_by_number(
    optimizer: Optimizer, entries: Mapping[int, Mapping[Any, Any]]
) -> dict[int, dict[str, Any]]:
    """The state of the parameters that are trained and have one, by number in the optimizer.

    entries: the state by the identity of the parameter, with the counts of its group.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    states = [
        {
            name: each
            for name, each in entries[id(parameter)].items()
            if not str(name).startswith(GROUP)
        }
        for parameter in parameters
    ]
    return {
        number: state
        for number, (parameter, state) in enumerate(zip(parameters, states, strict=True))
        if state and parameter.requires_grad
    }


def counts_in(entry: Mapping[Any, Any]) -> dict[str, Any]:
    """What an optimizer has counted for a group, from the state of one of its parameters."""
    names = (name for name in map(str, entry) if name.startswith(GROUP))
    return {name.removeprefix(GROUP): entry[name] for name in names}


def are_counts(optimizer: Optimizer, counts: Mapping[str, Any]) -> bool:
    """Whether an optimizer counts these for its groups: numbers, or what it begins with."""
    start, known = optimizer.defaults, counted_names(optimizer)
    return all(
        name in known
        and (is_number(each) or type(each) is type(start[name]))
        and not (isinstance(each, Tensor) and each.ndim)
        for name, each in counts.items()
    )


def is_number(value: Any) -> bool:
    """Whether a value is a number, true or false, or a tensor of one."""
    return isinstance(value, int | float) or (isinstance(value, Tensor) and value.ndim == 0)


def state_by_name(state: State, names: Sequence[str]) -> dict[str, Any]:
    """An optimizer's state by the names of its parameters; the old formats number these, in order.

    Raises ValueError if the state is of other parameters.
    """
    numbers = [*map(str, range(len(names)))]
    if state.keys() not in ({*names}, {*numbers}):
        raise ValueError(
            f"the optimizer's state, of {len(state)} parameters, is not of the {len(names)}"
            " parameters of this network and loss"
        )
    keys = names if state.keys() == {*names} else numbers
    return {name: state[key] for name, key in zip(names, keys, strict=True)}


def own_copy(moment: Any, parameter: Tensor) -> Any:
    """A copy of a moment in its parameter's memory layout, because fused kernels ignore strides."""
    if not isinstance(moment, Tensor):
        return moment
    if moment.shape != parameter.shape:
        return moment.clone()
    return torch.empty_like(parameter, dtype=moment.dtype, requires_grad=False).copy_(moment)


def first_step(optimizer: Optimizer) -> State:
    """The state of an optimizer with equal options after a step on `meta` tensors.

    An optimizer that reads numbers steps on zeros of the CPU.
    """

    def step_on(device: str) -> State:
        probe = object.__new__(type(optimizer))
        probe.__dict__.update(optimizer.__dict__, state=defaultdict(dict), found_inf=None)
        probe.param_groups = [
            outline_group(optimizer, group, device) for group in probe.param_groups
        ]
        set_mode(probe, "train")
        probe.step()
        return probe.state_dict()["state"]

    try:
        return step_on("meta")
    except RuntimeError:
        return step_on("cpu")


def outline_group(optimizer: Optimizer, group: Mapping[str, Any], device: str) -> dict[str, Any]:
    """A group with zeros in place of its parameters, and options that any kernel takes."""
    parameters = [nn.Parameter(torch.zeros(each.shape, device=device)) for each in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    plain = {name: False for name in ("fused", "foreach", "capturable") if name in group}
    names = counted_names(optimizer) | {"lr"} & optimizer.defaults.keys()
    start = {name: optimizer.defaults[name] for name in names}
    return {**group, **plain, **start, "params": parameters}


def state_outline(state: State) -> dict[Any, Any]:
    """The names and shapes of an optimizer's state; None for all but dense float tensors."""

    def shape(moment: Any) -> torch.Size | None:
        plain = (
            type(moment) is torch.Tensor
            and moment.layout == torch.strided
            and moment.is_contiguous()
            and moment.is_floating_point()
        )
        return moment.shape if plain else None

    return {
        number: {name: shape(each) for name, each in entry.items()}
        for number, entry in state.items()
    }
