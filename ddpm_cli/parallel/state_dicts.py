"""Take and restore the state of networks and optimizers; keys carry no wrapper's prefix."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ddpm_cli.hardware.graphs import ReplayedNetwork
from ddpm_cli.hardware.precision import Autocast

WRAPPERS = (nn.DataParallel, DistributedDataParallel, Autocast, ReplayedNetwork)
State: TypeAlias = Mapping[Any, Any]


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


def optimizer_state(optimizer: Optimizer, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The optimizer's state by the name of the parameter; {} for one that never got a gradient.

    names: of the parameters, in the optimizer's order. The options are left out, because they come
    from the configuration.
    """
    state = optimizer.state_dict()["state"]
    return {name: state.get(number, {}) for number, name in enumerate(names)}


def load_optimizer(optimizer: Optimizer, state: State, names: Sequence[str]) -> None:
    """Restore an optimizer's state under its present options. Raises ValueError if it does not fit.

    state: by the name of the parameter, or by its number in the optimizer.
    A step on `meta` tensors gives the expected names and shapes, which torch itself does not check.
    """
    named = state_by_name(state, names)
    filled = {number: entry for number, entry in enumerate(named.values()) if entry}
    try:
        expected = state_outline(first_step(optimizer)) if filled else {}
        fits = all(each == expected[number] for number, each in state_outline(filled).items())
    except (RuntimeError, TypeError, AssertionError, KeyError):
        fits = False
    if not fits:
        raise ValueError(
            f"the optimizer's state does not fit {type(optimizer).__name__} and this network"
        )
    optimizer.load_state_dict(
        {"state": filled, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    for parameter, entry in optimizer.state.items():
        entry.update({name: own_copy(moment, parameter) for name, moment in entry.items()})


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
    accepted = signature(type(optimizer)).parameters
    options = {name: value for name, value in optimizer.defaults.items() if name in accepted}
    options |= {name: False for name in ("fused", "foreach", "capturable") if name in accepted}
    shapes = [each.shape for group in optimizer.param_groups for each in group["params"]]

    def step_on(device: str) -> State:
        parameters = [nn.Parameter(torch.zeros(shape, device=device)) for shape in shapes]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        probe = type(optimizer)(parameters, **options)
        probe.step()
        return probe.state_dict()["state"]

    try:
        return step_on("meta")
    except RuntimeError:
        return step_on("cpu")


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
