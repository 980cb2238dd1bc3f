"""The folder of a model for others: weights, a card, samples, and a program if asked."""

from pathlib import Path
from typing import Literal

import torch

from ddpm_cli.checkpoint_paths import run_of
from ddpm_cli.checkpoints import Checkpoint, write_checkpoint
from ddpm_cli.checkpoints.checkpoint import checked_fields
from ddpm_cli.checkpoints.published import MODEL
from ddpm_cli.checkpoints.safetensors_file import METADATA, header_fields, read_header
from ddpm_cli.commands.export.card import (
    PICTURE,
    PROGRAM,
    Contents,
    card_text,
    code,
    is_conditional,
    licence_yaml,
)
from ddpm_cli.commands.export.program import write_program
from ddpm_cli.commands.export.public_checkpoint import public_checkpoint
from ddpm_cli.files import load_text, save_text, write_folder
from ddpm_cli.run_folder.pictures import read_pngs, sample_grids

CARD = "README.md"


FILES = {
    MODEL: "the {weights} and the recipe: a checkpoint of ddpm-cli, format 5, without the state of "
    "its training",
    PICTURE: "samples that the run drew by the EMA",
    PROGRAM: "the network as a program of `torch.export`",
}
WORDS = {"ema": "moving average (EMA) of the weights", "raw": "weights, of which it has no average"}


def write_model_folder(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    weights: Literal["ema", "raw"],
    repository: str | None,
    licence: str | None,
    program: bool,
    trust: list[str],
) -> None:
    """Write a new folder as a whole. repository: the model's OWNER/NAME on the hub, if known.

    trust: the user's own modules that the checkpoint names. Raises ValueError and OSError.
    """
    public, run = public_checkpoint(checkpoint, weights), run_of(checkpoint.path)

    def fill(partial: Path) -> None:
        write_checkpoint(partial / MODEL, public)
        files = [MODEL, *save_samples(partial, run, checkpoint.step)]
        if program:
            write_program(partial / PROGRAM, public, trust)
            files.append(PROGRAM)
        drawing = " label=all guidance=2" * is_conditional(checkpoint)
        ckpt = MODEL if repository is None else f"hf://{repository}"
        use = code(
            f"pip install .  # in a clone of ddpm-cli\nddpm-sample ckpt={ckpt} n=64{drawing}", "sh"
        )
        texts = {each: FILES[each].format(weights=WORDS[weights]) for each in files}
        name = (repository or folder.name).rpartition("/")[2]
        contents = Contents("ddpm-cli", use, texts)
        save_text(partial / CARD, card_text(name, public, run, contents, licence=licence))

    write_folder(folder, fill)


def save_samples(folder: Path, run: Path, step: int) -> list[str]:
    """Copy the newest picture of a run's samples up to a step; return its name, if there is one."""
    picture = newest_samples(run, step)
    if picture is None:
        return []
    (folder / PICTURE).write_bytes(picture)
    return [PICTURE]


def newest_samples(run: Path, step: int) -> bytes | None:
    """The newest picture of a run's samples up to a step, or None."""
    grids = sample_grids(run)
    newest = max((each for each in grids if each <= step), default=None)
    return None if newest is None else next(iter(read_pngs([grids[newest]]).values()), None)


def check_model_folder(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    weights: Literal["ema", "raw"],
    licence: str | None,
    program: bool,
) -> None:
    """Refuse a folder that is not an export of this checkpoint by these options."""
    names = (MODEL, CARD, *[PROGRAM] * program)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(f"out must be new or an export, but {str(folder)!r} has no {missing[0]}")
    ours = public_checkpoint(checkpoint, weights)
    theirs = Checkpoint.load(folder / MODEL, ["ema"])
    if not is_public(theirs):
        rule = f"{str(folder / MODEL)!r} holds more than an export"
        raise ValueError(f"{rule}: name another folder")
    (step, ema), (old_step, old_ema) = ((each.step, each.part("ema")) for each in (ours, theirs))
    same = step == old_step and ema.keys() == old_ema.keys()
    if not (same and all(torch.equal(ema[name], old_ema[name]) for name in ema)):
        raise ValueError(f"{str(folder)!r} is an export of another checkpoint; name another folder")
    card = load_text(folder / CARD)
    if licence is not None and licence_yaml(licence) not in card:
        rule = f"licence={licence} is not in {str(folder / CARD)!r}"
        raise ValueError(f"{rule}: write it there, or name another folder")


def is_public(checkpoint: Checkpoint) -> bool:
    """Whether the file of a checkpoint, of which the EMA was read, holds no more than an export."""
    with checkpoint.path.open("rb") as file:
        header = read_header(file, checkpoint.path.stat().st_size)
    fields, public = header_fields(header), checked_fields(public_checkpoint(checkpoint))
    has_less = all(public.get(name) == fields[name] for name in fields.keys() - {"checksums"})
    return has_less and all(name.startswith("ema.") for name in header.keys() - {METADATA})


def name_repository(folder: Path, repository: str) -> None:
    """Let the command of a folder's card read the model from the hub; other words stay."""
    card = load_text(folder / CARD)
    save_text(folder / CARD, card.replace(f"ckpt={MODEL} ", f"ckpt=hf://{repository} "))


def files_of_model(folder: Path) -> list[Path]:
    """The files of a model's folder that others may have; no other file is ever pushed."""
    names = (MODEL, CARD, PICTURE, PROGRAM)
    return [folder / name for name in names if (folder / name).is_file()]
