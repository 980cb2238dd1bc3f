"""The names of a checkpoint's tensors: `PART.NAME`, and `optimizer.PARAMETER.MOMENT`.

A parameter is called by its own name in the checkpoint, such as `network.stem.weight`; the old
formats number the parameters.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

PARTS = ("network", "ema", "power_ema", "optimizer", "loss", "history")


def tensors_by_name(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all groups, each with the group's name before its own."""
    return {
        f"{group}.{name}": tensor
        for group, tensors in groups.items()
        for name, tensor in tensors.items()
    }


def tensors_of(group: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one group, by their own names."""
    own = (name for name in tensors if name.startswith(f"{group}."))
    return {name.removeprefix(f"{group}."): tensors[name] for name in own}


def split_optimizer(
    state: Mapping[Any, Mapping[str, Any]],
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """The tensors of an optimizer's state by name, and by parameter what else the state holds.

    A parameter without tensors has an entry too, so that no parameter is ever missing.
    """
    tensors, rest = dict[str, Tensor](), dict[str, dict[str, Any]]()
    for parameter, entries in state.items():
        moments = {name: each for name, each in entries.items() if isinstance(each, Tensor)}
        tensors |= {f"optimizer.{parameter}.{name}": each for name, each in moments.items()}
        if len(moments) < len(entries) or not entries:
            others = entries.keys() - moments.keys()
            rest[str(parameter)] = {name: entries[name] for name in sorted(others)}
    return tensors, rest


def join_optimizer(
    tensors: Mapping[str, Tensor], rest: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """An optimizer's state by parameter, from what `split_optimizer` returned."""
    state = {parameter: dict(entries) for parameter, entries in rest.items()}
    for name, tensor in tensors_of("optimizer", tensors).items():
        parameter, _, moment = name.rpartition(".")
        state.setdefault(parameter, {})[moment] = tensor
    return state
