"""From a node of the configuration to an object: find its target, bind its options, call it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.values import yaml_text

TARGET_PREFIXES = {
    "model": "ddpm_cli.denoiser.",
    "model.network": "ddpm_cli.networks.",
    "schedule": "ddpm_cli.schedules.",
    "data": "ddpm_cli.data.",
    "loss": "ddpm_cli.losses.",
    "loss.of": "ddpm_cli.losses.",
    "train_times": "ddpm_cli.train_times.",
    "trainer": "ddpm_cli.training.",
    "trainer.optimizer": "torch.optim.",
    "sampler": "ddpm_cli.samplers.",
    "guider": "ddpm_cli.guiders.",
    "features": "ddpm_cli.metrics.",
    "logger": "ddpm_cli.loggers.",
}
OTHER_PREFIXES = {"trainer.optimizer": ("ddpm_cli.optimizers.",)}  # rooms beside the first
ELSEWHERE = {
    "features": "ddpm-compare takes it, ddpm-eval takes metrics",
    "sampler": "ddpm-train, ddpm-sample and ddpm-eval take it, ddpm-compare takes samplers",
    "guider": "a command that draws takes it as guider=NAME, such as guider=apg",
    "loss.of": "loss=uncertain takes it",
    "logger": "trainer.loggers=[NAME] names loggers, logger.NAME.OPTION=VALUE sets their options",
}
GROUP_OPTIONS = {  # the options that all targets of a group share
    "sampler": "ddpm_cli.samplers:Grid",
    "data": "ddpm_cli.data:Preparation",
    "schedule": "ddpm_cli.schedules:Ending",
}
GROUPS = ("model", "schedule", "data", "loss", "train_times", "trainer", "sampler")
Options: TypeAlias = Mapping[str, inspect.Parameter]
T = TypeVar("T")
COMPOSED = (Union, UnionType, list, tuple, Sequence)  # types whose parts are checked one by one
REFUSALS = (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError)
FAILURES = (*REFUSALS, AssertionError, AttributeError, LookupError, OSError)
PACKAGE = Path(__file__).resolve().parent.parent
# the YAML files: inside an installed package, beside it in a checkout
CONFIG_DIR = (PACKAGE if (PACKAGE / "configs").is_dir() else PACKAGE.parent) / "configs"


def target_of(cfg: DictConfig, key: str) -> Callable[..., Any]:
    """The function or class that a node names, in the node's room or in a trusted module."""
    node = OmegaConf.select(cfg, key)
    room = TARGET_PREFIXES["logger" if key.startswith("logger.") else key]  # a node for each logger
    name = node.get("_target_") if isinstance(node, DictConfig) else None
    own = (room, *OTHER_PREFIXES.get(key, ()))
    rooms, target = (*own, *(f"{module}." for module in cfg.get("trust") or ())), None
    if isinstance(name, str) and name.startswith(rooms):
        module, _, attribute = name.rpartition(".")
        try:
            target = getattr(import_module(module), attribute, None)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):  # an import in the module fails
                raise
    if not callable(target) or not f"{getattr(target, '__module__', '')}.".startswith(rooms):
        advice = "a module of your own is trusted by trust=[MODULE] on the command line"
        places = " or ".join(each[:-1] for each in own)
        allowed = f"must name a function or class of {places}, but is {yaml_text(name)}"
        raise ValueError(f"{key}._target_ {allowed} ({advice})")
    return target


def foreign_modules(node: Any) -> list[str]:
    """The user's own modules that targets in a plain configuration name, in order."""
    nodes = [node] if isinstance(node, dict) else []
    for each in nodes:
        nodes += [value for value in each.values() if isinstance(value, dict)]
    names = [str(each["_target_"]).rpartition(".")[0] for each in nodes if "_target_" in each]
    foreign = (
        name for name in names if name and name.partition(".")[0] not in ("ddpm_cli", "torch")
    )
    return list(dict.fromkeys(foreign))


def suggestion(key: str, names: Sequence[str]) -> str:
    """A suggestion of the name that the user may have meant."""
    if key in TARGET_PREFIXES:
        return ELSEWHERE.get(key, "it comes with the checkpoint")
    near = get_close_matches(key.rpartition(".")[2], names, n=1)
    known = sorted(set(names) - {"_target_", "hydra"})
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"


def options_of(target: Callable[..., Any]) -> Options:
    """The options that YAML may set for a target: its keyword-only parameters.

    For an optimizer: every parameter but the first. Of another package's, a type that is not
    checked counts as any.
    """
    if any(each.__module__ == "torch.optim.optimizer" for each in getattr(target, "__mro__", ())):
        return optimizer_options(target)
    every = inspect.signature(target, eval_str=True).parameters
    return {name: each for name, each in every.items() if each.kind is each.KEYWORD_ONLY}


def optimizer_options(target: Callable[..., Any]) -> Options:
    """The options of an optimizer's class."""
    try:
        every = inspect.signature(target, eval_str=True).parameters
    except NameError:  # a type that another package imports for its checks alone
        every = inspect.signature(target).parameters
    return {
        name: each if is_plain_type(each.annotation) else each.replace(annotation=each.empty)
        for name, each in list(every.items())[1:]
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }


def is_plain_type(kind: Any) -> bool:
    """Whether values of YAML can be checked against a type: a class, or lists and choices of it."""
    origin = get_origin(kind)
    if origin is None:
        return isinstance(kind, type) or kind is Any
    parts = (each for each in get_args(kind) if each is not ...)
    return origin is Literal or (origin in COMPOSED and all(map(is_plain_type, parts)))


def build(cfg: DictConfig, key: str, *args: Any) -> Any:
    """Call the target of a checked node with `args` and its options; an error names the node."""
    try:
        return bind(cfg, key)(*args)
    except REFUSALS as error:
        if str(error).startswith((f"{key}.", f"{key} ")):
            raise
        raise ValueError(f"{key}: {error}") from error


def bind(cfg: DictConfig, key: str) -> partial[Any]:
    """The target of a checked node with the node's options, to be called later."""
    return bind_options(target_of(cfg, key), OmegaConf.select(cfg, key))


def bind_options(target: Callable[..., T], node: DictConfig) -> partial[T]:
    """The target bound to the options in the node that are its own, as plain Python values."""
    values: Any = OmegaConf.to_container(node, resolve=True)
    return partial(target, **{name: values[name] for name in options_of(target) if name in node})
