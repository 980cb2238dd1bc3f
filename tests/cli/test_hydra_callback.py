"""Folders in the home folder, the caller's folder, and launchers that are not there."""

import os
from pathlib import Path

import pytest
from conftest import TINY
from PIL import Image

from ddpm_cli.checkpoints import Checkpoint

SHORT = [*TINY, "trainer.steps=2", "trainer.device=cpu"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ELSEWHERE", "~/else where")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("said", "folder"),
    [
        ("hydra.run.dir='~/runs/x'", "runs/x"),
        ('hydra.run.dir="~/it\'s"', "it's"),
        ("hydra.run.dir=${oc.env:ELSEWHERE}", "else where"),
        ("++hydra.run.dir='~'", ""),
    ],
)
def test_a_run_in_the_home_folder_is_written_there(command, home, trained, said, folder):
    outcome = command("sample", f"ckpt={trained}", "n=1", "sampler.steps=1", said)
    assert outcome.code == 0, outcome.err
    assert (home / folder / "grid.png").exists()
    assert not list(Path.cwd().glob("~*"))


@pytest.mark.slow
def test_a_sweep_in_the_home_folder_is_written_there_and_shown(command, home):
    outcome = command("train", "-m", *SHORT, "seed=1,2", "hydra.sweep.dir='~/sweep'")
    assert outcome.code == 0, outcome.err
    assert len(list(home.glob("sweep/[01]/job.json"))) == 2
    assert command("sweep", "show='~/sweep'").code == 0
    assert not list(Path.cwd().glob("~*"))


@pytest.mark.parametrize("name", ["sample", "info"])
def test_a_home_folder_of_nobody_is_refused(command, trained, name):
    outcome = command(name, f"ckpt={trained}", "hydra.run.dir='~no-such-user/x'")
    told = "hydra.run.dir must name a home folder that is there, but is '~no-such-user/x'"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert not list(Path.cwd().glob("~*"))


def test_the_home_folder_may_hold_the_users_own_configurations(command, home):
    (home / "mine/schedule").mkdir(parents=True)
    text = "_target_: ddpm_cli.schedules.cosine\nsteps: 20\n"
    (home / "mine/schedule/short.yaml").write_text(text)
    outcome = command("train", "--config-dir=~/mine", *SHORT, "schedule=short", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).config.schedule.steps == 20


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for place in range(20):
        Image.new("L", (8, 8), 10 * place).save(tmp_path / f"photos/{place}.png")
    return [*SHORT, "data=folder", "data.path=photos", "data.size=8", "data.channels=1"]


def test_with_chdir_a_run_and_its_resume_read_paths_of_the_callers_folder(command, photos):
    said = [*photos, "data.cache=./cache", "hydra.job.chdir=true", "hydra.run.dir=run"]
    before = os.getcwd()
    assert command("train", *said).code == 0
    assert command("train", *said, "resume=auto", "trainer.steps=3").code == 0
    assert os.getcwd() == before
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 3
    assert Path("cache").is_dir() and not Path("run/cache").exists()


@pytest.mark.slow
def test_with_chdir_the_jobs_of_a_sweep_and_its_resume_find_the_images(command, photos):
    said = [*photos, "seed=1,2", "hydra.job.chdir=true", "hydra.sweep.dir=sweep"]
    outcome = command("train", "-m", *said)
    assert outcome.code == 0, outcome.err
    assert command("sweep", "resume=sweep", "trust=true").out.count("is done already") == 2


@pytest.mark.parametrize(
    ("name", "options", "written"),
    [
        ("sample", ["ckpt=a/last.safetensors", "n=1", "sampler.steps=1"], "out/grid.png"),
        ("plot", ["runs=[trained]", "out=curves.png"], "curves.png"),
        ("export", ["ckpt=a/last.safetensors", "out=b.safetensors"], "b.safetensors"),
    ],
)
def test_with_chdir_other_commands_read_and_write_from_the_callers_folder(
    command, trained, name, options, written
):
    Path("a").mkdir()
    Path("a/last.safetensors").write_bytes(trained.read_bytes())
    outcome = command(name, *options, "hydra.job.chdir=true", "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    assert Path(written).exists()


@pytest.mark.parametrize("name", ["train", "doctor"])
def test_without_slurm_one_line_names_what_to_do(command, monkeypatch, name):
    monkeypatch.setenv("PATH", "")
    outcome = command(name, "-m", "hydra/launcher=submitit_slurm", "seed=1,2")
    told = (
        "hydra/launcher=submitit_slurm needs SLURM, but there is no sbatch here: start it where "
        "sbatch is, or use hydra/launcher=submitit_local or hydra/launcher=joblib"
    )
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    "said",
    [
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=100000"],
        ["hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=1000"],
    ],
)
def test_a_launcher_of_too_many_processes_is_refused(command, monkeypatch, said):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    outcome = command("train", "-m", *said, "seed=1,2")
    name, _, count = said[-1].partition("=")
    allowed = "at most 64 are allowed on this machine of 2 cores"
    assert outcome.err == f"error: {name} asks for {int(count):,} processes, but {allowed}\n"
    assert outcome.code == 1
