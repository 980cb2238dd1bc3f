"""The jobs of a sweep: what stands in their folders after any end, and what is done with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from omegaconf import OmegaConf

from ddpm_cli.cli.plugins import plug_in
from ddpm_cli.sweeps import (
    Job,
    Sweep,
    by_rank,
    effects,
    read_sweep,
    resume_arguments,
    run_or_skip_job,
    swept_options,
)
from ddpm_cli.sweeps import job as jobs
from ddpm_cli.sweeps.job import has_later_job
from ddpm_cli.sweeps.sweep import check_direction, save_command, save_manifest, sweep_of_config


@pytest.fixture
def folder(tmp_path):
    """The folder of a sweep's first job."""
    save_command(swept_by(tmp_path))
    (tmp_path / "0").mkdir()
    return tmp_path / "0"


def swept_by(folder, overrides=(), hydra=(), config_dir=None, cwd=None):
    return Sweep(folder, list(overrides), list(hydra), config_dir, cwd or str(Path.cwd()), [])


def run(folder, job, *overrides, number=0, retried=True):
    kind = {"sweep": folder.parent, "worded": str, "retried": retried}
    return run_or_skip_job(job, folder, number, list(overrides), **kind)


def fails(going_on):
    raise ValueError("no room")


def stops(going_on):
    raise KeyboardInterrupt


def ends_in(folder, job, error):
    with pytest.raises(error):
        run(folder, job)
    return Job.read(folder)


def test_a_job_that_is_done_is_not_done_again_and_returns_its_value(folder):
    assert run(folder, lambda going_on: 0.1 + 0.2) == 0.1 + 0.2
    assert run(folder, fails) == 0.1 + 0.2
    assert (Job.read(folder).state, Job.read(folder).value) == ("done", 0.1 + 0.2)


def test_a_job_that_failed_says_why_and_is_tried_again(folder):
    failed = ends_in(folder, fails, ValueError)
    assert (failed.state, failed.error) == ("failed", "no room")
    assert run(folder, lambda going_on: float(going_on)) == 1


def test_a_stopped_job_goes_on(folder):
    assert ends_in(folder, stops, KeyboardInterrupt).state == "stopped"
    assert run(folder, lambda going_on: float(going_on)) == 1


def test_a_job_is_running_while_its_lock_is_held_and_killed_when_it_is_not(folder):
    states = []
    run(folder, lambda going_on: states.append(read_sweep(folder.parent).jobs[0].state))
    (folder / "job.json").write_text((folder / "job.json").read_text().replace("done", "running"))
    assert [*states, read_sweep(folder.parent).jobs[0].state] == ["running", "killed"]


def test_a_job_that_another_process_runs_is_refused(folder, monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 0)
    with (
        FileLock(folder / "job.lock"),
        pytest.raises(ValueError, match="job 0 is running in another process"),
    ):
        run(folder, stops)


def test_another_commands_job_is_refused(folder):
    run(folder, lambda going_on: 1.0, "seed=1", "a=2")
    with pytest.raises(
        ValueError, match=r"job 0 was seed=1 and is seed=2: .* holds another command's job"
    ):
        run(folder, lambda going_on: 1.0, "seed=2", "a=2")


def test_a_failure_that_later_jobs_followed_is_not_tried_again_for_a_sampler(folder):
    ends_in(folder, fails, ValueError)
    (folder.parent / "1").mkdir()
    run(folder.parent / "1", lambda going_on: 2.0, number=1, retried=False)
    with pytest.raises(ValueError, match=r"job 0 failed before, and stays so, .*: no room"):
        run(folder, lambda going_on: 2.0, retried=False)


def test_numbers_are_the_lowest_and_last_of_rows_and_the_last_evaluations(folder):
    rows = [
        {"step": 1, "loss": 3.0},
        {"step": 2, "loss": 1.0},
        {"step": 3, "loss": 2.0},
        {"step": 4, "loss": None},
    ]
    measured = [
        {"metric": "fd_pixels", "value": value, "protocol": "fd_pixels | 1"} for value in (5.0, 4.5)
    ]
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 5, "lo'
    )
    (folder / "evaluations.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in measured) + '{"metric": "fd_pix'
    )
    run(folder, lambda going_on: None)
    job = Job.read(folder)
    assert (job.last, job.lowest) == ({"step": 4, "loss": 2}, {"loss": 1})
    assert (job.score("loss"), job.score("fd_pixels"), job.score("kid")) == (1, 4.5, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"number": 0}',
        '{"number": 0, "overrides": [], "state": "flying", "error": "", "value": 1}',
    ],
)
def test_a_file_that_is_no_state_of_a_job_is_named(folder, text):
    (folder / "job.json").write_text(text)
    with pytest.raises(ValueError, match=r"job\.json'.* not those of a job"):
        read_sweep(folder.parent)


def done(number, *overrides, **scores):
    return Job(Path(str(number)), number, list(overrides), "done", lowest=scores)


def test_jobs_are_ranked_by_the_lowest_but_precision_by_the_highest():
    two = [
        done(0, "seed=1", loss=1.0, precision_lite0=0.5),
        done(1, "seed=2", loss=2.0, precision_lite0=0.75),
        done(2, "seed=3"),
    ]
    assert [job.number for job in by_rank(two, "loss")] == [0, 1, 2]
    assert [job.number for job in by_rank(two, "precision_lite0")] == [1, 0, 2]


def test_the_effect_of_an_option_is_mean_and_range_over_the_jobs_with_each_value():
    grid = [
        done(0, "a=1", "b=1", "c=1", loss=1.0),
        done(1, "a=1", "b=2", "c=1", loss=3.0),
        done(2, "a=2", "b=1", "c=1", loss=5.0),
    ]
    found = {
        (row.option, row.value): (row.jobs, row.mean, row.low, row.high)
        for row in effects(grid, "loss")
    }
    assert swept_options(grid) == ["a", "b"]
    assert found == {
        ("a", "1"): (2, 2, 1, 3),
        ("a", "2"): (1, 5, 5, 5),
        ("b", "1"): (2, 3, 1, 5),
        ("b", "2"): (1, 3, 3, 3),
    }


def test_many_numbers_are_told_by_thirds():
    many = [done(place, f"lr={place / 10}", loss=float(place)) for place in range(9)]
    assert [(row.value, row.jobs, row.mean) for row in effects(many, "loss")] == [
        ("0 to 0.2", 3, 1),
        ("0.3 to 0.5", 3, 4),
        ("0.6 to 0.8", 3, 7),
    ]


def test_jobs_are_found_at_any_depth_and_named_by_their_path(tmp_path):
    save_command(swept_by(tmp_path))
    for number, name in enumerate(("1/0.9/x", "1/0.99/x", "2")):
        (tmp_path / name).mkdir(parents=True)
        run_or_skip_job(
            lambda going_on: 1.0,
            tmp_path / name,
            number,
            [f"seed={number}"],
            sweep=tmp_path,
            worded=str,
            retried=False,
        )
    found = read_sweep(tmp_path)
    save_manifest(found)
    jobs = json.loads((tmp_path / "manifest.json").read_text())["jobs"]
    assert [each["folder"] for each in jobs] == ["1/0.9/x", "1/0.99/x", "2"]
    assert has_later_job(tmp_path, 1) and not has_later_job(tmp_path, 2)


@pytest.mark.parametrize("subdir", [".", "..", "../elsewhere"])
def test_a_job_outside_the_sweeps_folder_is_refused(tmp_path, subdir):
    sweep = tmp_path / "sweep"
    folder = Path(os.path.abspath(sweep / subdir))
    told = f"hydra.sweep.subdir must lead into '{sweep}', not to '{folder}'"
    with pytest.raises(ValueError, match=told):
        run_or_skip_job(fails, folder, 0, [], sweep=sweep, worded=str, retried=True)


@pytest.mark.parametrize(
    "change",
    [
        {"number": 10**400},
        {"value": "1"},
        {"value": [1.0]},
        {"value": 1e200},
        {"overrides": ["seed=1"] * 501},
        {"overrides": ["x" * 2**18]},
        {"error": "x" * 2**18},
        {"state": ["done"]},
    ],
)
def test_a_job_from_a_stranger_has_limits(folder, change):
    run(folder, lambda going_on: 1.0)
    content = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(content | change))
    with pytest.raises(ValueError, match=r"job\.json'.* not those of a job"):
        read_sweep(folder.parent)


@pytest.mark.parametrize("value", ["1" + "0" * 400, "1e300", "true", '"1"', "null"])
def test_an_evaluation_that_is_no_number_in_the_range_is_skipped(folder, value):
    row = '{"metric": "loss", "protocol": "p", "value": %s}\n'
    (folder / "evaluations.jsonl").write_text(row % "2.5" + row % value)
    assert run(folder, lambda going_on: 1.0) == 1.0
    assert Job.read(folder).measured == {"loss": 2.5}


def test_a_sweep_of_more_options_and_metrics_than_a_table_shows_is_refused(folder):
    run(folder, lambda going_on: 1.0, *(f"trainer.x{place}=1" for place in range(499)))
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 1, "held_out": 2}\n')
    with pytest.raises(ValueError, match="has 501 options and metrics; a sweep has at most 500"):
        read_sweep(folder.parent)


def test_a_lock_that_is_a_link_is_not_opened(folder):
    (folder / "victim").write_text("precious")
    (folder / "job.lock").symlink_to(folder / "victim")
    assert not jobs.is_running(folder)
    assert (folder / "victim").read_text() == "precious"


HARMLESS = [
    "data.path=../photos",
    "model=resnet,'convnext'",
    "loss=choice(l1, l2)",
    "trainer.optimizer.lr=tag(log, interval(1e-4, 1e-2))",
    "trainer.log_every=${trainer.steps}",
    "~trainer.optimizer.fused",
    "+experiment=digits_conditional",
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=4",
    "hydra/sweeper/sampler=random",
    "hydra.sweeper.sampler.seed=1e3",
]
DOUBTFUL = [
    "trust=[mine]",
    "++trust=[mine]",
    "hydra.callbacks.x._target_=os.system",
    "+hydra.callbacks.x={_target_: os.system}",
    "hydra.launcher.setup=[reboot]",
    "hydra.sweeper.custom_search_space=os.system",
    "hydra.job.env_set.LD_PRELOAD=x.so",
    "hydra.searchpath=[file:///tmp]",
    "hydra/launcher=../../tmp/mine",
    "hydra.launcher={_target_: os.system}",
    "+experiment=../../proc/self/cwd/mine",
    "model=resnet,../../tmp/mine",
    "data@data='..'/mine",
    "schedule=${oc.env:MINE}",
    "data.path=${oc.env:HOME}",
    "data.path=${${seed}.env:HOME}",
    "resume=elsewhere.safetensors",
    "unknown=1",
    "x.y=1",
    "hydra.launcher.partition=gpu",
    "hydra.launcher.unknown=1",
    "hydra.sweeper.direction=maximize",
    "hydra.sweep.subdir=1",
    "seed=1\nseed=2",
    "model.x=" + "[" * 30,
]


def test_a_sweep_goes_on_by_its_own_command_in_its_own_folder(tmp_path):
    arguments = resume_arguments(swept_by(tmp_path, ["seed=1,2"], HARMLESS), trust=False)
    assert arguments == ["-m", "seed=1,2", *HARMLESS, f'hydra.sweep.dir="{tmp_path}"']


@pytest.mark.parametrize("place", ["overrides", "hydra"])
@pytest.mark.parametrize("override", DOUBTFUL)
def test_what_may_run_code_is_not_taken_from_a_file_without_trust(tmp_path, override, place):
    sweep = swept_by(tmp_path, **{place: [override]})
    with pytest.raises(ValueError, match=r"add trust=true"):
        resume_arguments(sweep, trust=False)
    assert override in resume_arguments(sweep, trust=True)


@pytest.mark.parametrize("own", [{"config_dir": "/mine"}, {"cwd": "/elsewhere"}])
def test_neither_are_folders_from_which_code_may_be_read(tmp_path, own):
    with pytest.raises(ValueError, match=r"add trust=true"):
        resume_arguments(swept_by(tmp_path, **own), trust=False)
    assert ("--config-dir=/mine" in resume_arguments(swept_by(tmp_path, **own), trust=True)) == (
        "config_dir" in own
    )


def test_a_sweep_keeps_options_as_they_were_said_interpolations_and_all(tmp_path):
    said = {
        "task": ["trainer.log_every=${trainer.steps}"],
        "hydra": ["hydra/launcher=joblib", "hydra.sweep.dir=x"],
    }
    hydra = {"overrides": said, "sweep": {"dir": str(tmp_path)}, "runtime": {"config_sources": []}}
    found = sweep_of_config(OmegaConf.create({"hydra": hydra, "trainer": {"steps": 2}}))
    assert (found.overrides, found.hydra) == (said["task"], ["hydra/launcher=joblib"])


@pytest.mark.parametrize(
    ("direction", "shown"),
    [
        (["minimize", "minimize"], "['minimize', 'minimize']"),
        ("maximize", "'maximize'"),
        (["maximize"], "['maximize']"),
        (["minimize", "maximize"], "['minimize', 'maximize']"),
        (2, "2"),
    ],
)
def test_a_search_for_other_than_one_lowest_number_is_refused(direction, shown):
    config = {"hydra": {"sweeper": {"direction": direction}}, "trainer": {"best": "fd_pixels"}}
    with pytest.raises(SystemExit) as refusal:
        check_direction(OmegaConf.create(config))
    assert refusal.value.code == (
        "error: hydra.sweeper.direction must be minimize, because a job returns one number, "
        f"the lowest fd_pixels (trainer.best), but is {shown}"
    )


@pytest.mark.parametrize("sweeper", [{}, {"direction": "minimize"}, {"direction": ["minimize"]}])
def test_a_search_for_the_lowest_number_goes_on(sweeper):
    check_direction(OmegaConf.create({"hydra": {"sweeper": sweeper}}))


def test_a_flag_is_never_an_override(tmp_path):
    with pytest.raises(
        ValueError, match="must hold overrides, but '--experimental-rerun=x' is none"
    ):
        resume_arguments(swept_by(tmp_path, ["--experimental-rerun=x"]), trust=True)


@pytest.mark.parametrize(
    "choice", ["hydra/sweeper=optuna", "hydra/launcher=joblib", "hydra/launcher=submitit_slurm"]
)
def test_a_plugin_that_is_not_installed_is_named_with_its_extra(monkeypatch, choice):
    monkeypatch.setattr("ddpm_cli.cli.plugins.find_spec", lambda name: None)
    extra = choice.partition("=")[2].partition("_")[0]
    with pytest.raises(
        ValueError,
        match=rf"needs a plugin that is not installed: in the clone, pip install '\.\[{extra}\]'",
    ):
        plug_in(["ddpm-train", choice])


def test_sweeps_import_no_torch():
    probe = "import sys, ddpm_cli.sweeps; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", probe], check=True)
