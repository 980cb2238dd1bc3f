"""The batch file of the cluster page: stopped, killed and started anew, to the right weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from run_files import rows, tensors

import ddpm_cli

pytestmark = pytest.mark.slow
SCRIPT = Path(ddpm_cli.__file__).parent / "commands/train/cluster.sbatch"
STAND_IN = Path(__file__).resolve().parents[2] / "slurm_stand_in.py"
RECIPE = [
    *["model.network.dim=8", "model.network.dim_mults=[1,2]", "sampler.steps=2"],
    *["trainer.device=cpu", "trainer.batch_size=8", "data.flip=true", "trainer.log_every=1"],
    *["trainer.evaluate_every=40", "trainer.sample_every=120"],
    *["trainer.checkpoint_every=20", "trainer.optimizer.lr=1e-3", "trainer.steps=120"],
]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Submits the batch file to a stand-in for SLURM, which starts a number of tasks."""
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "srun", "scontrol", "ddpm-train", "ddpm-info"):
        path = tmp_path / "bin" / name
        path.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
        path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_STATE", str(tmp_path))

    def submit(tasks, plan, *arguments):
        monkeypatch.setenv("STAND_IN_TASKS", str(tasks))
        monkeypatch.setenv("STAND_IN_PLAN", plan)
        return subprocess.run(
            ["sbatch", SCRIPT, *arguments], capture_output=True, text=True, timeout=500, check=False
        )

    return submit


def run_alone():
    command = [sys.executable, "-m", "ddpm_cli", "train", *RECIPE, "hydra.run.dir=alone"]
    subprocess.run(command, capture_output=True, check=True, timeout=500)
    return tensors("alone")


@pytest.mark.long
@pytest.mark.parametrize(("tasks", "plan"), [(1, "USR1 lost"), (2, "TERM lost")])
def test_a_job_that_is_stopped_and_loses_its_node_ends_with_the_right_weights(cluster, tasks, plan):
    outcome = cluster(tasks, plan, "the run", *RECIPE)
    assert outcome.returncode == 0, outcome.stderr
    stop = plan.split()[0]
    ends = Path("log").read_text().splitlines()
    assert ends == [f"event {stop}", "end 0", "event lost", "end -9", "end 0"]
    assert outcome.stdout.count("resumed    step") == 2
    assert [row["step"] for row in rows("the run")][-1] == 120
    found, expected = tensors("the run"), run_alone()
    assert found.keys() == expected.keys()
    if tasks == 1:
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    weights = [name for name in expected if name.startswith(("network.", "ema."))]
    assert max((found[name] - expected[name]).abs().max() for name in weights) < 1e-4


def test_an_error_ends_the_job_with_its_exit_code(cluster):
    outcome = cluster(1, "", "run", *RECIPE, "trainer.stepz=1")
    assert outcome.returncode == 1
    assert outcome.stderr.count("error: ") == 1
    assert Path("log").read_text() == "end 1\n"


@pytest.mark.long
def test_a_run_that_ends_early_by_its_options_is_not_started_for_ever(cluster):
    outcome = cluster(1, "", "run", *RECIPE, "trainer.stop_at=20")
    assert outcome.returncode == 0, outcome.stderr
    assert Path("log").read_text() == "end 0\nend 0\n"
