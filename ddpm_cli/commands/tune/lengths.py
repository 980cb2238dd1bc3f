"""The EMA lengths of a search: reconstructed from the snapshots of the checkpoint's run."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from ddpm_cli.averages import check_length, reconstruct
from ddpm_cli.averages.checkpoint import averaged_checkpoint
from ddpm_cli.averages.reconstruction import choose_snapshots, read_headers
from ddpm_cli.averages.snapshots import snapshot_paths
from ddpm_cli.checkpoint_paths import run_of
from ddpm_cli.checkpoints import Checkpoint, file_hash, write_checkpoint
from ddpm_cli.denoiser import Denoiser

NAME = "ema_{:g}.safetensors"  # the checkpoint of a tuned length
WITHOUT_SNAPSHOTS = "the run has no snapshots of its EMA, which trainer.ema_lengths writes"


def run_folder_of(checkpoint: Checkpoint) -> Path:
    """The folder of the run that a checkpoint lies in."""
    return run_of(checkpoint.path.resolve())


def reason_without(checkpoint: Checkpoint, lengths: list[float]) -> str:
    """The reason why lengths cannot be reconstructed at the checkpoint's step; "" if they can."""
    run, faults = run_folder_of(checkpoint), dict[Path, str]()
    if not snapshot_paths(run):
        return WITHOUT_SNAPSHOTS
    try:
        snapshots = list(read_headers(run, faults))
        for length in lengths:
            check_length(length, "lengths")
            chosen = choose_snapshots(run, snapshots, faults, length, checkpoint.step)[0]
            if chosen[0].run != checkpoint.run:
                return f"the snapshots are of another run than {checkpoint.path.name}"
    except ValueError as error:
        return str(error)
    return ""


def checkpoint_of_ema(checkpoint: Checkpoint, length: float) -> Checkpoint:
    """The checkpoint with the reconstructed EMA of a length alone, from which no run resumes."""
    reconstruction = reconstruct(run_folder_of(checkpoint), length, checkpoint.step)
    return averaged_checkpoint(checkpoint, reconstruction)


def denoisers_by_length(
    checkpoint: Checkpoint, own: Denoiser, load: Callable[[Checkpoint], Denoiser]
) -> Callable[[float | None], Denoiser]:
    """A function from an EMA length to its denoiser; the last two denoisers stay in memory.

    own: the denoiser of the checkpoint. load: loads the denoiser of another.
    """

    @lru_cache(2)
    def denoiser_of_length(length: float) -> Denoiser:
        return load(checkpoint_of_ema(checkpoint, length))

    return lambda length: own if length is None else denoiser_of_length(length)


def write_ema(checkpoint: Checkpoint, length: float) -> tuple[str, str]:
    """Write the checkpoint of a length beside the checkpoint; return its name and SHA-256."""
    path = checkpoint.path.resolve().with_name(NAME.format(length))
    write_checkpoint(path, checkpoint_of_ema(checkpoint, length))
    return path.name, file_hash(str(path))
