"""The check of one GPU: how it counts a failure, and what it says without a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


@pytest.fixture
def run_check(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS / "benchmarks"))
    from gpu_commands import run_check

    return run_check


def test_a_check_that_fails_or_hangs_is_a_fault_in_one_line(run_check, monkeypatch, tmp_path):
    def fail(device):
        raise AssertionError(f"two\nlines on {device}")

    monkeypatch.setattr("gpu_commands.LIMIT", 1)
    assert run_check(lambda device: "a figure", tmp_path, "cpu") == ("", "a figure")
    assert run_check(fail, tmp_path, "cpu") == ("AssertionError: two lines on cpu", "")
    fault, _ = run_check(lambda device: __import__("time").sleep(5), tmp_path, "cpu")
    assert fault == "TimeoutError: no end after 1 s"


@pytest.mark.slow
def test_a_training_run_on_the_cpu_passes(run_check, monkeypatch, tmp_path):
    from gpu_commands import CHECKS

    fault, figure = run_check(CHECKS["train fp32"], tmp_path, "cpu")
    assert not fault
    assert "images/s" in figure


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(monkeypatch):
    outcome = subprocess.run(
        [sys.executable, SCRIPTS / "gpu_check"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 1
    assert outcome.stderr == (
        "gpu_check: there is no CUDA device; --device cpu tries the commands alone\n"
    )
