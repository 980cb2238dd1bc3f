"""`--help`, `--version` and the list of commands, in the words of the YAML files; without torch."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import dedent, wrap

from ddpm_cli.cli.suggestions import choices_of
from ddpm_cli.config.build import CONFIG_DIR, PACKAGE
from ddpm_cli.config.yaml_options import (
    MUST_BE_GIVEN,
    YamlOptions,
    choice_options,
    file_title,
    group_files,
    own_options,
)
from ddpm_cli.files import load_text, user_path
from ddpm_cli.versions import package_version

NARROWEST, WIDEST = 60, 120  # characters of a line
COMMENTS = 32  # the column in which comments begin
FLAGS = {
    "--help, -h": "this page; with GROUP=CHOICE, the options of that choice",
    "--version": "the versions of ddpm-cli and torch",
    "--cfg job": "the options that the command would take, as YAML, and nothing else",
    "--config-dir=FOLDER": "folder of your own YAML files, with ours as its layout",
    "--multirun, -m": "one job for each value of options such as seed=1,2,3",
    "--hydra-help": "further flags, which are Hydra's",
}


def version_text() -> str:
    """The versions of this package and of torch."""
    return f"ddpm-cli {package_version('ddpm-cli')}, torch {package_version('torch')}"


def command_list(names: Iterable[str]) -> str:
    """The commands with a line each."""
    about = {name: help_text(name).partition(": ")[2].partition(".\n")[0] for name in names}
    sentences = {name: " ".join(text.split()).partition(". ")[0] for name, text in about.items()}
    rows = (row for name, text in sentences.items() for row in aligned_rows(name, text, 12))
    ends = f"COMMAND --help says more; ddpm-COMMAND is the same.\nManual: {PACKAGE / 'README.md'}"
    usage = "Usage\n  python -m ddpm_cli COMMAND [OPTION=VALUE ...]"
    return "\n".join([version_text(), "", usage, "", "Commands", *rows, "", ends])


def help_page(name: str, config: str, module: str, arguments: Sequence[str]) -> str:
    """The help of a command: what it does, usage, examples, groups, options, flags and manual.

    config: the command's YAML file. module: the command's module. arguments: as typed.
    """
    about, _, examples = help_text(name).partition("\n\nExample")
    chosen = choices_of(config, [each for each in arguments if not each.startswith("-")])
    own = own_folders(arguments)
    files = {group: group_files(group, own) for group in chosen}
    if config == "train":
        files["+experiment"] = group_files("experiment", own)
    groups = [
        row for group in files for row in aligned_rows(group, ", ".join(sorted(files[group])), 17)
    ]
    options = own_options(config)
    sections = {
        "Usage": [f"  ddpm-{name} {usage(options, bool(files))}"],
        f"Example{examples.partition(chr(10))[0]}": examples.splitlines()[1:],
        "Groups (GROUP=CHOICE)": groups,
        "Options (OPTION=VALUE) with their defaults": option_rows(options),
    }
    for group, choice in chosen.items():
        if choice in files[group]:
            title = wrap(f"{group}={choice}: {file_title(files[group][choice])}", page_width())
            sections["\n".join(title)] = option_rows(choice_options(group, choice, own))
    sections["Flags"] = [row for flag in FLAGS for row in aligned_rows(flag, FLAGS[flag])]
    texts = ["\n".join([title, *rows]) for title, rows in sections.items() if rows]
    return "\n\n".join([about, *texts, f"Manual: {manual(module)}"])


def help_text(name: str) -> str:
    """What a command says of itself: sentences, and examples."""
    text = load_text(CONFIG_DIR / f"{name}.yaml").partition("    template: |\n")[2]
    return dedent(text).strip()


def usage(options: YamlOptions, has_groups: bool) -> str:
    """The arguments of a command, with those that must be given."""
    needed = [f"{key}=..." for key in options if options[key].default == MUST_BE_GIVEN]
    return " ".join([*needed, "[OPTION=VALUE ...]", *["[GROUP=CHOICE ...]"] * has_groups])


def option_rows(options: YamlOptions) -> list[str]:
    """The lines of options: name, default and comment."""
    return [
        row
        for name, option in options.items()
        for row in aligned_rows(f"{name}={option.default.replace(', ', ',')}", option.comment)
    ]


def aligned_rows(name: str, text: str, column: int = COMMENTS) -> Iterator[str]:
    """Yield the lines of a name and its text, which is wrapped within its own column."""
    first, *others = wrap(text, page_width() - column, break_on_hyphens=False) or [""]
    if len(name) + 4 > column and text:
        others, first = [first, *others], ""
    yield f"  {name}".ljust(column) + first if first else f"  {name}"
    yield from (" " * column + each for each in others)


def page_width() -> int:
    """The characters of a line, which follow from the terminal."""
    return min(max(shutil.get_terminal_size((100, 24)).columns, NARROWEST), WIDEST)


def own_folders(arguments: Sequence[str]) -> list[Path]:
    """The user's folders of YAML files, by the flags."""
    flags = ("--config-dir", "-cd")
    named = [value for flag, value in pairwise(arguments) if flag in flags]
    named += [each.partition("=")[2] for each in arguments if each.startswith("--config-dir=")]
    return [user_path(each) for each in named]


def manual(module: str) -> Path:
    """The page of the manual that describes a command, which lies in the command's folder."""
    return PACKAGE.joinpath(*module.split(".")[1:-1], "README.md")
