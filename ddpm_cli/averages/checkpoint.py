"""A checkpoint with a reconstructed EMA in place of its own."""

from dataclasses import replace
from typing import Any

from ddpm_cli.averages.reconstruction import Reconstruction
from ddpm_cli.averages.snapshots import PART
from ddpm_cli.checkpoints import Checkpoint, tensors_by_name
from ddpm_cli.shapes import tensor_kinds


def averaged_checkpoint(checkpoint: Checkpoint, reconstruction: Reconstruction) -> Checkpoint:
    """A checkpoint with a reconstructed EMA alone. Raises ValueError if it is of another run."""
    ours, theirs = map(tensor_kinds, (checkpoint.part(PART), reconstruction.weights))
    if checkpoint.run != reconstruction.run or ours != theirs:
        other = f"the snapshots are of another run than {checkpoint.path.name}"
        raise ValueError(f"{other}: they belong into the folder of their own run")
    facts = {
        "length": f"{reconstruction.profile.length:g}",
        "step": str(reconstruction.step),
        "snapshots": reconstruction.text,
    }
    nothing: dict[str, Any] = {"optimizer": {}, "scaler": {}, "stream": [], "verdict": ""}
    step = reconstruction.step
    return replace(
        checkpoint,
        step=step,
        skipped=min(step, checkpoint.skipped),
        tensors=tensors_by_name({PART: reconstruction.weights}),
        average=facts,
        **nothing,
    )
