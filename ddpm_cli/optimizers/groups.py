"""Groups of parameters by patterns of their names, each with options of its own.

A pattern is the name of a parameter, of a part of the network with all in it, or a name with `*`
and `?`; or a word for a kind: `matrices` (matrices and kernels of layers), `vectors` (biases, and
weights of norms) or `tables` (embeddings of labels).
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from inspect import Parameter as Argument
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.optim import Optimizer

from ddpm_cli.config.build import options_of, suggestion
from ddpm_cli.config.schema import fits, type_text
from ddpm_cli.config.values import yaml_text

MATCH = "match"
KINDS = ("matrices", "vectors", "tables")
WHOLE = ("fused", "foreach", "capturable", "differentiable")  # options alike in all groups
LOSS = "loss."  # before the names of a loss's parameters
Groups: TypeAlias = Sequence[Mapping[str, Any]]
NewOptimizer: TypeAlias = Callable[..., Optimizer]


def named_parameters(network: nn.Module, loss_module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that a run trains, by name: the network's, then those of its loss."""
    return dict(network.named_parameters()) | {
        f"{LOSS}{name}": each for name, each in loss_module.named_parameters()
    }


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Take the gradients from the parameters that one of the patterns matches.

    Raises ValueError if a pattern matches nothing, or all of them everything.
    """
    named = named_parameters(network, nn.Module())
    for pattern in patterns:
        for name in matching(pattern, network, named, "trainer.freeze"):
            named[name].requires_grad_(False)
    if patterns and not any(each.requires_grad for each in named.values()):
        raise ValueError(f"trainer.freeze={yaml_text(list(patterns))} leaves no parameter to train")


def build_optimizer(
    optimizer: NewOptimizer, network: nn.Module, loss_module: nn.Module, groups: Groups
) -> Optimizer:
    """The optimizer of a run's parameters, in groups with the options that are their own.

    The parameters that no group matches come first. Raises ValueError for a group without any, and
    for what the optimizer refuses.
    """
    parts = group_names(network, loss_module, groups)
    named = named_parameters(network, loss_module)
    tables = set(kinds_of(network, named)["tables"])
    params = list[Any]()
    for names, options in zip(parts, ({}, *groups), strict=True):
        own = {name: value for name, value in options.items() if name != MATCH}
        if "orthogonal" in options_of_optimizer(optimizer):  # the rows of a table are no matrix
            rows = [named[name] for name in names if name in tables]
            names = [name for name in names if name not in tables]
            params += [{"orthogonal": False, **own, "params": rows}] if rows else []
        if names:
            params.append({**own, "params": [named[name] for name in names]})
    is_plain = len(params) == 1 and len(params[0]) == 1
    try:
        return optimizer(params[0]["params"] if is_plain else params)
    except ValueError as error:
        is_torchs = getattr(optimizer, "func", optimizer) is torch.optim.Muon
        remedy = "; ddpm_cli.optimizers.Muon takes all" if is_torchs else ""
        raise ValueError(f"trainer.optimizer: {error}{remedy}") from error


def group_names(network: nn.Module, loss_module: nn.Module, groups: Groups) -> list[list[str]]:
    """The names of the parameters that no group matches, then of those of each group.

    Each parameter belongs to the first group that matches. Raises ValueError for a group without
    any.
    """
    named = named_parameters(network, loss_module)
    rest, parts = list(named), list[list[str]]()
    for place, group in enumerate(groups):
        key = f"trainer.parameter_groups[{place}].{MATCH}"
        names = matching(group[MATCH], network, named, key)
        own = [name for name in rest if name in names]
        if not own:
            fault = "matches only parameters of the groups before it"
            raise ValueError(f"{key}={yaml_text(group[MATCH])} {fault}")
        rest = [name for name in rest if name not in names]
        parts.append(own)
    return [rest, *parts]


def matching(
    pattern: str, network: nn.Module, named: Mapping[str, nn.Parameter], key: str
) -> set[str]:
    """The names that a pattern matches. Raises ValueError if there are none."""
    names = kinds_of(network, named).get(pattern) or [
        name for name in named if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
    ]
    if not names:
        parts = dict.fromkeys(name.partition(".")[0] for name in named)
        near = get_close_matches(pattern, [*named, *parts, *KINDS], n=1)
        known = f"did you mean {near[0]}?" if near else f"there are {', '.join([*parts, *KINDS])}"
        raise ValueError(f"{key}: {yaml_text(pattern)} matches no parameter; {known}")
    return set(names)


def kinds_of(network: nn.Module, named: Mapping[str, nn.Parameter]) -> dict[str, list[str]]:
    """The names of the parameters of each kind."""
    tables = {id(each.weight) for each in network.modules() if isinstance(each, nn.Embedding)}
    kinds = dict[str, list[str]]({kind: [] for kind in KINDS})
    for name, parameter in named.items():
        kind = "vectors" if parameter.ndim < 2 else "matrices"
        kinds["tables" if id(parameter) in tables else kind].append(name)
    return kinds


def options_of_optimizer(optimizer: NewOptimizer) -> Mapping[str, Argument]:
    """The options of an optimizer, which may be bound to some of them."""
    return options_of(optimizer.func if isinstance(optimizer, partial) else optimizer)


def check_group_options(optimizer: NewOptimizer, groups: Groups) -> None:
    """Raise ValueError for a group without a pattern, and for an option that is not its own."""
    allowed = {
        name: each for name, each in options_of_optimizer(optimizer).items() if name not in WHOLE
    }
    for place, group in enumerate(groups):
        key = f"parameter_groups[{place}]"
        if not isinstance(group.get(MATCH), str):
            rule = f"a pattern of names, or one of {', '.join(KINDS)}"
            raise ValueError(f"{key}.{MATCH} must be {rule}, but is {yaml_text(group.get(MATCH))}")
        for name, value in group.items():
            if name == MATCH:
                continue
            if name not in allowed:
                known = suggestion(f"{key}.{name}", [*allowed, MATCH])
                raise ValueError(f"{key}.{name} is not an option of a group; {known}")
            if not fits(value, kind := allowed[name].annotation):
                rule = f"must be {type_text(kind)}, but is {yaml_text(value)}"
                raise ValueError(f"{key}.{name} {rule}")


def groups_text(optimizer: Optimizer) -> str:
    """The groups of an optimizer in words: the share of the trained parameters and the LR."""
    sizes = [
        sum(each.numel() for each in group["params"] if each.requires_grad)
        for group in optimizer.param_groups
    ]
    texts = [
        f"{size / sum(sizes):.1%}{' orthogonal' * bool(group.get('orthogonal'))}"
        f" at {float(group.get('initial_lr', group['lr'])):g}"
        for group, size in zip(optimizer.param_groups, sizes, strict=True)
    ]
    return f"{type(optimizer).__name__}, {', '.join(texts)}"
