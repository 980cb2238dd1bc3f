"""Snapshots of power-function EMAs in a run's folder: a safetensors file for a length and a step.

A file holds the weights, by their names in the network after `ema.`, and a header of texts: length,
steps applied, step, the run's identity, and the names of buffers, which are not averaged.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from ddpm_cli.averages.power_function import LONGEST, Profile
from ddpm_cli.checkpoint_paths import SUFFIX
from ddpm_cli.checkpoints import tensors_by_name
from ddpm_cli.checkpoints.safetensors_file import (
    DamagedError,
    file_size,
    header_fields,
    read_file,
    read_header,
    write_file,
)
from ddpm_cli.checkpoints.tensor_names import tensors_of
from ddpm_cli.seeds import MAX_STEPS

FOLDER = "averages"  # in a run's folder
PART = "ema"
MOST_SNAPSHOTS = 40  # files of a run, by auto
UNFINISHED = (".partial-*", ".tmp*")  # ours and the library's
UNREADABLE = (OSError, ValueError, SafetensorError, RuntimeError)


@dataclass(frozen=True)
class Snapshot:
    """The EMA of a run at a step. run: the identity of the run. buffers: names without an EMA."""

    path: Path
    profile: Profile
    step: int
    run: str
    buffers: Sequence[str] = ()


def folder_of(run: Path) -> Path:
    """The folder of the snapshots in a run's folder."""
    return run / FOLDER


def snapshot_paths(run: Path) -> list[Path]:
    """The files of snapshots in a run's folder."""
    return sorted(path for path in folder_of(run).glob(f"*{SUFFIX}") if path.is_file())


def steps_between(lengths: int, steps: int) -> int:
    """The steps between snapshots of several lengths, for at most MOST_SNAPSHOTS files in all."""
    return max(1, math.ceil(steps / (MOST_SNAPSHOTS // lengths)))


def write_snapshot(
    run: Path,
    profile: Profile,
    step: int,
    identity: str,
    tensors: Mapping[str, Tensor],
    buffers: Sequence[str],
) -> None:
    """Write the snapshot of an EMA, in CPU memory, into a run's folder. Raises OSError."""
    path = folder_of(run) / f"length_{profile.length!r}_step_{step:08d}{SUFFIX}"
    fields = {"length": profile.length, "applied": profile.applied, "step": step}
    about = {**fields, "run": identity, "buffers": list(buffers)}
    write_file(path, about, tensors_by_name({PART: tensors}))


def read_snapshot(path: Path) -> Snapshot:
    """Read the header of a snapshot. Raises ValueError or OSError if the file is none."""
    with path.open("rb") as file:
        fields = header_fields(read_header(file, file_size(file)))
    if not is_header(fields):
        raise DamagedError("the header is not that of a snapshot")
    profile = Profile(fields["length"], fields["applied"])
    return Snapshot(path, profile, fields["step"], fields["run"], fields["buffers"])


def is_header(fields: Mapping[str, Any]) -> bool:
    """Whether the fields of a header are those of a snapshot."""
    kinds = {"length": float, "applied": int, "step": int, "run": str, "buffers": list}
    if any(type(fields.get(name)) is not kind for name, kind in kinds.items()):
        return False
    counts = 0 < fields["applied"] <= fields["step"] < MAX_STEPS
    named = all(type(each) is str for each in fields["buffers"])
    return counts and named and 0 < fields["length"] <= LONGEST


def snapshot_weights(snapshot: Snapshot) -> dict[str, Tensor]:
    """The weights of a snapshot by name, after a check of their checksum.

    They map the file until they are used. Raises one of UNREADABLE.
    """
    return tensors_of(PART, read_file(snapshot.path, (PART,))[1])


def remove_after(run: Path, step: int) -> None:
    """Remove the snapshots after a step, and what a killed process has left unfinished."""
    for pattern in UNFINISHED:
        for leftover in folder_of(run).glob(pattern):
            leftover.unlink()
    for path in snapshot_paths(run):
        with suppress(*UNREADABLE):
            if read_snapshot(path).step > step:
                path.unlink()
