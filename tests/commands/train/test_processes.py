"""Several processes: the same run as in one, stopped, killed and failed as one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest
import torch
from run_files import rows, snapshots, tensors

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.process.writer_lock import writer_lock

pytestmark = pytest.mark.slow
STEPS = 30
RECIPE = [
    *[
        "model.network.dim=16",
        "model.network.dim_mults=[1,2]",
        "model.conditional=true",
        "sampler.steps=3",
    ],
    *["trainer.device=cpu", "trainer.optimizer.lr=1e-3"],
    *[
        "trainer.batch_size=8",
        "data.flip=true",
        "trainer.log_every=1",
        "trainer.checkpoint_every=10",
        f"trainer.steps={STEPS}",
        "trainer.ema_lengths=[0.05,0.10]",
    ],
]
LOCK = [".training.lock", ".training.owner"]
TRAIN = [sys.executable, "-m", "ddpm_cli", "train"]
DDP = ["trainer=ddp", "trainer.processes=2"]
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--nproc-per-node=2",
    "--rdzv-backend=c10d",
    "--rdzv-endpoint=localhost:0",
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(
        "HYDRA_FULL_ERROR", raising=False
    )  # which commands that ran in this process have set


def run(*command):
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=480, check=False)
    return outcome.returncode, outcome.stdout, outcome.stderr


def weights(folder):
    path = Path(folder, "checkpoints/last.safetensors")
    checkpoint = Checkpoint.load(path, parts=("network", "ema", "power_ema"))
    assert checkpoint.step == STEPS
    return {**checkpoint.tensors, **snapshots(folder)}


def same_run(folder, reference):
    losses, expected = ([row["loss"] for row in rows(each)] for each in (folder, reference))
    found, wanted = weights(folder), weights(reference)
    return (
        losses == pytest.approx(expected, rel=1e-5)
        and max((found[name] - wanted[name]).abs().max() for name in wanted) < 1e-4
    )


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "run"
    assert run(*TRAIN, *RECIPE, f"hydra.run.dir={folder}")[0] == 0
    return folder


def test_any_number_of_processes_microbatches_and_workers_is_the_same_run_in_a_sweep_too(one):
    sweep = ["-m", *RECIPE, "trainer.microbatch=1,4", "trainer.workers=0,2"]
    codes = [
        run(*TRAIN, *sweep, *parallel, f"hydra.sweep.dir={name}")[0]
        for name, parallel in (("alone", []), ("pairs", DDP))
    ]
    folders = [f"{name}/{job}" for name in ("alone", "pairs") for job in range(4)]
    assert codes == [0, 0]
    answers = [
        "contact.png",
        "curves.png",
        "manifest.json",
        "multirun.yaml",
        "report.html",
        "sweep.json",
        "table.csv",
    ]
    assert sorted(path.name for path in Path("pairs").iterdir()) == ["0", "1", "2", "3", *answers]
    assert [folder for folder in folders if not same_run(folder, one)] == []
    assert {path.name for path in Path("pairs/0").iterdir()} == {
        path.name for path in Path(one).iterdir()
    } | {"job.json", "job.lock"}


@pytest.mark.long
def test_what_loss_times_and_verdict_remember_and_what_is_measured_is_that_of_all_processes():
    remembering = [
        "model.variance=learned",
        "schedule.steps=4",
        "train_times=loss_aware",
        "train_times.kept=1",
        "trainer.evaluate_every=10",
    ]
    objective = [
        "loss=uncertain",
        "loss@loss.of=hybrid",
        "model.conditional=false",
        "trainer.evaluate_every=10",
    ]
    measures = [
        "trainer.measures=[fd_pixels,kid_pixels]",
        "trainer.measure_every=10",
        "trainer.measure_images=35",
    ]
    for name, parallel in (("alone", []), ("pair", DDP)):
        code, _, err = run(
            *TRAIN, *RECIPE, *remembering, *objective, *measures, *parallel, f"hydra.run.dir={name}"
        )
        assert code == 0, err
    alone, pair = (tensors(name) for name in ("alone", "pair"))
    remembered = [name for name in alone if name.startswith(("loss.", "history.", "verdict."))]
    assert same_run("pair", "alone")
    measured, expected = (
        [row[name] for row in rows(each) for name in row if "pixels" in name]
        for each in ("pair", "alone")
    )
    assert len(measured) == 6
    assert measured == pytest.approx(expected, rel=1e-3)
    assert (alone["history.counts"] > 1).all()
    assert (alone["loss.u"] != 0).all()
    assert all(
        torch.allclose(pair[name].double(), alone[name].double(), rtol=1e-3, atol=1e-4)
        for name in remembered
    )


@pytest.mark.long
def test_torchrun_starts_the_same_run_and_another_number_of_processes_goes_on_with_it(one):
    code, out, err = run(
        *TORCHRUN, *TRAIN[1:], *RECIPE, "trainer=ddp", "trainer.stop_at=20", "hydra.run.dir=two"
    )
    assert code == 0, err
    assert out.count("device     cpu (1 thread), 2 processes (gloo)") == 1
    assert run(*TRAIN, *RECIPE, "hydra.run.dir=two", "resume=auto")[0] == 0
    assert same_run("two", one)
    assert len(list(Path("two/tensorboard").iterdir())) == 2


def started(folder, *command):
    """A run that has written its first checkpoint."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: list(Path(folder).glob("checkpoints/step_*.safetensors")), process)
    return process


def until(found, process):
    end = time.monotonic() + 200
    while not found():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)


def ranks(process):
    """The processes that train, in the order of their ranks, in which they were started."""
    pids = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    return sorted(
        pid
        for pid in pids
        if any(
            word in Path(f"/proc/{pid}/cmdline").read_text() for word in ("spawn_main", "ddpm_cli")
        )
    )


@pytest.mark.long
def test_a_process_killed_under_torchrun_is_replaced_and_the_run_ends_with_the_right_weights(one):
    restarts = [
        *TORCHRUN,
        "--max-restarts=2",
        *TRAIN[1:],
        *RECIPE,
        "trainer=ddp",
        "hydra.run.dir=two",
        "trainer.checkpoint_every=3",
    ]
    process = started("two", *restarts)
    os.kill(ranks(process)[0], signal.SIGKILL)  # the one that writes
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert out.count("resumed    step") == 1
    assert same_run("two", one)
    assert not list(Path("two/checkpoints").glob(".partial-*"))


LONG = [
    *(each for each in RECIPE if not each.startswith("trainer.steps")),
    "trainer.steps=3000",
    "trainer.checkpoint_every=5",
]


@pytest.mark.parametrize(
    "asked", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGUSR1]
)
def test_a_request_to_stop_saves_in_all_processes_at_one_step_and_exits_well(asked):
    process = started("run", *TRAIN, *LONG, *DDP, "hydra.run.dir=run")
    process.send_signal(asked)
    since = time.monotonic()
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert time.monotonic() - since < 25
    assert (
        out.count("stopped    at step")
        == out.count("stopping after this step")
        == out.count("resume=auto")
        == 1
    )
    assert "Traceback" not in err and "warning" not in err.lower()
    checkpoint = Checkpoint.load(Path("run/checkpoints/last.safetensors"))
    assert [row["step"] for row in rows("run")] == list(range(1, checkpoint.step + 1))
    assert checkpoint.cadences["evaluate_every"] >= 100  # the first has measured it for all


@pytest.mark.parametrize(
    "asked", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM]
)
def test_a_request_to_stop_during_the_checks_ends_all_processes_and_leaves_no_folder(asked):
    large = ["model.network.dim=64", "data.size=32", "trainer.batch_size=512"]
    process = subprocess.Popen(
        [*TRAIN, *LONG, *large, *DDP, "hydra.run.dir=run"], stdout=PIPE, stderr=PIPE, text=True
    )
    shown = iter(process.stdout.readline, "")
    assert any(line.startswith("checking   one step on this machine") for line in shown)
    process.send_signal(asked)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, Path("run").exists()) == (130, False)
    assert "error: stopped before there was anything to save\n" in err


def test_a_second_launch_of_processes_is_refused_in_one_line():
    Path("run").mkdir()
    with writer_lock(Path("run"), "training"):
        code, out, err = run(*TRAIN, *RECIPE, *DDP, "hydra.run.dir=run")
        assert sorted(path.name for path in Path("run").iterdir()) == LOCK
    assert (code, out, err.count("\n")) == (1, "processes  starting 2 on this machine\n", 1)
    assert err.startswith(f"error: process {os.getpid()} on ")


@pytest.mark.long
def test_a_run_that_was_stopped_goes_on_exactly():
    process = started("run", *TRAIN, *LONG, *DDP, "hydra.run.dir=run")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == 0
    stopped = Checkpoint.load(Path("run/checkpoints/last.safetensors")).step
    for name, resume in {"run": ["resume=auto"], "whole": []}.items():
        assert (
            run(
                *TRAIN,
                *LONG,
                *DDP,
                f"trainer.stop_at={stopped + 10}",
                f"hydra.run.dir={name}",
                *resume,
            )[0]
            == 0
        )
    parts, whole = (tensors(name) for name in ("run", "whole"))
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


def test_an_error_in_one_process_ends_all_and_is_told_once():
    process = started("run", *TRAIN, *LONG, *DDP, "hydra.run.dir=run")
    os.kill(ranks(process)[1], signal.SIGKILL)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert [line for line in err.splitlines() if "error" in line.lower()] == [
        f"error: process 1 ended: {err.split('ended: ')[1].strip()}"
    ]
    assert "Signal 9 (SIGKILL)" in err


GREEDY = """
import os
import torch
from ddpm_cli.losses import l2
calls = []

def greedy(denoiser, batch):
    calls.append(None)
    if len(calls) > 40 and os.environ.get("RANK") == "1":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.95 GiB.\\nSee docs")
    return l2(denoiser, batch)
"""


def test_full_memory_in_one_process_is_told_once_in_one_line():
    Path("my_loss.py").write_text(GREEDY)
    own = ["trust=[my_loss]", "loss._target_=my_loss.greedy", "hydra.run.dir=run"]
    given = [f"trainer.{name}_every=100" for name in ("evaluate", "measure", "sample")]  # no trial
    code, _, err = run(*TRAIN, *LONG, *DDP, *own, *given)
    told = [line for line in err.splitlines() if "error" in line.lower()]
    full = "error: the memory of the GPU is full: 1.95 GiB more were asked for; choose a smaller "
    assert (code, len(told), told[0].startswith(full)) == (1, 1, True), err
    assert list(Path("run/checkpoints").glob("step_*.safetensors"))


@pytest.mark.long
def test_images_are_the_same_from_two_processes(one):
    common = [
        sys.executable,
        "-m",
        "ddpm_cli",
        "sample",
        f"ckpt={one}/checkpoints/last.safetensors",
        "sampler.steps=3",
        "device=cpu",
        "png=true",
        "n=5",
    ]
    outcomes = [
        run(*common, f"processes={count}", f"hydra.run.dir=samples{count}") for count in (1, 2)
    ]
    assert [outcome[0] for outcome in outcomes] == [0, 0], outcomes
    single, pair = (
        [path.read_bytes() for path in sorted(Path(f"samples{count}").rglob("*.png"))]
        for count in (1, 2)
    )
    assert len(pair) == 6
    assert pair == single
