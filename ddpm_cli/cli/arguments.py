"""The arguments of a command before Hydra reads them: flags, overrides, and paths alone."""

import os
import re
import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from ddpm_cli.checkpoint_paths import OLD, SUFFIX, existing_file, run_of
from ddpm_cli.cli.suggestions import meant_override, source_override, with_value
from ddpm_cli.config import path_override
from ddpm_cli.files import near_path_advice, user_path
from ddpm_cli.run_folder.overrides import command_to_go_on

FLAGS = (
    *("--help", "-h", "--version", "--multirun", "-m", "--run", "-r", "--resolve"),
    *("--hydra-help", "--shell-completion", "-sc", "--info", "-i"),
)
FLAGS_WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun"),
)
OF_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
ALIKE = 0.7  # how alike a flag must be to be meant
NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)
ADDRESS = "://"  # what an address holds and a path does not
BARE_PATHS = {  # the option that a path alone is for, by the YAML file of a command
    **dict.fromkeys(("sample", "eval", "compare", "info", "export"), "ckpt"),
    **dict.fromkeys(("report", "tune", "ema"), "run"),
    **{"plot": "runs", "sweep": "show", "import": "from"},
}


def parse_arguments(config: str, arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra takes them: the overrides, then the flags.

    A path alone becomes the option that it is for. config: the YAML file of the command.
    Raises ValueError, with what the user may have meant, for what is neither override nor flag.
    """
    words, flags = split_flags(config, arguments)
    check_blanks(words)
    bare = [word for word in words if "=" not in word and not word.startswith("~")]
    overrides = [word for word in words if word not in bare]
    return [*overrides, *bare_paths(config, words, bare), *flags]


def shows_options(arguments: Sequence[str]) -> bool:
    """Whether a flag asks to print the options in place of the command."""
    return any(each.partition("=")[0] in ("--cfg", "-c") for each in arguments)


def split_flags(config: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments that are no flags, and the flags with their values."""
    words, flags = list[str](), list[str]()
    for place, each in enumerate(arguments):
        before = arguments[place - 1] if place else ""
        is_value = before in FLAGS_WITH_VALUE or (before in ("--info", "-i") and each in OF_INFO)
        if is_value or each in FLAGS or each.partition("=")[0] in ("--info", *FLAGS_WITH_VALUE):
            flags.append(each)
        elif each.startswith("-"):
            raise ValueError(flag_refusal(config, arguments[place:]))
        else:
            words.append(each)
    return words, flags


def flag_refusal(config: str, arguments: Sequence[str]) -> str:
    """The reason why the first argument is no flag, with the option that it may stand for."""
    flag, equals, value = arguments[0].partition("=")
    following = [each for each in arguments[1:2] if "=" not in each and not each.startswith("-")]
    key = flag.lstrip("-").replace("-", "_")
    value = value if equals else (following or ["true"])[0]
    meant = meant_override(config, key, value, near=False)
    if not meant and flag.startswith("--"):
        known = [each for each in (*FLAGS, *FLAGS_WITH_VALUE) if each.startswith("--")]
        if alike := get_close_matches(flag, known, n=1, cutoff=ALIKE):
            return f"{flag} is not a flag; did you mean {alike[0]}?"
    if meant := meant or meant_override(config, key, value):
        return f"{flag} is not a flag, and options have no dashes; did you mean {meant}?"
    return f"{flag} is not a flag; --help lists the flags and the options"


def check_blanks(words: Sequence[str]) -> None:
    """Refuse blanks around the sign between an option and its value."""
    joined = list[str]()
    for word in words:
        if joined and (word.startswith("=") or (joined[-1].endswith("=") and "=" not in word)):
            joined[-1] += word
        else:
            joined.append(word)
    if changed := [word for word in joined if word not in words]:
        raise ValueError(f"OPTION=VALUE has no blanks; did you mean {shlex.join(changed)}?")


def bare_paths(config: str, words: Sequence[str], bare: Sequence[str]) -> list[str]:
    """The override for paths that are given without their option.

    Raises ValueError for words that are no paths, and for a command that takes no path alone.
    """
    option = BARE_PATHS.get(config)
    is_given = any(each.startswith(f"{option}=") for each in words)
    most = 1 if option != "runs" else len(bare)
    paths = [word for word in bare if is_path(word)]
    if bare and (option is None or is_given or not len(paths) == len(bare) <= most):
        word = next((each for each in bare if each not in paths), bare[0])
        raise ValueError(
            f"arguments are OPTION=VALUE, but one is {word_fault(config, words, word)}"
        )
    if option == "runs" and bare:
        return [f"runs=[{','.join(map(path_value, paths))}]"]
    return [f"{option}={path_value(path)}" for path in paths]


def is_path(word: str) -> bool:
    """Whether a word names a path or an address, of nothing as well if it has a separator."""
    return ADDRESS in word or "/" in word or os.sep in word or user_path(word).exists()


def word_fault(config: str, words: Sequence[str], word: str) -> str:
    """A word without a value, with what the user may have meant."""
    if joined := unquoted_path(words, word):
        return f"{word!r}; a value with blanks is quoted: {shlex.quote(joined)}"
    if meant := meant_words(config, words, word):
        return f"{word!r}; did you mean {meant}?"
    if user_path(word).exists():
        return repr(word)
    return f"{word!r}, and there is no file or folder {word!r}{near_path_advice(user_path(word))}"


def unquoted_path(words: Sequence[str], word: str) -> str:
    """The override of a path that a shell has split at its blanks into words, or ''."""
    for start in range(words.index(word)):
        for end in range(words.index(word) + 1, len(words) + 1):
            joined = " ".join(words[start:end])
            value = joined.partition("=")[2]
            if "=" in words[start] and value and user_path(value).exists():
                return joined
    return ""


def path_value(path: str) -> str:
    """A path or an address as the value of an option."""
    return path if ADDRESS in path else path_override("", Path(path)).removeprefix("=")


def meant_words(config: str, words: Sequence[str], word: str) -> str:
    """What a user may have meant by a word without a value."""
    following = [each for each in words[words.index(word) + 1 :][:1] if "=" not in each]
    if word == "help":
        return "--help"
    if NAME.fullmatch(word) and (following or not user_path(word).exists()):
        value = (following or ["true"])[0]
        if meant := meant_override(config, word, value, words, near=False):
            return meant
    if option := BARE_PATHS.get(config):
        value = path_value(word)
        return with_value(option, f"[{value}]" if option == "runs" else value)
    path = user_path(word)
    if config == "train" and is_checkpoint(path):
        command = command_to_go_on(run_of(existing_file(path)))
        return command or with_value("resume", path_value(word))
    return source_override(word) if path.exists() else ""


def is_checkpoint(path: Path) -> bool:
    """Whether a path looks like a checkpoint, or is a folder that stands for one."""
    try:
        return existing_file(path).suffix in (SUFFIX, OLD)
    except ValueError:
        return False
