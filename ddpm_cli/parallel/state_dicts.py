"""Take and restore the state of networks; keys carry no wrapper's prefix."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import nn
from torch.nn.parallel import DistributedDataParallel

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
