"""The nodes of `trainer.loggers` in the group `logger`: checked before a run, bound in a run."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.build import bind, target_of
from ddpm_cli.config.composition import choices, compose_present
from ddpm_cli.config.schema import check_groups
from ddpm_cli.loggers.mlflow import check_uri, mlflow
from ddpm_cli.run_folder.sink import Logger

OPTION = re.compile(r"logger\.(?P<name>[^.=]+)")


def logger_nodes(cfg: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """The nodes of the loggers that a run names, by their names and as plain values.

    overrides: as typed. Raises ValueError for an unknown logger, a bad option, an option of a
    logger that the run does not name, or a package that is not installed.
    """
    refuse_idle_options(cfg.trainer.loggers, overrides)
    nodes: dict[str, Any] = {}
    for name in cfg.trainer.loggers:
        node = logger_node(cfg, name)
        checked = OmegaConf.create({"logger": {name: node}, "trust": cfg.trust})
        check_groups(checked, f"logger.{name}")
        check_logger(checked, name)
        nodes[name] = OmegaConf.to_container(node, resolve=True)
    return nodes


def refuse_idle_options(loggers: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse a typed option of a logger that the run does not name; those of YAML files may stay.

    The value is not shown: it may be a secret.
    """
    for key in (each.lstrip("+").partition("=")[0] for each in overrides):
        option = OPTION.match(key)
        if option and option["name"] not in loggers:
            remedy = f"'trainer.loggers=[{','.join([*loggers, option['name']])}]'"
            raise ValueError(f"{key} has no effect without {remedy}")


def logger_node(cfg: DictConfig, name: str) -> Any:
    """The node of a logger: its YAML file with the options of the command line."""
    given, files = cfg.logger.get(name) or OmegaConf.create(), choices("logger")
    if not isinstance(given, DictConfig) or "_target_" in given:
        return given
    if name not in files:
        known = ", ".join(dict.fromkeys([*files, *map(str, cfg.logger)]))
        raise ValueError(f"trainer.loggers must be among {known}, but {name!r} is not")
    file = compose_present("train", [f"+logger@logger.{name}={name}"]).logger[name]
    OmegaConf.set_struct(file, False)
    return OmegaConf.merge(file, given)


def check_logger(cfg: DictConfig, name: str) -> None:
    """Refuse a package that is not installed, and what MLflow would refuse."""
    key = f"logger.{name}"
    target, node = target_of(cfg, key), cfg.logger[name]
    if target.__module__.startswith(f"{__package__}."):  # a logger of ours is named for its package
        spec = find_spec(target.__name__)
        if spec is None or spec.origin is None:  # without origin: a folder of the same name
            remedy = f"in the clone, pip install '.[{target.__name__}]'"
            raise ValueError(f"trainer.loggers={name} needs a package that is missing: {remedy}")
    if target is mlflow and node.get("uri"):
        check_uri(node.uri)


def bound_loggers(cfg: DictConfig) -> dict[str, Logger]:
    """The loggers of a run by their names."""
    return {name: bind(cfg, f"logger.{name}") for name in cfg.trainer.loggers}
