"""A process that is killed at any moment: what goes on from it ends with the same bits."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import TINY
from run_files import snapshots

from ddpm_cli.checkpoints import Checkpoint

KILLS = 10
RUN = [
    "train",
    *TINY,
    "trainer.steps=400",
    "trainer.checkpoint_every=1",
    "trainer.sample_every=1000",
    "trainer.device=cpu",
    "trainer.ema_lengths=[0.05,0.10]",
]


def start(folder):
    command = [sys.executable, "-m", "ddpm_cli", *RUN, f"hydra.run.dir={folder}", "resume=auto"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def steps_done(folder):
    return max(
        (path.stem for path in Path(folder, "checkpoints").glob("step_*.safetensors")),
        default="none",
    )


def kill_after_some_steps(folder, moment):
    """Kills a run at a moment of its own after it has written a checkpoint more than it found."""
    before, process = steps_done(folder), start(folder)
    while steps_done(folder) == before:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    time.sleep(moment.uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.long
def test_kills_change_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    moment = random.Random(KILLS)
    for _ in range(KILLS):
        kill_after_some_steps("killed", moment)
    assert KILLS <= int(steps_done("killed").removeprefix("step_")) < 400
    outputs = {folder: start(folder).communicate()[0] for folder in ("killed", "whole")}
    killed, whole = (
        Checkpoint.load(Path(folder, "checkpoints/last.safetensors")) for folder in outputs
    )
    assert "resumed    step" in outputs["killed"]
    assert killed.step == whole.step == 400
    assert killed.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(killed.tensors[name], whole.tensors[name]) for name in whole.tensors)
    averages, expected = snapshots("killed"), snapshots("whole")
    assert averages.keys() == expected.keys()
    assert all(torch.equal(averages[name], expected[name]) for name in expected)
    assert Path("killed/metrics.jsonl").read_text().count("\n") == Path(
        "whole/metrics.jsonl"
    ).read_text().count("\n")
    assert not list(Path("killed").glob("*/.partial-*"))
