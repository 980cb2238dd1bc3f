"""Errors of the user in one line."""

import shlex
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.config import CONFIG_DIR, TARGET_PREFIXES, suggestion
from ddpm_cli.config.values import path_override
from ddpm_cli.console import printable
from ddpm_cli.files import load_text

USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException, yaml.YAMLError)
QUOTING = "a value with ~, =, brackets or blanks is quoted twice: 'data.path=\"~/photos\"'"
LONGEST = 1000  # the most characters of a message


def one_line(error: BaseException, config: str = "") -> str:
    """An error in one line of printable characters, with a suggestion for a misspelt name.

    config: the YAML file of the command; a bare value may be of an option without a default.
    """
    cause: Any = error.__cause__
    text = " ".join(str(error).split())
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        text = f"{group}={choice} is not a choice; there are {', '.join(sorted(error.options))}"
    elif (known := getattr(cause, "parent_node", None)) is not None and getattr(cause, "key", None):
        near = suggestion(cause.full_key, [str(name) for name in known])
        text = f"{cause.full_key} is not an option; {near}"
    elif text.startswith("Could not override") and (group := text.split("'")[1]) in TARGET_PREFIXES:
        text = f"{group} is not an option; {suggestion(group, [])}"
    elif isinstance(error, OverrideParseException) and "=" not in error.override:
        meant = [
            shlex.quote(path_override(name, Path(error.override)))
            for name in required_options(config)
        ]
        advice = f"; did you mean {' or '.join(meant)}?" * bool(meant)
        text = f"arguments are OPTION=VALUE, but one is {error.override!r}{advice}"
    elif isinstance(error, OverrideParseException):
        text = f"{text.partition(' See ')[0]} ({QUOTING})"
    elif isinstance(error, UnicodeEncodeError):
        near = error.object[max(0, error.start - 40) : error.end + 40]
        text = f"a path or an option must be text in UTF-8, but is {near!r}"
    return printable(text)[:LONGEST]


def required_options(config: str) -> list[str]:
    """The options of a command that have no default."""
    path = CONFIG_DIR / f"{config}.yaml"
    options = yaml.safe_load(load_text(path)) if config else {}
    return [name for name, value in options.items() if value == "???"]
