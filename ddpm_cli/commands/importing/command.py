"""`ddpm-import`: a model of diffusers, improved-diffusion or guided-diffusion as a checkpoint."""

import inspect
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import torch
from omegaconf import DictConfig

from ddpm_cli.checkpoints import Checkpoint, write_checkpoint
from ddpm_cli.commands.importing.likes import LIKE, fitting_likes, like_model, missing_like
from ddpm_cli.components import load_denoiser
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.files import user_path
from ddpm_cli.foreign.difference import OtherModel, prove
from ddpm_cli.foreign.diffusers_folder import is_diffusers, read_folder
from ddpm_cli.foreign.diffusers_model import diffusers_model, import_diffusers
from ddpm_cli.foreign.entries import theirs_of
from ddpm_cli.foreign.model import UNKNOWN, ForeignModel
from ddpm_cli.foreign.openai_file import refuse_others
from ddpm_cli.foreign.openai_flags import openai_flags
from ddpm_cli.foreign.openai_program import openai_program
from ddpm_cli.foreign.weights_file import read_weights
from ddpm_cli.hub.address import is_address, parse_address

SUFFIX = ".safetensors"
LONGEST = {"source": 200, "licence": 100}  # characters
MOST = 90  # characters of the name of a file, and of a like
PATH = inspect.Parameter("from", inspect.Parameter.POSITIONAL_ONLY, annotation=str)


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-import` beside `from`, which is a word of Python.

    out: the new checkpoint. size: of the images, for a file; classes: their number or names.
    source, licence: of the weights, in words.
    """

    _: KW_ONLY
    out: str
    size: int | list[int] | None
    classes: int | list[str] | None
    source: str | None
    licence: str | None

    def __post_init__(self) -> None:
        if Path(self.out).suffix != SUFFIX:
            raise ValueError(f"out must end in {SUFFIX}, but is {self.out!r}")
        for name, most in LONGEST.items():
            words = getattr(self, name)
            if words is not None and not (0 < len(words.strip()) <= most and words.isprintable()):
                rule = f"{name} must be a text of 1 to {most} characters"
                raise ValueError(f"{rule}, but is {words[:most]!r}")

    def origin(self) -> dict[str, str]:
        """What the user says of source and licence."""
        words = {"source": self.source, "licence": self.licence}
        return {name: each.strip() for name, each in words.items() if each is not None}


def import_model(cfg: DictConfig, invocation: Invocation) -> None:
    """Write a model of another program as a checkpoint, once both compute alike."""
    groups = [name for name in LIKE if name in cfg]
    options = parse_options(cfg, Options, groups=groups, beside={"from": PATH})
    if is_address(cfg["from"]):
        fetch = f"hf download {parse_address(cfg['from']).repository} --local-dir NAME"
        raise ValueError(f"from must be a folder or a file: fetch the model by `{fetch}`")
    source, out = user_path(cfg["from"]), user_path(options.out)
    if out.exists():
        raise ValueError(f"out must be a new file, but {str(out)!r} exists")
    with logging_to(None, aloud=True):
        typed = [
            each
            for each in invocation.overrides
            if each.startswith("like=") and each != "like=null"
        ]
        if source.is_dir():
            foreign, other = from_folder(source, options, has_like=bool(typed))
        else:
            foreign, other = from_file(source, options, cfg, "".join(typed))
        checkpoint = foreign.checkpoint()
        tell_model(checkpoint)
        prove_import(checkpoint, foreign, other)
        write_checkpoint(out, checkpoint)
        fact("imported", out)
        if foreign.limits:
            fact("sampling", foreign.limits)


def from_folder(
    folder: Path, options: Options, *, has_like: bool
) -> tuple[ForeignModel, OtherModel | str]:
    """The model in a folder of diffusers; and as diffusers runs it, or why it does not."""
    if not is_diffusers(folder):
        raise ValueError(f"{str(folder)!r} holds no config.json or unet/config.json of diffusers")
    if has_like or options.size is not None:
        name = "like" if has_like else "size"
        raise ValueError(f"{name} has no effect on a folder of diffusers, which says what it is")
    foreign, network, scheduler = read_folder(folder)
    foreign = replace(foreign, origin=foreign.origin | options.origin())
    if options.classes is not None:
        foreign = replace(foreign, classes=named_classes(options.classes, foreign.classes))
    package = import_diffusers()
    if isinstance(package, str):
        return foreign, package
    return foreign, diffusers_model(package, network.values, foreign.state, scheduler.values)


def named_classes(given: int | list[str], classes: Sequence[str]) -> list[str]:
    """The names of classes that the user gives for those of a folder. Raises ValueError."""
    count = given if isinstance(given, int) else len(given)
    if count != len(classes):
        raise ValueError(f"classes must be {len(classes)}, as in the folder, but are {count}")
    return list(classes) if isinstance(given, int) else given


def from_file(
    path: Path, options: Options, cfg: DictConfig, like: str
) -> tuple[ForeignModel, OtherModel | str]:
    """The model in a file by a like; and as OpenAI's code runs it, or why it does not.

    cfg: the configuration with the like. like: as typed; "" without one, which is refused.
    """
    state = read_weights(path)
    try:
        refuse_others(state)
        if not like:
            raise ValueError(missing_like(fitting_likes(state)))
        kind = like.replace("=", " ", 1)
        file = f"{path.name[:MOST]}, {kind[:MOST]}"
        origin = {"source": UNKNOWN, "licence": UNKNOWN, "file": file, **options.origin()}
        foreign = like_model(cfg, state, size=options.size, classes=options.classes, origin=origin)
        check_like(foreign, like)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error
    try:
        flags = openai_flags(foreign.config, foreign.shape, len(foreign.classes))
    except ValueError as error:  # a like of the user's own
        return foreign, f"OpenAI's scripts have no flags for it: {error}"
    return foreign, openai_program(flags, state, len(foreign.classes))


def check_like(foreign: ForeignModel, like: str) -> None:
    """Refuse a like whose tensors are not those of the file, with the first that is not."""
    try:
        foreign.check()
    except ValueError as error:
        raise ValueError(f"{like} does not fit: {error}") from error


def tell_model(checkpoint: Checkpoint) -> None:
    """Log what a model is, and where it is from."""
    shape = " x ".join(map(str, checkpoint.shape))
    count = sum(each.numel() for each in checkpoint.tensors.values())
    classes = f", {len(checkpoint.classes):,} classes" * bool(checkpoint.classes)
    fact("model", f"{count:,} parameters, images of {shape}{classes}")
    for name in ("source", "licence"):
        fact(name, checkpoint.origin[name])


def prove_import(checkpoint: Checkpoint, foreign: ForeignModel, other: OtherModel | str) -> None:
    """Compare the outputs of both programs, or the weights alone if the other does not run.

    other: the model in its own program, or why it does not run, in words.
    Raises ValueError if they differ.
    """
    denoiser = load_denoiser(checkpoint, weights="ema", device="cpu", trust=[])
    if not isinstance(other, str):
        prove(denoiser, other, foreign.shape, len(foreign.classes))
        return
    back = theirs_of(foreign.entries, denoiser.network.state_dict())
    if not all(torch.equal(back[name], foreign.state[name]) for name in back):
        raise ValueError("the weights here are not those of the file")
    fact("proof", f"{len(back):,} tensors equal the file's bit for bit; no outputs were compared,")
    fact("", f"because {other}")
