"""What a run's files hold, for tests to compare."""

import json
from pathlib import Path

import torch


def flattened(content, prefix=""):
    return {
        name: tensor
        for key, value in content.items()
        for name, tensor in (
            flattened(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        ).items()
        if isinstance(tensor, torch.Tensor)
    }


def rows(folder):
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]
