"""Take and restore the state of networks and optimizers; keys carry no wrapper's prefix."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ddpm_cli.hardware.precision import Autocast

State: TypeAlias = Mapping[Any, Any]


def unwrap(network: nn.Module) -> nn.Module:
    """The network inside its wrappers, whose parameters' names carry no prefix."""
    while isinstance(network, nn.DataParallel | DistributedDataParallel | Autocast):
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


def optimizer_state(optimizer: Optimizer) -> State:
    """The optimizer's state by the number of the parameter; {} for one without a gradient so far.

    The options are left out, because they come from the configuration.
    """
    state = optimizer.state_dict()["state"]
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    return {number: state.get(number, {}) for number in range(count)}


def load_optimizer(optimizer: Optimizer, state: State) -> None:
    """Restore an optimizer's state under its present options. Raises ValueError if it does not fit.

    A step on zeros gives the expected names and shapes, which torch itself does not check.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if set(state) != set(range(len(parameters))):
        raise ValueError(
            f"the optimizer's state is of {len(state)} parameters,"
            f" but the network has {len(parameters)}"
        )
    try:
        expected = state_outline(zero_step(optimizer, parameters)) if any(state.values()) else {}
        fits = all(
            each in ({}, expected.get(number)) for number, each in state_outline(state).items()
        )
    except (RuntimeError, TypeError, AssertionError):
        fits = False
    if not fits:
        raise ValueError(
            f"the optimizer's state does not fit {type(optimizer).__name__} and this network"
        )
    # Optimizers take an empty entry for a state, so entries of no gradient are left out.
    filled = {number: entry for number, entry in state.items() if entry}
    optimizer.load_state_dict(
        {"state": filled, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    for parameter, entry in optimizer.state.items():
        entry.update({name: with_layout_of(moment, parameter) for name, moment in entry.items()})


def with_layout_of(moment: Any, parameter: Tensor) -> Any:
    """A moment in its parameter's memory layout, because fused kernels ignore strides."""
    if not isinstance(moment, Tensor) or moment.shape != parameter.shape:
        return moment
    return torch.empty_like(parameter, dtype=moment.dtype, requires_grad=False).copy_(moment)


def zero_step(optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> State:
    """The state of an optimizer with equal options after a step on zeros."""
    zeros = [nn.Parameter(torch.zeros(parameter.shape)) for parameter in parameters]
    for parameter in zeros:
        parameter.grad = torch.zeros_like(parameter)
    accepted = signature(type(optimizer)).parameters
    probe = type(optimizer)(
        zeros, **{name: value for name, value in optimizer.defaults.items() if name in accepted}
    )
    probe.step()
    return optimizer_state(probe)


def state_outline(state: State) -> dict[Any, Any]:
    """The names and shapes of an optimizer's state; None for all but dense float tensors."""

    def shape(moment: Any) -> torch.Size | None:
        plain = (
            type(moment) is torch.Tensor
            and moment.layout == torch.strided
            and moment.is_contiguous()
        )
        return (
            moment.shape
            if plain and moment.device.type == "cpu" and moment.is_floating_point()
            else None
        )

    return {
        key: {name: shape(each) for name, each in entry.items()}
        if isinstance(entry, dict)
        else None
        for key, entry in state.items()
    }
