"""What a run's files hold, for tests to compare."""

import json
from pathlib import Path

from conftest import TINY
from safetensors.torch import load_file

from ddpm_cli.checkpoints import Checkpoint


def tensors(folder):
    """The tensors of a run's last checkpoint, by name."""
    return Checkpoint.load(Path(folder, "checkpoints/last.safetensors")).tensors


def snapshots(folder):
    """The tensors of all snapshots of a run's EMAs, by file and name."""
    return {
        f"{path.name} {name}": tensor
        for path in Path(folder, "averages").iterdir()
        for name, tensor in load_file(path).items()
    }


def rows(folder):
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


def often(command, *options, folder="run"):
    return command(
        "train",
        *TINY,
        "trainer.steps=6",
        "trainer.checkpoint_every=2",
        f"hydra.run.dir={folder}",
        *options,
    )
