"""`tuned.json` beside a checkpoint: the setting of ddpm-tune, which ddpm-sample takes.

The file may come from a stranger: it is read within limits, and only known options are taken.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf, open_dict

from ddpm_cli.checkpoint_paths import OLD, SUFFIX
from ddpm_cli.checkpoints import Checkpoint, existing_file, file_hash
from ddpm_cli.config.composition import choices, compose_present
from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.config.schema import fits
from ddpm_cli.config.values import yaml_text
from ddpm_cli.files import save_text, user_path
from ddpm_cli.generation.options import ALL, GenerationOptions
from ddpm_cli.hub.address import is_address
from ddpm_cli.text import cut_text

TUNED = "tuned.json"
MOST_BYTES = 2**16
FILE = re.compile(r"\w[\w.-]{0,99}\.safetensors", re.ASCII)
LENGTH = "length"  # of the EMA, in a checkpoint of its own
KINDS: dict[str, Any] = {  # of the options that a search varies, and that its settings share
    LENGTH: float,
    "guidance": float,
    "guider": str,
    "guidance_interval": list[float] | None,
    "sampler": str,
    "sampler.steps": int | str,
    "guide": str,
    "threshold": Literal["static", "dynamic", "none"],
    "quantile": float,
}
OF_GRID = ("sampler.steps", "sampler.spacing")  # options that all samplers have
GROUPS, THRESHOLD = ("sampler", "guider"), ("threshold", "quantile")
OF_IMAGES = ("guidance", "guidance_interval", "guide", *THRESHOLD)
GUIDING = ("guidance", "guidance_interval", "guider", "guide")
EDITING = ("start", "inpaint", "interpolate")  # images that are not drawn as the search drew them
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TunedSetting:
    """The setting that a search has found for a checkpoint.

    options: the values that differ from the defaults, by the names in KINDS. sha256: of the
    checkpoint. file, file_sha256: the checkpoint of an EMA length, beside the first; "" for none.
    label: of the images that the setting was found on. guide_sha256: of the guide among the
    options; "" for none. about: how the setting was found, in plain values.
    """

    options: Mapping[str, Any]
    sha256: str
    file: str = ""
    file_sha256: str = ""
    label: str | int | None = ALL
    guide_sha256: str = ""
    about: Mapping[str, Any] | None = None


def tuned_path(checkpoint: Path) -> Path:
    """The file beside a checkpoint, links followed."""
    return checkpoint.resolve().parent / TUNED


def write_tuned(checkpoint: Checkpoint, tuned: TunedSetting) -> Path:
    """Write the setting beside a checkpoint; return the path."""
    path = tuned_path(checkpoint.path)
    file = {"name": tuned.file, "sha256": tuned.file_sha256}
    content = {
        "checkpoint": {
            "name": checkpoint.path.resolve().name,
            "step": checkpoint.step,
            "fingerprint": checkpoint.fingerprint,
            "sha256": tuned.sha256,
        },
        "options": dict(tuned.options),
        "label": tuned.label,
        **({"file": file} if tuned.file else {}),
        **({"guide": {"sha256": tuned.guide_sha256}} if tuned.guide_sha256 else {}),
        **(tuned.about or {}),
    }
    save_text(path, json.dumps(content, indent=2) + "\n")
    return path


def read_tuned(path: Path) -> TunedSetting:
    """Read the file of a setting. Raises ValueError for what it may not hold."""
    content = plain_json(bounded_text(path, MOST_BYTES))
    names = ("options", "checkpoint", "file", "guide")
    options, of, file, guide = (part_of(content, name) for name in names)
    check_tuned_options(options)
    beside = str(file.get("name", ""))
    if (LENGTH in options) != bool(beside) or (beside and not FILE.fullmatch(beside)):
        raise ValueError("a length comes with the name of a checkpoint in the same folder")
    if not fits(label := content.get("label", ALL), str | int | None):
        raise ValueError(f"label cannot be {cut_text(yaml_text(label), 40)}")
    own, length, leader = (str(each.get("sha256")) for each in (of, file, guide))
    return TunedSetting(options, own, beside, length, label, leader)


def check_tuned_options(options: Mapping[str, Any]) -> None:
    """Refuse options that no search varies, and values that ddpm-sample would refuse."""
    for name, value in options.items():
        if name not in KINDS:
            raise ValueError(f"{cut_text(name, 40)!r} is no option that is tuned")
        if not fits(value, KINDS[name]):
            raise ValueError(f"{name} cannot be {cut_text(yaml_text(value), 40)}")
    GenerationOptions(label=ALL, **{name: options[name] for name in OF_IMAGES if name in options})
    for group in GROUPS:
        if group in options and options[group] not in choices(group):
            raise ValueError(f"{group}={cut_text(options[group], 40)} is not a choice")
    steps = options.get("sampler.steps", "all")
    if steps != "all" and (isinstance(steps, str) or steps < 1):
        raise ValueError(f"sampler.steps must be int or all, but is {cut_text(str(steps), 40)!r}")
    if "guider" in options and options.get("guidance", 1) == 1:
        raise ValueError(f"guider={options['guider']} has no effect without guidance")
    if options.get("guider") == "autoguidance" and "guide" not in options:
        raise ValueError("guider=autoguidance comes with a guide")


def part_of(content: Any, name: str) -> dict[str, Any]:
    """An object in a file of a setting. Raises ValueError if there is another value."""
    part = content.get(name, {}) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise ValueError(f"{name} must be an object")
    return part


def take_tuned(cfg: DictConfig, typed: Sequence[str]) -> list[str]:
    """Put the values of tuned.json into a configuration of ddpm-sample; return them in words.

    typed: the overrides of the user, which win: an option of guidance over all of guidance, a
    sampler over sampler and steps. A file that cannot be taken is named in a warning.
    """
    if is_address(cfg.ckpt):
        return []
    checkpoint = existing_file(user_path(cfg.ckpt))
    path = tuned_path(checkpoint)
    if not path.is_file():
        return []
    try:
        tuned = read_tuned(path)
        values = applicable_options(tuned, cfg, typed)
        if not values:
            return []
        if file_hash(str(checkpoint)) != tuned.sha256:
            raise ValueError(f"it is of another checkpoint than {checkpoint.name}")
        if "guide" in values:
            check_guide(values["guide"], tuned)
        if LENGTH in values:
            cfg.ckpt = str(checkpoint_of_length(path.parent, tuned))
        put_options(cfg, values, typed)
    except (ValueError, OSError) as error:
        log.warning("warning: %s is not taken: %s", path, error)
        return []
    texts = {
        name: each if isinstance(each, str) else yaml_text(each) for name, each in values.items()
    }
    return [f"{name}={text}" for name, text in texts.items()]


def checkpoint_of_length(folder: Path, tuned: TunedSetting) -> Path:
    """The checkpoint of the tuned EMA length. Raises ValueError if it is not what was tuned."""
    path = folder / tuned.file
    if not path.is_file():
        raise ValueError(f"the checkpoint of its EMA length, {path.name}, is not there")
    if file_hash(str(path)) != tuned.file_sha256:
        raise ValueError(f"{path.name} is not the checkpoint of its EMA length")
    return path


def check_guide(guide: str, tuned: TunedSetting) -> None:
    """Raise ValueError if the guide is not the checkpoint on this machine that was tuned with."""
    path = Path(guide)
    if not (path.is_absolute() and path.suffix in (SUFFIX, OLD) and path.is_file()):
        raise ValueError(f"its guide, {cut_text(guide, 200)!r}, is not there")
    if file_hash(guide) != tuned.guide_sha256:
        raise ValueError(f"{path.name} is not its guide")


def applicable_options(
    tuned: TunedSetting, cfg: DictConfig, typed: Sequence[str]
) -> dict[str, Any]:
    """The tuned options that the typed ones leave free.

    Raises ValueError if they are of one class, and the images are not.
    """
    if tuned.options and tuned.label not in (None, ALL) and str(cfg.label) != str(tuned.label):
        raise ValueError(f"it is of label={cut_text(str(tuned.label), 40)}")
    names = {each.lstrip("+~").partition("=")[0] for each in typed}
    groups = {name.partition(".")[0] for name in names}
    left_out = set[str]()
    if cfg.weights != "ema" or "weights" in names:
        left_out |= {LENGTH}
    if (cfg.label is None) != (tuned.label is None) or groups & {*GUIDING}:
        left_out |= {*GUIDING}
    if groups & {*THRESHOLD}:
        left_out |= {*THRESHOLD}
    of_sampler = {name for name in names if name.partition(".")[0] == "sampler"}
    if of_sampler - {*OF_GRID} or any(cfg.get(name) is not None for name in EDITING):
        left_out |= {"sampler", "sampler.steps"}
    left_out |= of_sampler
    return {name: each for name, each in tuned.options.items() if name not in left_out}


def put_options(cfg: DictConfig, values: Mapping[str, Any], typed: Sequence[str]) -> None:
    """Set options of a configuration; a sampler comes with its own, apart from typed ones."""
    if "sampler" in values:
        names = {each.lstrip("+").partition("=")[0] for each in typed}
        own = {name: OmegaConf.select(cfg, name) for name in OF_GRID if name in names}
        cfg.sampler = compose_present("sample", [f"sampler={values['sampler']}"]).sampler
        for name, value in own.items():
            OmegaConf.update(cfg, name, value)
    if "guider" in values:
        with open_dict(cfg):  # without a guider, there is no such node
            cfg.guider = compose_present("sample", [f"guider={values['guider']}"]).guider
    for name, value in values.items():
        if name not in (LENGTH, *GROUPS):
            OmegaConf.update(cfg, name, value)
