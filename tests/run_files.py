"""What a run's files hold, for tests to compare."""

import json
from pathlib import Path

import torch
from conftest import TINY

from ddpm_cli.checkpoints import Checkpoint


def flattened(content, prefix=""):
    fields = vars(content) if isinstance(content, Checkpoint) else content
    return {
        name: tensor
        for key, value in fields.items()
        for name, tensor in (
            flattened(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        ).items()
        if isinstance(tensor, torch.Tensor)
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
