"""The options of YAML files with defaults and comments, as they are written; nothing is composed.

Imports no torch.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.files import load_text

LINE = re.compile(r"(?P<indent> *)(?P<name>\w+):(?: (?P<value>[^#]*?))?\s*(?:# (?P<comment>.*))?")
DEFAULT = re.compile(r"  - (?P<group>\w+)(?:: (?P<choice>\w+))?")
NO_OPTIONS = ("_target_", "defaults")
NO_CHOICE = "null"  # a group that nothing is chosen of
MUST_BE_GIVEN = "???"
WRITING = (
    "train",
    "sample",
    "eval",
    "compare",
    "tune",
    "data",
)  # commands with a folder of their own


class YamlOption(NamedTuple):
    """The default of an option, as YAML shows it, and the option's comment, or ''."""

    default: str
    comment: str


YamlOptions: TypeAlias = Mapping[str, YamlOption]


def file_options(path: Path, prefix: str = "") -> dict[str, YamlOption]:
    """The options of a YAML file by name with dots, below `prefix`; Hydra's own are left out."""
    options, parents = {}, [prefix]
    for line in load_text(path).splitlines():
        if line.startswith("hydra:"):
            break
        match = LINE.fullmatch(line)
        if match is None or match["name"] in NO_OPTIONS:
            continue
        parents = parents[: 1 + len(match["indent"]) // 2]
        if match["value"]:
            name = ".".join(filter(None, [*parents, match["name"]]))
            options[name] = YamlOption(match["value"], match["comment"] or "")
        else:
            parents.append(match["name"])
    return options


def file_defaults(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the defaults list of a YAML file: (group, choice), or (file beside it, None)."""
    for line in load_text(path).splitlines():
        if (match := DEFAULT.fullmatch(line)) and match["group"] != "_self_":
            yield match["group"], match["choice"]


def command_groups(config: str) -> dict[str, str]:
    """The groups of a command's YAML file with the choice of each, or null."""
    defaults = file_defaults(CONFIG_DIR / f"{config}.yaml")
    return {group: choice for group, choice in defaults if choice}


def group_files(group: str, folders: Sequence[Path] = ()) -> dict[str, Path]:
    """The YAML files of a group by choice: ours, and before them those in the user's folders."""
    places = (CONFIG_DIR, *folders)
    return {path.stem: path for each in places for path in sorted((each / group).glob("*.yaml"))}


def choice_options(group: str, choice: str, folders: Sequence[Path] = ()) -> YamlOptions:
    """The options of a choice with those of the files that it is based on; {} if it is none."""
    files, options = group_files(group, folders), dict[str, YamlOption]()
    if choice not in files:
        return options
    own = file_options(files[choice], group)
    for base, other in file_defaults(files[choice]):
        if other is None and base != choice:
            options |= choice_options(group, base, folders)
    for name, option in own.items():
        inherited = options.get(name, YamlOption("", "")).comment
        options[name] = YamlOption(option.default, option.comment or inherited)
    return options


def own_options(config: str) -> dict[str, YamlOption]:
    """The options of a command apart from its groups', with those that its YAML file lacks."""
    options = file_options(CONFIG_DIR / f"{config}.yaml")
    if config == "train":
        about = "checkpoint whose run's options are taken, but for those on the command line"
        options["recipe"] = YamlOption(NO_CHOICE, about)
    if config in WRITING:
        about = "folder that the command writes; a folder with date and time if none is named"
        options["hydra.run.dir"] = YamlOption("outputs/...", about)
    return options


def command_options(config: str, choices: Mapping[str, str]) -> YamlOptions:
    """The options of a command: its own, then its groups'. choices: the choice of each group."""
    options = own_options(config)
    for group, choice in choices.items():
        options |= choice_options(group, choice)
    return options


def file_title(path: Path) -> str:
    """The first line of comment of a YAML file, which says what its choice is."""
    lines = (line for line in load_text(path).splitlines() if line.startswith("# "))
    return next((line[2:] for line in lines if "@package" not in line), "")
