"""One file that holds all of a run: written whole, read without running code."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ddpm_cli.checkpoints.archive import UNREADABLE, check_archive
from ddpm_cli.checkpoints.migrations import to_newest_format
from ddpm_cli.checkpoints.validation import faults, optimizer_faults, parse_config
from ddpm_cli.files import write_atomically


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Writes what is in the memory of this machine; ValueError where `load` would refuse it."""
    if wrong := next(faults(content), None):
        raise ValueError(wrong)

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            try:
                torch.save(dict(content), file)
            except (
                RuntimeError
            ) as error:  # torch's words, where it had been the disk that spoke first
                raise (
                    error.__context__ if isinstance(error.__context__, OSError) else error
                ) from None
            file.flush()
            os.fsync(file.fileno())

    write_atomically(path, fill)


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint on the CPU, its `config` as a DictConfig; ValueError says in one line what is wrong with it."""
    if not path.is_file():
        raise ValueError(f"there is no checkpoint at {str(path)!r}")
    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(
            f"cannot read the checkpoint {str(path)!r}: it is damaged, or no checkpoint, or would run code"
        ) from error
    if (
        not isinstance(content, dict)
        or type(content.get("format")) is not int
        or content["format"] < 1
    ):
        raise ValueError(f"{str(path)!r} is not a checkpoint of ddpm-train")
    try:
        content = to_newest_format(content)
    except ValueError as error:
        raise ValueError(f"the checkpoint {str(path)!r} {error}") from error
    if wrong := next(faults(content), None) or next(optimizer_faults(content["optimizer"]), None):
        raise ValueError(f"the checkpoint {path}: {wrong}")
    return {**content, "config": parse_config(content["config"], str(path))}
