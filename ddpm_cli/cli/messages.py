"""Errors of the user in one line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.cli.output_folders import NAMED_BY
from ddpm_cli.cli.suggestions import choices_of, meant_override, near_choice, with_value
from ddpm_cli.config import TARGET_PREFIXES, suggestion
from ddpm_cli.console import printable
from ddpm_cli.files import user_path

USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException, yaml.YAMLError)
QUOTING = "a value with ~, =, commas, quotes or brackets is quoted twice: 'data.path=\"~/photos\"'"
NO_DEFAULT = re.compile(r"Could not override '(\w+)'")  # in the defaults list
SEVERAL = re.compile(r"Ambiguous value for argument '(?P<key>[^=]+)=(?P<values>.*?)' 1\. To use")
LONGEST = 1000  # the most characters of a message


def one_line(error: BaseException, config: str = "", arguments: Sequence[str] = ()) -> str:
    """An error in one line of printable characters, with what the user may have meant.

    config: the YAML file of the command. arguments: as typed.
    """
    text: str = " ".join(str(error).split())
    if isinstance(error, HydraException):
        text = hydra_text(error, text, config, arguments)
    elif isinstance(error, OSError) and config and (folder := unmade_folder(error, arguments)):
        text = f"the folder {folder!r} cannot be made: {error.strerror}: {error.filename!r}; "
        text += "hydra.run.dir=FOLDER names another"
    elif isinstance(error, UnicodeEncodeError):
        near = error.object[max(0, error.start - 40) : error.end + 40]
        text = f"a path or an option must be text in UTF-8, but is {near!r}"
    return printable(text)[:LONGEST]


def unmade_folder(error: OSError, arguments: Sequence[str]) -> str:
    """The folder for the files of a command, if the error hit the making of this folder, or ''."""
    named = [each.partition("=")[2] for each in arguments if each.startswith(NAMED_BY)]
    folder = user_path((named or ["outputs"])[0]).absolute()
    where = Path(str(error.filename)).absolute()
    return str(folder) if where in (folder, *folder.parents) else ""


def hydra_text(error: Any, text: str, config: str, arguments: Sequence[str]) -> str:
    """An error of Hydra in our words. text: the error in Hydra's words, in one line."""
    cause: Any = error.__cause__
    if isinstance(error, MissingConfigException) and error.options:
        name = str(error.missing_cfg_file)  # a choice may be a path, and Hydra's groups have a /
        group, _, choice = name.rpartition("/") if "hydra/" in name else name.partition("/")
        meant = near_choice(group, choice, error.options)
        names = ", ".join(sorted(error.options))
        return f"{group}={choice} is not a choice; there are {names}{advice(meant)}"
    if (known := getattr(cause, "parent_node", None)) is not None and getattr(cause, "key", None):
        return unknown_option(cause.full_key, [str(name) for name in known], config, arguments)
    if match := NO_DEFAULT.match(text):
        return unknown_option(match[1], [], config, arguments)
    if match := SEVERAL.match(text):
        listed = with_value(match["key"], f"[{match['values']}]")
        each = "-m runs the command once for each"
        return f"{match['key']} has several values: {each}, and {listed} is one list"
    if isinstance(error, OverrideParseException):
        return f"{text.partition(' See ')[0]} ({QUOTING})"
    return text


def unknown_option(key: str, known: Sequence[str], config: str, arguments: Sequence[str]) -> str:
    """The text for an option that is not there. known: the options beside it."""
    if key in TARGET_PREFIXES:  # a group that the command does not take
        return f"{key} is not an option; {suggestion(key, [])}"
    typed = (each.lstrip("+").partition("=") for each in arguments)
    pairs = [(name, value) for name, _, value in typed if f"{name}.".startswith(f"{key}.")]
    name, value = pairs[0] if pairs else (key, None)
    is_ours = config and not key.startswith("hydra.")
    if meant := meant_override(config, name, value, arguments) if is_ours else "":
        choice = choices_of(config, arguments).get(group := name.partition(".")[0])
        of_choice = f" of {group}={choice}" * meant.startswith(f"{group}=")
        return f"{name} is not an option{of_choice}{advice(meant)}"
    return f"{name} is not an option; {suggestion(key, known)}"


def advice(meant: str) -> str:
    """What the user may have meant, as the end of a sentence."""
    return f"; did you mean {meant}?" * bool(meant)
