"""The options that a user may have meant."""

import re
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from ddpm_cli.config.other_names import OPTIONS, meant_value
from ddpm_cli.config.values import text_value
from ddpm_cli.config.yaml_options import (
    NO_CHOICE,
    choice_options,
    command_groups,
    command_options,
    group_files,
)
from ddpm_cli.files import user_path

MOST = 3  # options in a suggestion
SOURCES = {  # the source for a file, by the end of its name; a folder's is `folder`
    r"\.(npy|npz)|-ubyte(\.gz)?": "data=arrays data.path",
    r"\.(zip|tar|tgz|tar\.gz)": "data=archive data.path",
    r"\.(parquet|arrow)": "data=hub data.name",
}


def meant_override(
    config: str, key: str, value: str | None, overrides: Sequence[str] = (), *, near: bool = True
) -> str:
    """The override that a user may have meant by an option that is not there, else ''.

    overrides: the user's other overrides, which may choose groups.
    near: whether a name that is only alike counts.
    """
    chosen = choices_of(config, overrides)
    names = [*command_options(config, chosen), *chosen]
    if key == "experiment" and config == "train":
        return with_value("+experiment", value)
    if names_alike := same_option(names, key):
        *others, last = (with_value(name, value) for name in names_alike[:MOST])
        return " or ".join([*filter(None, [", ".join(others)]), last])
    if choice := other_choice(key, value, chosen):
        return choice
    parent, word = key.rpartition(".")[::2]
    siblings = [name.rpartition(".")[2] for name in names if name.rpartition(".")[0] == parent]
    for known in (siblings, [name.rpartition(".")[2] for name in names]) if near else ():
        if alike := get_close_matches(word, known, n=1):
            within = f"{parent}.{alike[0]}" if known is siblings and parent else alike[0]
            return with_value(same_option(names, within)[0], value)
    return ""


def choices_of(config: str, overrides: Sequence[str]) -> dict[str, str]:
    """The choice of each group of a command, by its YAML file and the user's overrides."""
    pairs = (each.lstrip("+").partition("=")[::2] for each in overrides)
    groups = command_groups(config)
    return groups | {group: choice for group, choice in pairs if group in groups}


def same_option(names: Sequence[str], key: str) -> list[str]:
    """The options that end in the last word of a key, of the trainer first.

    If all words of the key stand in some of them, in order, these options alone.
    """
    if key in names:
        return [key]
    for meant in OPTIONS.get(key.rpartition(".")[2], key).split():
        last = meant if meant in names else meant.rpartition(".")[2]
        same = [name for name in names if last in (name, name.rpartition(".")[2])]
        if same:
            whole = [name for name in same if holds_words(name, meant)]
            return sorted(whole or same, key=lambda name: not name.startswith("trainer."))
    return []


def holds_words(name: str, key: str) -> bool:
    """Whether the words of a key stand in a name with dots, in order."""
    words = iter(name.split("."))
    return all(word in words for word in key.split("."))


def other_choice(key: str, value: str | None, chosen: Mapping[str, str]) -> str:
    """The choice of a group that has an option which the chosen one lacks, with the option.

    A group that the key names comes first, and then the data.
    """
    groups = [group for group in chosen if chosen[group] != NO_CHOICE]
    for group in sorted(groups, key=lambda group: (not holds_words(key, group), group != "data")):
        for choice in group_files(group):
            if not (names := same_option(list(choice_options(group, choice)), key)):
                continue
            if group == "data" and names[0] in ("data.path", "data.name") and value:
                return source_override(value)
            return f"{group}={choice} {with_value(names[0], value)}"
    return ""


def source_override(path: str) -> str:
    """The overrides that read images from a file or folder."""
    name = str(user_path(path)).lower()
    source = next((each for end, each in SOURCES.items() if re.search(f"({end})$", name)), "")
    value = path if path[:1] in "'\"" else text_value(path)  # of an override, or of a shell
    return with_value(source or "data=folder data.path", value)


def with_value(name: str, value: str | None) -> str:
    """An override as it is typed in a shell, or the bare name if there is no value."""
    *before, name = name.split(" ")
    return name if value is None else " ".join([*before, shlex.quote(f"{name}={value}")])


def near_choice(group: str, choice: str, known: Sequence[str]) -> str:
    """The override for a choice that a group lacks: a choice that is alike, or the user's files."""
    if group == "data" and ("/" in choice or user_path(choice).exists()):
        return source_override(choice)
    same = meant_value(group, choice, known)
    begun = sorted(each for each in known if choice and each.startswith(choice))
    meant = [same] if same else begun or get_close_matches(choice, known, n=1)
    sign = "+" * (group == "experiment")
    return " or ".join(f"{sign}{group}={each}" for each in meant[:MOST])
