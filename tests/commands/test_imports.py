"""What a command imports: a command that reads files of runs waits for no library of training."""

import subprocess
import sys

import pytest

TRAINING = {"datasets", "torchvision", "tensorboard"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [("plot", {"torch", *TRAINING}), ("sweep.command", {"torch", *TRAINING}), ("info", TRAINING)],
)
def test_a_command_that_reads_files_imports_no_library_of_training(module, absent):
    probe = f"import sys, ddpm_cli.cli, ddpm_cli.commands.{module}; print(*sys.modules)"
    outcome = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert absent.isdisjoint(outcome.stdout.split())
