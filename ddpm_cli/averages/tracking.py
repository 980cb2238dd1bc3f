"""Power-function EMAs of a network that trains."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ddpm_cli.averages.power_function import exponent, new_weights
from ddpm_cli.parallel import load_network, network_state
from ddpm_cli.shapes import Exponents, Flag, Number, Scalar

COUNT = "applied"  # the name of the count among an EMA's tensors


@dataclass
class PowerEmas:
    """The EMAs of one network by their lengths; they share the buffers of its usual EMA.

    applied: the steps so far without the skipped ones, on the device, as the host does not know
    them in time. exponents: of the lengths, in the order of `networks`.
    """

    networks: dict[float, nn.Module] = field(default_factory=dict)
    applied: Number = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))
    exponents: Exponents = field(default_factory=lambda: torch.zeros(0))

    @classmethod
    def fresh(cls, ema: nn.Module, lengths: Sequence[float]) -> "PowerEmas":
        """EMAs before the first step. ema: the usual EMA of the network."""
        device = next((each.device for each in ema.parameters()), torch.device("cpu"))
        buffers = {id(each): each for each in ema.buffers()}
        networks = {length: copy.deepcopy(ema, dict(buffers)) for length in lengths}
        exponents = torch.tensor([exponent(each) for each in lengths], dtype=torch.float32)
        return cls(
            networks, torch.zeros((), dtype=torch.int64, device=device), exponents.to(device)
        )

    def parameters(self) -> list[list[Tensor]]:
        """The parameters of each EMA."""
        return [list(network.parameters()) for network in self.networks.values()]

    def tensors(self) -> list[Tensor]:
        """Every tensor that an update reads or writes, but for the network's."""
        own = [tensor for tensors in self.parameters() for tensor in tensors]
        return [*own, self.applied, self.exponents] if own else []

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors of all EMAs by name, and the count; {} without an EMA."""
        tensors = {
            f"{length!r}.{name}": tensor
            for length, network in self.networks.items()
            for name, tensor in network_state(network).items()
        }
        return {COUNT: self.applied.clone(), **tensors} if tensors else {}

    def load_state_dict(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Restore the EMAs from what `state_dict` returned at a step of the run.

        Raises ValueError for a length that is missing, or for an impossible count.
        """
        for length, network in self.networks.items():
            own = tensors_of_length(tensors, length)
            if not own:
                missing = f"trainer.ema_lengths has {length}, which the checkpoint does not track"
                why = "an average counts every step from the first"
                raise ValueError(f"{missing}: {why}; track it in a new run, as with init=CKPT")
            load_network(network, own)
        if self.networks:
            self.applied.copy_(checked_count(tensors, step))


def tensors_of_length(tensors: Mapping[str, Tensor], length: float) -> dict[str, Tensor]:
    """The tensors of one EMA among those of all, by their own names."""
    prefix = f"{length!r}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def checked_count(tensors: Mapping[str, Tensor], step: int) -> Tensor:
    """The count of the steps applied. Raises ValueError if it cannot be that of a step."""
    count = tensors.get(COUNT, torch.zeros(()))
    if count.dtype != torch.int64 or count.ndim or not 0 <= count <= step:
        raise ValueError(f"the averages of the checkpoint must count 0 to {step} steps")
    return count


@torch.no_grad()
def update_power_emas(
    emas: PowerEmas, parameters: list[list[Tensor]], current: list[Tensor], skipped: Flag
) -> None:
    """Let every EMA follow the current weights by a step, unless the step is skipped.

    parameters: of each EMA, in the order of `current`. The device is not asked for a number.
    """
    if not parameters:
        return
    emas.applied.add_(~skipped)
    weights = new_weights(emas.applied, emas.exponents) * ~skipped
    for own, weight in zip(parameters, weights.unbind(), strict=True):
        move_toward(own, current, weight)


@torch.no_grad()
def move_toward(averages: list[Tensor], current: list[Tensor], weight: Scalar) -> None:
    """averages <- averages + weight (current - averages), in place; a weight of 0 changes no bit.

    The device is not asked for the weight.
    """
    if weight.device.type == "cpu":  # one pass over memory, not three with a copy of the weights
        torch._foreach_lerp_(averages, current, [weight] * len(averages))
    else:  # three launches; a weight on the device makes `_foreach_lerp_` one for each parameter
        change = torch._foreach_sub(current, averages)
        torch._foreach_mul_(change, weight)
        torch._foreach_add_(averages, change)
