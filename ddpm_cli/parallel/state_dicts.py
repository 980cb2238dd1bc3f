"""Take and restore the state of networks and optimizers; keys carry no wrapper's prefix."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ddpm_cli.hardware.graphs import ReplayedNetwork
from ddpm_cli.hardware.precision import Autocast
from ddpm_cli.optimizers.modes import set_mode

WRAPPERS = (nn.DataParallel, DistributedDataParallel, Autocast, ReplayedNetwork)
State: TypeAlias = Mapping[Any, Any]
GROUP = "group:"  # before the name of what an optimizer counts for a group


def unwrap(network: nn.Module) -> nn.Module:
    """The network inside its wrappers, whose parameters' names carry no prefix."""
    while isinstance(network, WRAPPERS):
        network = network.module
    return network


def network_state(network: nn.Module) -> State:
    """The network's tensors by name: parameters, and copies of buffers, which may change."""
    own = dict(unwrap(network).named_parameters(remove_duplicate=False))
    return {
        name: tensor if name in own else tensor.clone()
        for name, tensor in unwrap(network).state_dict().items()
    }


def load_network(network: nn.Module, state: State) -> None:
    """Restore a network's tensors. Raises ValueError if names, types or shapes differ."""
    for name, tensor in unwrap(network).state_dict().items():
        if name in state and state[name].dtype != tensor.dtype:
            raise ValueError(
                f"the weights do not fit this network: {name} is {state[name].dtype},"
                f" but must be {tensor.dtype}"
            )
    try:
        unwrap(network).load_state_dict(dict(state))
    except RuntimeError as error:
        raise ValueError(
            f"the weights do not fit this network: {' '.join(str(error).split())[:300]}"
        ) from error


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
    places = [each for group in optimizer.param_groups for each in group["params"]]
    filled = dict[int, dict[str, Any]]()
    for number, parameter in enumerate(places):
        entry = entries[id(parameter)].items()
        own = {name: each for name, each in entry if not str(name).startswith(GROUP)}
        filled |= {number: own} if own and parameter.requires_grad else {}
    counts = [group_entry(entries[id(group["params"][0])]) for group in optimizer.param_groups]
    try:
        expected = state_outline(first_step(optimizer)) if filled else {}
        fits = all(each == expected[number] for number, each in state_outline(filled).items())
    except (RuntimeError, TypeError, AssertionError, KeyError):
        fits = False
    if not fits or not all(are_counts(optimizer, each) for each in counts):
        raise ValueError(
            f"the optimizer's state does not fit {type(optimizer).__name__} and this network"
        )
    optimizer.load_state_dict(
        {"state": filled, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    for parameter, entry in optimizer.state.items():
        entry.update({name: own_copy(moment, parameter) for name, moment in entry.items()})
    start = {name: optimizer.defaults[name] for name in counted_names(optimizer)}
    for group, own in zip(optimizer.param_groups, counts, strict=True):
        group.update(
            start | {name: own_copy(each, group["params"][0]) for name, each in own.items()}
        )


def group_entry(entry: Mapping[Any, Any]) -> dict[str, Any]:
    """What an optimizer has counted for a group, from the state of one of its parameters."""
    names = (name for name in map(str, entry) if name.startswith(GROUP))
    return {name.removeprefix(GROUP): entry[name] for name in names}


def are_counts(optimizer: Optimizer, counts: Mapping[str, Any]) -> bool:
    """Whether an optimizer counts these for its groups, as numbers or single tensors."""
    known = counted_names(optimizer)
    return all(
        name in known and (each.ndim == 0 if isinstance(each, Tensor) else is_number(each))
        for name, each in counts.items()
    )


def is_number(value: Any) -> bool:
    """Whether a value is a number, true or false."""
    return isinstance(value, int | float)


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
