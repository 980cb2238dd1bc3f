"""The only place where a network's or an optimizer's state is taken or put back: its keys carry no wrapper's prefix."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ddpm_cli.parallel.precision import Autocast

State: TypeAlias = Mapping[Any, Any]


def unwrap(network: nn.Module) -> nn.Module:
    """The network itself, whose names carry no wrapper's prefix."""
    while isinstance(network, nn.DataParallel | DistributedDataParallel | Autocast):
        network = network.module
    return network


def network_state(network: nn.Module) -> State:
    """The network's tensors by name: parameters where they lie, and copies of buffers, which a forward pass may change."""
    own = dict(unwrap(network).named_parameters(remove_duplicate=False))
    return {
        name: tensor if name in own else tensor.clone()
        for name, tensor in unwrap(network).state_dict().items()
    }


def load_network(network: nn.Module, state: State) -> None:
    """Puts a network's tensors back; ValueError where names, types or shapes are others."""
    for name, tensor in unwrap(network).state_dict().items():
        if name in state and state[name].dtype != tensor.dtype:
            raise ValueError(
                f"the weights do not fit this network: {name} is {state[name].dtype}, but must be {tensor.dtype}"
            )
    try:
        unwrap(network).load_state_dict(dict(state))
    except RuntimeError as error:
        raise ValueError(
            f"the weights do not fit this network: {' '.join(str(error).split())[:300]}"
        ) from error


def optimizer_state(optimizer: Optimizer) -> State:
    """The optimizer's moments where they lie, by the number of the parameter: {} where no gradient ever came.

    Its options are the configuration's, not the state's.
    """
    state, count = (
        optimizer.state_dict()["state"],
        sum(len(group["params"]) for group in optimizer.param_groups),
    )
    return {number: state.get(number, {}) for number in range(count)}


def load_optimizer(optimizer: Optimizer, state: State) -> None:
    """Puts an optimizer's moments back, under the options it has now; ValueError where they belong to another or are missing.

    Names and shapes are compared with those of a step on zeros, for neither torch nor its fused kernels look at them.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if set(state) != set(range(len(parameters))):
        raise ValueError(
            f"the optimizer's state is of {len(state)} parameters, but the network has {len(parameters)}"
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
    filled = {
        number: kept for number, kept in state.items() if kept
    }  # else the optimizer would look as if it had moments
    optimizer.load_state_dict(
        {"state": filled, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    for parameter, kept in optimizer.state.items():
        kept.update({name: with_layout_of(moment, parameter) for name, moment in kept.items()})


def with_layout_of(moment: Any, parameter: Tensor) -> Any:
    """A moment in the layout of its parameter: fused kernels take both as they lie in memory, and look at no strides."""
    same = isinstance(moment, Tensor) and moment.shape == parameter.shape
    return (
        torch.empty_like(parameter, dtype=moment.dtype, requires_grad=False).copy_(moment)
        if same
        else moment
    )


def zero_step(optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> State:
    """The state that an optimizer of the same options has after a step on zeros."""
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
    """Names and shapes of an optimizer's state; None for what is no dense tensor of floats."""

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
        key: {name: shape(each) for name, each in kept.items()} if isinstance(kept, dict) else None
        for key, kept in state.items()
    }
