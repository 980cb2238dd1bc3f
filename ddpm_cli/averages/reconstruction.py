"""The reconstruction of an EMA of any length from the snapshots of a run."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ddpm_cli.averages.power_function import Profile, check_length, coefficients
from ddpm_cli.averages.snapshots import (
    UNREADABLE,
    Snapshot,
    folder_of,
    read_snapshot,
    snapshot_paths,
    snapshot_weights,
)
from ddpm_cli.checkpoints.faults import is_finite

FEWEST = 2  # snapshots for a reconstruction
SHOWN = 2  # snapshots with their faults in a message
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconstruction:
    """A reconstructed EMA.

    weights: by name, of the types that the snapshots have; buffers are the last snapshot's.
    profile, step: what was reconstructed. run: the identity of the run.
    parts: each snapshot that was read, with its coefficient.
    """

    weights: dict[str, Tensor]
    profile: Profile
    step: int
    run: str
    parts: list[tuple[Snapshot, float]]

    @property
    def text(self) -> str:
        """What the EMA is made of, in words."""
        steps = sorted({snapshot.step for snapshot, _ in self.parts})
        lengths = {snapshot.profile.length for snapshot, _ in self.parts}
        if len(self.parts) == 1:
            return "its own snapshot"
        between = f"steps {steps[0]} to {steps[-1]}"
        return f"{len(self.parts)} snapshots of {len(lengths)} lengths, {between}"


class LostSnapshotError(ValueError):
    """A snapshot whose weights cannot be read, at `path`."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(str(error))
        self.path = path


def reconstruct(run: Path, length: float, at: int | None = None) -> Reconstruction:
    """Reconstruct the EMA of a length from the snapshots in a run's folder (Karras et al. 2024b).

    length: above 0 and at most 0.28. at: a step from the first snapshot's to the last's; None: the
    last. The snapshots up to the first one at or after this step count. A length and a step of a
    snapshot give its weights bit for bit. One file is read at a time; the sums are float64.
    A file that cannot be read is left out with a warning.
    Raises ValueError for a length or a step out of range, too few snapshots, or those of two runs.
    """
    check_length(length)
    faults = dict[Path, str]()
    snapshots = list(read_headers(run, faults))
    while True:
        chosen, target, step = choose_snapshots(run, snapshots, faults, length, at)
        numbers = coefficients([each.profile for each in chosen], target)
        parts = [part for part in zip(chosen, numbers, strict=True) if part[1]]
        try:
            weights = weighted_sum(parts)
        except LostSnapshotError as error:
            faults[error.path] = unreadable_text(error)
            snapshots = [each for each in snapshots if each.path != error.path]
            continue
        for path, fault in faults.items():
            log.warning("warning: the snapshot %s is left out: %s", path, fault)
        return Reconstruction(weights, target, step, chosen[0].run, parts)


def unreadable_text(error: Exception) -> str:
    """The fault of a file, in one short line."""
    return " ".join(str(error).split())[:200]


def read_headers(run: Path, faults: dict[Path, str]) -> Iterator[Snapshot]:
    """Yield the snapshots of a run whose headers can be read; add the fault of the others."""
    for path in snapshot_paths(run):
        try:
            yield read_snapshot(path)
        except UNREADABLE as error:
            faults[path] = unreadable_text(error)


def choose_snapshots(
    run: Path, snapshots: Sequence[Snapshot], faults: dict[Path, str], length: float, at: int | None
) -> tuple[list[Snapshot], Profile, int]:
    """The snapshots for a reconstruction, each profile once, with the target and its step.

    Raises ValueError if they do not allow it.
    """
    where = repr(str(folder_of(run)))
    named = [f"; {path.name} cannot be read: {each}" for path, each in faults.items()]
    more = f"; nor can {len(named) - SHOWN} others" * (len(named) > SHOWN)
    unreadable = "".join(named[:SHOWN]) + more
    if not snapshots:
        remedy = "" if faults else "; a run with trainer.ema_lengths=[0.05,0.10] writes some"
        raise ValueError(f"{where} holds no snapshots of averages{unreadable}{remedy}")
    check_one_run(where, snapshots)
    steps = sorted({each.step for each in snapshots})
    step = steps[-1] if at is None else at
    if not steps[0] <= step <= steps[-1]:
        rule = f"at must be a step from {steps[0]:,} to {steps[-1]:,}, as the snapshots in {where}"
        raise ValueError(f"{rule}, but is {step:,}{unreadable}")
    end = next(each for each in steps if each >= step)
    by_profile = {each.profile: each for each in by_step(snapshots) if each.step <= end}
    target = Profile(length, applied_at(by_step(snapshots), step))
    if target not in by_profile and len(by_profile) < FEWEST:
        number = f"{where} holds {len(by_profile)} up to step {step:,}"
        raise ValueError(f"a reconstruction needs {FEWEST} snapshots, but {number}{unreadable}")
    return list(by_profile.values()), target, step


def by_step(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Snapshots in the order of their steps."""
    return sorted(snapshots, key=lambda each: (each.step, each.profile.length))


def check_one_run(where: str, snapshots: Sequence[Snapshot]) -> None:
    """Refuse snapshots of two runs."""
    first = {each.run: each.path.name for each in reversed(by_step(snapshots))}
    if len(first) > 1:
        names = " and ".join(sorted(first.values())[:2])
        raise ValueError(
            f"{where} holds snapshots of {len(first)} runs, as {names}: keep one run's"
        )


def applied_at(snapshots: Sequence[Snapshot], step: int) -> int:
    """The steps applied at a step of the run, evenly spread between the snapshots around it."""
    before = next(each for each in reversed(snapshots) if each.step <= step)
    after = next(each for each in snapshots if each.step >= step)
    share = (step - before.step) / max(1, after.step - before.step)
    return before.profile.applied + round(share * (after.profile.applied - before.profile.applied))


def weighted_sum(parts: Sequence[tuple[Snapshot, float]]) -> dict[str, Tensor]:
    """The weighted sum of the weights of snapshots; buffers are those of the last snapshot.

    Raises LostSnapshotError for a file that cannot be read.
    """
    sums, last, shapes = dict[str, Tensor](), dict[str, Tensor](), None
    for snapshot, number in parts:
        try:
            last = snapshot_weights(snapshot)
            own = {name: last[name].shape for name in last.keys() - {*snapshot.buffers}}
            if shapes not in (None, own):  # a sum would broadcast another shape
                raise ValueError("its tensors are not those of the other snapshots")
            if not all(map(is_finite, last.values())):
                raise ValueError("its numbers are not finite")
            shapes = own
            for name in own:
                term = number * last[name].to(torch.float64)
                sums[name] = sums[name].add_(term) if name in sums else term
        except UNREADABLE as error:
            raise LostSnapshotError(snapshot.path, error) from error
    return {
        name: sums[name].to(each.dtype) if name in sums else each.clone()
        for name, each in last.items()
    }
