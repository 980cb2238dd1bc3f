"""ddpm-train -m and ddpm-sweep: sweeps that end in an answer, and go on after any end."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from filelock import FileLock
from PIL import Image
from run_files import tensors

from ddpm_cli.rendering.tiles import grid, save_png
from ddpm_cli.reports.samples import grid_images
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.sweeps import Sweep, read_sweep, run_or_skip_job
from ddpm_cli.sweeps.sweep import save_command

SHORT = [
    *TINY,
    "trainer.device=cpu",
    "trainer.steps=4",
    "trainer.evaluate_every=4",
    "trainer.log_every=2",
    "trainer.checkpoint_every=1",
]
HALF_BAD = [
    "-m",
    "trainer.optimizer.lr=1e-3,3e-3",
    *SHORT,
    "trainer.batch_size=16,100000",
    "hydra.sweep.dir=sweep",
]
ANSWERS = ("manifest.json", "table.csv", "curves.png", "contact.png", "report.html")
COMMAND = [sys.executable, "-m", "ddpm_cli"]


@pytest.fixture
def cards():
    """Jobs end with their pages here, to which the sweep's page leads."""


def states(folder="sweep"):
    return [job.state for job in read_sweep(Path(folder)).jobs]


def test_a_sweep_ends_in_a_table_of_what_its_options_did_and_a_failed_job_is_listed_and_tried_again(
    command,
):
    outcome = command("train", *HALF_BAD)
    lines = [line.split() for line in outcome.out.splitlines()]
    rows = list(csv.DictReader(Path("sweep/table.csv").read_text().splitlines()))
    manifest = json.loads(Path("sweep/manifest.json").read_text())["jobs"]
    lowest = [
        min(row["held_out"] for row in Curves.read(Path("sweep", job)).rows if "held_out" in row)
        for job in "02"
    ]
    assert outcome.code == 1
    assert all(Path("sweep", name).exists() for name in ANSWERS)
    assert [job["state"] for job in manifest] == ["done", "failed", "done", "failed"]
    assert [job["value"] for job in manifest] == [lowest[0], None, lowest[1], None]
    assert ["rank", "job", "lr", "batch_size", "held_out"] in lines
    assert "job 1 failed: 0.001 100000; trainer.batch_size must be at most 1725" in outcome.out
    assert {line[1] for line in lines if line[:1] == ["trainer.optimizer.lr"]} == {"0.001", "0.003"}
    assert_a_page_of_four_jobs(Path("sweep/report.html").read_text())
    assert [float(row["value"]) for row in rows[:2]] == sorted(lowest)
    assert [row["rank"] for row in rows] == ["1", "2", "", ""]

    Path("sweep/report.html").unlink()
    assert command("report", "run=sweep").code == 0
    assert_a_page_of_four_jobs(Path("sweep/report.html").read_text())

    again = command("sweep", "resume=sweep")
    assert again.code == 1
    assert again.out.count("is done already") == 2
    assert again.err.count("error: trainer.batch_size") == 2
    assert states() == ["done", "failed", "done", "failed"]


def assert_a_page_of_four_jobs(text):
    assert sorted(text.count(f'<a href="{job}/report.html">') for job in (0, 2)) == [1, 2]
    assert re.search(r"Job [02] with .*? is the best by held_out: .*; 2 of 4 jobs are done", text)
    assert text.index("Samples at step 4") < text.index("is the best by") < text.index("<table")
    assert "Job 1, trainer.optimizer.lr=0.001" in text
    assert "failed: trainer.batch_size must be at most 1725" in text
    assert text.count("data:image/png;base64,") == 4
    assert "ddpm-sweep resume=" in text


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_to_the_same_weights_and_exits_well(command, monkeypatch):
    command("train", *SHORT, "seed=1", "hydra.run.dir=whole")
    with monkeypatch.context() as patch:
        patch.setattr(RunLogger, "write_numbers", lambda *_: signal.raise_signal(signal.SIGINT))
        assert command("train", "-m", *SHORT, "seed=1,2", "hydra.sweep.dir=sweep").code == 130
    assert states() == ["stopped"]
    outcome = command("sweep", "resume=sweep")
    assert outcome.code == 0, outcome.err
    assert "resumed    step" in outcome.out
    assert states() == ["done", "done"]
    assert weights("sweep/0") == weights("whole")


def weights(folder):
    return {
        name: each.tolist() for name, each in tensors(folder).items() if name.startswith("ema.")
    }


def test_a_folder_of_another_sweep_is_refused(command):
    assert (
        command("train", "-m", *SHORT, "trainer.steps=0", "seed=1", "hydra.sweep.dir=sweep").code
        == 0
    )
    outcome = command("train", "-m", *SHORT, "trainer.steps=0", "seed=1,2", "hydra.sweep.dir=sweep")
    told = (
        f"error: {str(Path.cwd() / 'sweep')!r} holds another command's sweep (see its "
        "sweep.json); name another folder\n"
    )
    assert (outcome.code, outcome.err) == (1, told)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A sweep of two jobs, measured in two ways."""
    monkeypatch.chdir(tmp_path)
    save_command(Sweep(Path("sweep"), ["seed=1,2"], [], None, str(tmp_path), []))
    for job, value in enumerate((2.0, 1.0)):
        folder, row = (
            Path("sweep", str(job)),
            {"step": 4, "metric": "fd_pixels", "value": value, "protocol": f"fd_pixels | n {job}"},
        )
        folder.mkdir()
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 4, "loss": 1.0}) + "\n")
        (folder / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
        kind = {"sweep": folder.parent, "worded": str, "retried": True}
        run_or_skip_job(lambda going_on: None, folder, job, [f"seed={job + 1}"], **kind)


def test_a_sweep_is_shown_by_any_metric_and_evaluations_of_other_protocols_are_told_apart(
    command, two
):
    outcome = command("sweep", "show=sweep", "metric=fd_pixels")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[1:4] == [
        ["rank", "job", "seed", "fd_pixels"],
        ["1", "1", "2", "1"],
        ["2", "0", "1", "2"],
    ]
    assert (
        "fd_pixels is by 2 protocols and cannot be compared across them: n 1 against n 0"
        in outcome.out
    )
    assert (
        command("sweep", "show=sweep", "metric=fd").err
        == "error: metric must be among fd_pixels, loss, but is 'fd'\n"
    )


def test_an_evaluation_beside_a_number_of_training_is_told_apart(command, two):
    Path("sweep/0/evaluations.jsonl").unlink()
    Path("sweep/0/metrics.jsonl").write_text(
        json.dumps({"step": 4, "loss": 1.0, "fd_pixels": 3.0}) + "\n"
    )
    outcome = command("sweep", "show=sweep", "metric=fd_pixels")
    told = (
        "fd_pixels is by 2 protocols and cannot be compared across them: fd_pixels, n 1 against "
        "the lowest as it trained"
    )
    assert told in outcome.out
    assert "fd_pixels is by 2 protocols" in Path("sweep/report.html").read_text()


@pytest.mark.parametrize("size", [(0, 0), (7, 5)])
def test_a_picture_that_is_no_grid_is_told_and_breaks_no_sweep(command, two, size):
    Path("sweep/0/samples").mkdir()
    path = Path("sweep/0/samples/step_00000004.png")
    Image.new("RGB", size).save(path) if all(size) else path.write_bytes(b"no picture")
    outcome = command("sweep", "show=sweep")
    assert outcome.code == 0, outcome.err
    assert (
        "warning: cannot write sweep/contact.png: 'sweep/0/samples/step_00000004.png' is no grid "
        "of samples" in outcome.out
    )
    assert Path("sweep/report.html").exists()


def test_a_sweep_whose_job_another_process_runs_is_refused(command, two):
    path = Path("sweep/0/job.json")
    path.write_text(path.read_text().replace("done", "running"))
    with FileLock("sweep/0/job.lock"):
        outcome = command("sweep", "resume=sweep")
    assert (outcome.code, outcome.err) == (
        1,
        "error: job 0 of the sweep is running in another process; go on once it has ended\n",
    )


def test_a_full_disk_is_told_and_breaks_no_sweep(command, two, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("ddpm_cli.reports.sweep_files.save_text", full)
    outcome = command("sweep", "show=sweep")
    assert outcome.code == 0
    assert "warning: cannot write sweep/table.csv: No space left on device" in outcome.out
    assert Path("sweep/curves.png").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "one of resume=FOLDER and show=FOLDER must be given"),
        (["show=a", "resume=b"], "one of resume=FOLDER and show=FOLDER must be given"),
        (["resume=a", "metric=loss"], "metric goes with show=FOLDER"),
        (["show=nowhere"], "there is no sweep in 'nowhere': it has no sweep.json"),
    ],
)
def test_mistakes_of_ddpm_sweep_are_told_in_one_line(command, options, told):
    outcome = command("sweep", *options)
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_the_doctor_leaves_no_sweep(command):
    assert command("doctor", "-m", *SHORT, "seed=1,2", "hydra.sweep.dir=sweep").code == 0
    assert not list(Path("sweep").rglob("*.json"))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_grid_of_samples_is_cut_into_its_images(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (16, channels, 8, 8), dtype=np.uint8)
    save_png(tmp_path / "grid.png", grid(images))
    found = grid_images(tmp_path / "grid.png", channels)[:, :, ::6, ::6]
    shown = images.reshape(-1, 1, 8, 8) if channels == 2 else images
    assert np.array_equal(found, np.broadcast_to(shown, found.shape))


@pytest.mark.parametrize(
    "choice",
    ["launcher=joblib", "launcher=submitit_local", "launcher=submitit_slurm", "sweeper=optuna"],
)
def test_every_plugin_takes_its_configuration(command, choice):
    outcome = command("train", f"hydra/{choice}", "--cfg", "hydra")
    assert outcome.code == 0, outcome.err
    assert "hydra_plugins." in outcome.out


def test_a_search_with_two_objectives_is_refused_before_its_first_job(command):
    space = ["trainer.optimizer.lr=interval(1e-4,1e-2)", "hydra.sweep.dir=sweep"]
    search = ["hydra/sweeper=optuna", "hydra.sweeper.direction=[minimize,minimize]"]
    outcome = command("train", "-m", *SHORT, *space, *search)
    assert outcome.code == 1
    assert outcome.err.startswith("error: hydra.sweeper.direction must be minimize, because")
    assert not Path("sweep").exists()


@pytest.mark.slow
def test_jobs_in_folders_of_folders_are_in_the_table_and_on_the_page(command):
    said = [*SHORT, "seed=1,2", "trainer.ema=0.9", "hydra.sweep.subdir=${seed}/${trainer.ema}"]
    outcome = command("train", "-m", *said, "hydra.sweep.dir=sweep")
    assert outcome.code == 0, outcome.err
    assert '<a href="2/0.9/report.html">' in Path("sweep/report.html").read_text()
    assert command("plot", "runs=[sweep]").code == 0
    again = command("sweep", "resume=sweep", "trust=true")
    assert again.out.count("is done already") == 2


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("javascript:alert(1)", "javascript%3Aalert%281%29/report.html"),
        ("https:host", "https%3Ahost/report.html"),
        ("a#b?c%41", "a%23b%3Fc%2541/report.html"),
    ],
)
def test_addresses_are_percent_encoded_paths(command, two, name, address):
    Path("sweep/0").rename(Path("sweep", name))
    Path("sweep", name, "report.html").write_text("x")
    assert command("sweep", "show=sweep").code == 0
    assert f'<a href="{address}">' in Path("sweep/report.html").read_text()


@pytest.mark.parametrize("size", [(42, 42), (10_002, 5002)])
def test_samples_that_are_together_too_large_for_a_sheet_are_told(command, two, monkeypatch, size):
    monkeypatch.setattr("ddpm_cli.reports.sweep_pictures.MOST_PIXELS", 10_000)
    Path("sweep/0/samples").mkdir()
    Image.new("RGB", size).save("sweep/0/samples/step_00000004.png")
    outcome = command("sweep", "show=sweep")
    assert outcome.code == 0
    told = "is no grid of samples" if size[0] > 42 else "the samples need more than 10,000 pixels"
    assert "cannot write sweep/contact.png" in outcome.out and told in outcome.out


def test_a_picture_of_another_format_is_no_grid(command, two):
    Path("sweep/0/samples").mkdir()
    Image.new("RGB", (42, 42)).save("sweep/0/samples/step_00000004.png", "TIFF")
    assert "step_00000004.png' is no grid of samples" in command("sweep", "show=sweep").out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_optuna_learns_from_the_held_out_loss_and_goes_on_with_the_same_trials(command):
    space = ["trainer.optimizer.lr=tag(log, interval(1e-4, 1e-2))", "data.size=8,9"]
    outcome = command(
        "train",
        "-m",
        *SHORT,
        *space,
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=4",
        "hydra.sweep.dir=sweep",
    )
    before = read_sweep(Path("sweep")).jobs
    best = min(job.value for job in before if job.value is not None)
    assert outcome.code == 1
    assert {job.state for job in before} == {"done", "failed"}
    assert f"best_value: {best}" in Path("sweep/optimization_results.yaml").read_text()
    again = command("sweep", "resume=sweep")
    assert again.out.count("is done already") == sum(job.state == "done" for job in before)
    assert [(job.overrides, job.value) for job in read_sweep(Path("sweep")).jobs] == [
        (job.overrides, job.value) for job in before
    ]


@pytest.mark.long
def test_a_failed_job_of_joblib_reaches_the_exit_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = subprocess.run(
        [*COMMAND, "train", *HALF_BAD, "hydra/launcher=joblib"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert states() == ["done", "failed", "done", "failed"]
    assert "job 3 failed: 0.003 100000; trainer.batch_size must be" in outcome.stdout


@pytest.mark.slow
def test_a_killed_sweep_goes_on_from_its_checkpoints(command):
    long = ["-m", *SHORT, "trainer.steps=20", "seed=1,2", "hydra.sweep.dir=sweep"]
    process = subprocess.Popen(
        [*COMMAND, "train", *long], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not list(Path("sweep").glob("0/checkpoints/step_*.safetensors")):
        assert process.poll() is None
        time.sleep(0.01)
    assert states() == ["running"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert states() == ["killed"]
    outcome = command("sweep", "resume=sweep")
    assert outcome.code == 0, outcome.err
    assert "resumed    step" in outcome.out
    assert states() == ["done", "done"]
    assert Image.open("sweep/contact.png").height > 90
