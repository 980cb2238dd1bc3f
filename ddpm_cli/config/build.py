"""From a node of the configuration to an object: check its options against a signature, then call."""

from collections.abc import Callable
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.schema import check_node, options_of
from ddpm_cli.config.targets import SHARED, locate, target_of
from ddpm_cli.config.values import to_plain


def build(cfg: DictConfig, key: str, *args: Any) -> Any:
    """Calls the target of the node at `key` with `args` and the node's options; what it refuses or cannot do names the node."""
    try:
        return bind(cfg, key)(*args)
    except (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
        raise (
            error
            if str(error).startswith((f"{key}.", f"{key} "))
            else ValueError(f"{key}: {error}")
        ) from error


def bind(cfg: DictConfig, key: str) -> partial[Any]:
    """The target of the node at `key` with the node's options, to be called later."""
    check_node(cfg, key)
    return bind_options(target_of(cfg, key), OmegaConf.select(cfg, key))


def group_options(cfg: DictConfig, key: str) -> Any:
    """The options that all targets of a group share, as their dataclass."""
    return bind_options(locate(SHARED[key]), OmegaConf.select(cfg, key))()


def bind_options(target: Callable[..., Any], node: DictConfig) -> partial[Any]:
    """A target with those of a node's options that are its own, as plain Python values."""
    return partial(
        target, **{name: to_plain(node[name]) for name in options_of(target) if name in node}
    )
