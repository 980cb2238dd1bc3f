"""What is known of a configuration before torch is imported: missing values and paths, types."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoint_paths import existing_file, last_in, run_of
from ddpm_cli.cli.declared_options import declared_options
from ddpm_cli.config.build import GROUP_OPTIONS, PACKAGE, TARGET_PREFIXES, Options
from ddpm_cli.config.schema import check_values, is_utf8
from ddpm_cli.config.yaml_options import command_groups, command_options, own_options
from ddpm_cli.files import near_path_advice, user_path
from ddpm_cli.run_folder.overrides import typed_overrides, unnamed_images_text
from ddpm_cli.sweeps import is_sweep

Kind = tuple[str, Callable[[Path], bool]]  # in words, and as a test
FOLDER: Kind = ("a folder", Path.is_dir)
FILE: Kind = ("a file", Path.is_file)
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("start", "inpaint", "mask", "data.labels", "schedule.path"), FILE),
    "run": FOLDER,
    **dict.fromkeys(("generated", "from"), ("a folder or a file", Path.exists)),
}
ARCHIVES: Kind = ("a zip or tar file, or a pattern of some (*, ?, {000..012})", Path.is_file)
SOURCES: dict[str, Kind] = {  # of data.path, by the function that reads it
    "ddpm_cli.data.folder": FOLDER,
    "ddpm_cli.data.archive": ARCHIVES,
    "ddpm_cli.data.idx": FOLDER,
    "ddpm_cli.data.arrays": ("an .npy, .npz or IDX file", Path.is_file),
}
PATTERN = ("*", "?", "{")  # of archives
MODULES = {"eval": "evaluate"}  # the module of a command that is of another name
OF_IMAGES = "ddpm_cli.generation.options.GenerationOptions"


def check_inputs(config: str, cfg: DictConfig, choices: Mapping[str, str | None]) -> None:
    """Refuse options that must be given and are not, paths to nothing, and values of other types.

    config: the YAML file of the command. choices: the choice of each group.
    """
    if missing := OmegaConf.missing_keys(cfg):
        chosen = {group: str(choices.get(group)) for group in command_groups(config)}
        options = command_options(config, chosen)
        texts = [
            f"{key} must be given: {options[key].comment}" for key in options if key in missing
        ]
        texts += [f"{key} must be given" for key in sorted(missing - options.keys())]
        raise ValueError("; ".join(texts))
    for name in ("ckpt", "guide", *["resume"] * (config == "train")):
        text = OmegaConf.select(cfg, name, throw_on_resolution_failure=False)
        if isinstance(text, str) and text != "auto" and "://" not in text:
            path = existing_file(user_path(text))
            typed = typed_overrides(run_of(path))
            needed = name == "ckpt" and config in ("eval", "compare") and "data" not in cfg
            if needed and "data=folder" in typed:
                raise ValueError(unnamed_images_text(typed))
    for name, text, (kind, is_there) in named_paths(config, cfg):
        if not text or not is_there(user_path(text)):
            raise ValueError(f"{name} must be {kind}, but {path_fault(text)}")
    if config == "report" and not is_sweep(folder := user_path(cfg.run)):
        last_in(folder)
    check_types(config, cfg)


def check_types(config: str, cfg: DictConfig) -> None:
    """Refuse values of other types than the parts of this package declare.

    The command itself checks all parts, their names included, once it is imported.
    """
    for key in TARGET_PREFIXES:
        node = OmegaConf.select(cfg, key, throw_on_missing=False)
        target = node.get("_target_") if isinstance(node, DictConfig) else None
        if isinstance(target, str):
            shared = declared_options(GROUP_OPTIONS[key]) if key in GROUP_OPTIONS else {}
            check_declared(node, f"{key}.", {**declared_options(target), **shared})
    module = f"{PACKAGE.name}.commands.{MODULES.get(config, config)}"
    own = [declared_options(f"{place}.Options") for place in (module, f"{module}.command")]
    check_declared(cfg, "", {**declared_options(OF_IMAGES), **own[0], **own[1]})


def check_declared(node: DictConfig, prefix: str, declared: Options) -> None:
    """Refuse values of a node that are not of the types declared."""
    there = {name: each for name, each in declared.items() if name in node}
    check_values(node, prefix, there, [str(name) for name in node])


def named_paths(config: str, cfg: DictConfig) -> Iterator[tuple[str, str, Kind]]:
    """Yield the options that name paths, with each path and what must be there."""
    source, own = OmegaConf.select(cfg, "data._target_"), own_options(config)
    is_needed = source in SOURCES and not OmegaConf.select(cfg, "data.name")  # a set of the hub
    kinds = KINDS | ({"data.path": SOURCES[source]} if is_needed else {})
    for name, kind in kinds.items():
        text: Any = OmegaConf.select(cfg, name, throw_on_resolution_failure=False)
        is_pattern = kind == ARCHIVES and any(mark in str(text) for mark in PATTERN)
        is_known = "." in name or name in own
        is_path = isinstance(text, str) and is_utf8(text) and "://" not in text
        if is_known and is_path and not is_pattern:
            yield name, text, kind


def path_fault(text: str) -> str:
    """What is at a path in place of what should be there, with the path that may be meant."""
    path = user_path(text)
    if text and path.exists():
        return f"{text!r} is a {'folder' if path.is_dir() else 'file'}"
    return f"there is none at {text!r}{near_path_advice(path)}"
