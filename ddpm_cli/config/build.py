"""From a node of the configuration to an object: bind its options to its target, and call it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.schema import check_groups, check_values, options_of
from ddpm_cli.config.targets import SHARED, locate, target_of
from ddpm_cli.config.values import to_plain

T = TypeVar("T")
REFUSALS = (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError)


def parse_options(
    cfg: DictConfig, options: type[T], *, groups: Sequence[str] = (), beside: Sequence[type] = ()
) -> T:
    """Check a whole configuration once, and return the options at its top level.

    groups: the groups that the command takes. beside: other options that stand at the top level.
    Raises ValueError that names the first bad option, its value, and what is allowed.
    """
    check_groups(cfg, *groups)
    allowed = {name: each for kind in (options, *beside) for name, each in options_of(kind).items()}
    check_values(cfg, "", allowed, groups)
    return bind_options(options, cfg)()


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


def group_options(cfg: DictConfig, key: str) -> Any:
    """The options that all targets of a group share, as their dataclass."""
    return bind_options(locate(SHARED[key]), OmegaConf.select(cfg, key))()


def bind_options(target: Callable[..., T], node: DictConfig) -> partial[T]:
    """A target with the node's options that are its own, as plain Python values."""
    own = {name: to_plain(node[name]) for name in options_of(target) if name in node}
    return partial(target, **own)
