"""What a command imports: a command that reads files of runs waits for no library of training."""

import subprocess
import sys

import pytest

TRAINING = {"datasets", "torchvision", "tensorboard"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("commands.plot", {"torch", *TRAINING}),
        ("commands.sweep.command", {"torch", *TRAINING}),
        ("commands.report", TRAINING),
        ("commands.info", TRAINING),
    ],
)
def test_what_reads_files_of_runs_imports_no_library_of_training(module, absent):
    probe = f"import sys, ddpm_cli.cli, ddpm_cli.{module}; print(*sys.modules)"
    outcome = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert absent.isdisjoint(outcome.stdout.split())
