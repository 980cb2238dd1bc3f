"""`ddpm-export`: a checkpoint in another format, or as a folder that others can use."""

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from ddpm_cli.checkpoints import Checkpoint, checkpoint_path, write_checkpoint
from ddpm_cli.commands.export.conversion import name_parameters
from ddpm_cli.commands.export.model_folder import (
    check_model_folder,
    files_of_model,
    name_repository,
    write_model_folder,
)
from ddpm_cli.commands.export.program_folder import write_program_folder
from ddpm_cli.commands.export.public_checkpoint import public_checkpoint
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options, refuse_idle
from ddpm_cli.console import fact, logging_to
from ddpm_cli.files import user_path
from ddpm_cli.foreign.model import UNKNOWN
from ddpm_cli.hub.address import is_repository
from ddpm_cli.hub.upload import push_files

SUFFIX = ".safetensors"
NO_FOLDERS = (".pt", ".pth", ".ckpt", ".bin", ".pt2", ".onnx", ".zip")  # names of single files
LONGEST = 100  # characters of a licence
OTHERS = ("diffusers", "openai")  # formats of other programs


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-export`.

    ckpt: the checkpoint. to: the format; ckpt is this version's own with all that the checkpoint
    holds, safetensors a folder with weights and a card, torch_export a program beside these,
    diffusers and openai a folder for these programs. weights: those in a folder.
    out: the new file, or the new folder. push: the model on the hub that gets the folder's files.
    private: whether the model on the hub is for its owner alone. licence: of the weights.
    trust: the user's own modules that the checkpoint names.
    """

    _: KW_ONLY
    ckpt: str
    to: Literal["auto", "ckpt", "safetensors", "torch_export", "diffusers", "openai"]
    out: str
    weights: Literal["ema", "raw"] = "ema"
    push: str | None = None
    private: bool = True
    licence: str | None = None
    trust: list[str]

    def __post_init__(self) -> None:
        suffix = Path(self.out).suffix
        if self.is_file and suffix != SUFFIX:
            raise ValueError(f"out must end in {SUFFIX}, but is {self.out!r}")
        if not self.is_file and suffix == SUFFIX:
            raise ValueError(f"out must be a folder with to={self.to}, but is {self.out!r}")
        if self.is_file:
            refuse_idle(self, "push private licence", "with a single file, which is not published")
            refuse_idle(self, "weights", "with a single file, which holds both")
        if self.to in OTHERS:
            where = f"with to={self.to}; `hf upload OWNER/NAME {self.out}` pushes the folder"
            refuse_idle(self, "push private", where)
        if self.push is not None and not is_repository(self.push):
            raise ValueError(f"push must be OWNER/NAME of a model on the hub, but is {self.push!r}")
        if self.push is None:
            refuse_idle(self, "private", "without push")
        words = self.licence
        if words is not None and not (0 < len(words.strip()) <= LONGEST and words.isprintable()):
            raise ValueError(
                f"licence must be a name of 1 to {LONGEST} characters, but is {words!r}"
            )
        if words is not None and words.strip().lower() == UNKNOWN:
            raise ValueError(f"licence must be a name, but is {words!r}: leave it out")

    @property
    def is_file(self) -> bool:
        """Whether a single file is written."""
        suffix = Path(self.out).suffix
        return self.to == "ckpt" or (self.to == "auto" and suffix in (SUFFIX, *NO_FOLDERS))


def export(cfg: DictConfig, _: Invocation) -> None:
    """Write a checkpoint in this version's own format, or as a folder, and push the folder."""
    options = parse_options(cfg, Options)
    out = user_path(options.out)
    if out.exists() and (options.is_file or options.push is None):
        kind = "file" if options.is_file else "folder"
        there = " (with push=OWNER/NAME it goes up as it is)" * (
            out.is_dir() and not options.is_file
        )
        raise ValueError(f"out must be a new {kind}, but {str(out)!r} exists{there}")
    with logging_to(None, aloud=True):
        checkpoint = Checkpoint.load(checkpoint_path(options.ckpt))
        if options.is_file:
            write_checkpoint(out, name_parameters(checkpoint, options.trust))
            fact("exported", out)
            return
        options = with_licence(options, checkpoint)
        if options.to in OTHERS:
            public = public_checkpoint(checkpoint, options.weights)
            named: dict[str, Any] = {"licence": options.licence, "trust": options.trust}
            write_program_folder(out, public, to=options.to, **named)
            fact("exported", out)
            return
        export_folder(out, checkpoint, options)


def with_licence(options: Options, checkpoint: Checkpoint) -> Options:
    """The options with the licence that an import carries, unless another is named.

    Raises ValueError if others would see a model without a licence.
    """
    carried = checkpoint.origin.get("licence", UNKNOWN)
    licence = options.licence or (None if carried == UNKNOWN else carried)
    if not options.private and licence is None:
        raise ValueError("private=false needs licence=...: others may use nothing without one")
    return replace(options, licence=licence)


def export_folder(out: Path, checkpoint: Checkpoint, options: Options) -> None:
    """Write the folder of a model, unless an earlier command has, and push it if asked.

    If the push fails, the folder stays, and the same command pushes it.
    """
    shared: dict[str, Any] = {"weights": options.weights, "licence": options.licence}
    shared["program"] = options.to == "torch_export"
    if out.exists():
        check_model_folder(out, checkpoint, **shared)
        assert options.push is not None  # without a push no folder may be there
        name_repository(out, options.push)
    else:
        shared |= {"repository": options.push, "trust": options.trust}
        write_model_folder(out, checkpoint, **shared)
    for path in files_of_model(out):
        fact("exported", path)
    if options.push is not None:
        try:
            address = push_files(files_of_model(out), options.push, private=options.private)
        except ValueError as error:
            again = f"{str(out)!r} is complete, and the same command pushes it"
            raise ValueError(f"{error} ({again})") from error
        fact("pushed", f"{address}, which ddpm-sample ckpt={address} reads")
