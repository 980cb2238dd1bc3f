"""Requests to stop before there is anything to save: during the checks and the first step."""

import signal
from pathlib import Path

import pytest
from conftest import TINY

from ddpm_cli.commands.train import checks, loop
from ddpm_cli.commands.train.command import clean_up
from ddpm_cli.process.writer_lock import writer_lock
from ddpm_cli.run_folder.logger import RunLogger

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP]


@pytest.fixture(autouse=True)
def hanging_up():
    """Let SIGHUP have its effect: the tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def stopping(number):
    """A function that is stopped, and that would go on for ever."""

    def stop(*args, **options):
        signal.raise_signal(number)
        raise AssertionError("the signal had no effect")

    return stop


def stop_in_checks(monkeypatch, number):
    monkeypatch.setattr(checks.preflight, "run_trial", stopping(number))


def stop_in_first_step(monkeypatch, number):
    monkeypatch.setattr(loop, "fit", stopping(number))


@pytest.mark.parametrize("stop", [stop_in_checks, stop_in_first_step])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_stop_before_the_first_step_is_done_leaves_no_folder(command, monkeypatch, stop, number):
    stop(monkeypatch, number)
    for where in (["hydra.run.dir=run"], []):
        outcome = command("train", *TINY, "trainer.steps=9", *where)
        assert outcome.code == 130
        assert "error: stopped before there was anything to save\n" in outcome.out
        assert list(Path().iterdir()) == []


@pytest.mark.parametrize("stop", [stop_in_checks, stop_in_first_step])
def test_a_folder_that_the_user_has_made_stays_and_is_empty_again(command, monkeypatch, stop):
    Path("run").mkdir()
    stop(monkeypatch, signal.SIGTERM)
    assert command("train", *TINY, "trainer.steps=9", "hydra.run.dir=run").code == 130
    assert list(Path("run").iterdir()) == []


@pytest.mark.parametrize("stop", [stop_in_checks, stop_in_first_step])
def test_what_the_folder_held_before_stays(command, monkeypatch, trained, stop):
    before = {path: path.read_bytes() for path in Path("trained/checkpoints").iterdir()}
    Path("notes").mkdir()
    Path("notes/why.txt").write_text("mine")
    stop(monkeypatch, signal.SIGTERM)
    again = ["train", *TINY, "trainer.steps=9", "resume=auto"]
    assert command(*again, "hydra.run.dir=trained").code == 130
    assert command(*again, "hydra.run.dir=notes").code == 130
    assert {path: path.read_bytes() for path in Path("trained/checkpoints").iterdir()} == before
    assert Path("notes/why.txt").read_text() == "mine"


def test_a_folder_that_another_launch_has_begun_to_write_stays(command):
    with writer_lock(Path(), "training"):
        Path("train.log").touch()
        clean_up(Path(), is_new=True)
        assert Path("train.log").exists()


def test_a_folder_that_another_launch_has_trained_in_meanwhile_stays(command, trained):
    clean_up(Path("trained"), is_new=True)
    assert trained.exists()


def test_a_stop_during_the_first_step_of_a_sweeps_job_stops_the_sweep(command, monkeypatch):
    stop_in_first_step(monkeypatch, signal.SIGTERM)
    outcome = command("train", "-m", *TINY, "seed=1,2", "hydra.sweep.dir=both")
    assert outcome.code == 130
    assert sorted(path.name for path in Path("both").iterdir() if path.is_dir()) == ["0"]
    assert '"state": "stopped"' in Path("both/0/job.json").read_text()


def test_a_stop_after_the_first_step_saves_it(command, monkeypatch):
    monkeypatch.setattr(RunLogger, "write_numbers", lambda *_: signal.raise_signal(signal.SIGTERM))
    outcome = command("train", *TINY, "trainer.steps=9", "trainer.log_every=1", "hydra.run.dir=run")
    assert outcome.code == 0
    assert "stopped    at step 1 of 9; go on with:" in outcome.out


def test_a_finished_run_that_is_resumed_is_saved_as_ever(command, trained):
    outcome = command("train", *TINY, "trainer.steps=4", "resume=auto", "hydra.run.dir=trained")
    assert outcome.code == 0, outcome.err


def test_the_checks_say_what_they_do(command):
    out = command("train", *TINY, "trainer.steps=2").out
    assert out.index("length     2") < out.index("checking   one step on this machine ...\n")
    assert out.index("checking ") < out.index("estimate ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_other_commands_end_by_signals_as_by_ctrl_c(command, monkeypatch, trained, number):
    monkeypatch.setattr("ddpm_cli.commands.sample.command.draw_images", stopping(number))
    outcome = command("sample", f"ckpt={trained}", "n=4", "png=true", "hydra.run.dir=out")
    assert outcome.code == 130
    assert "stopped    go on with the same command and hydra.run.dir=" in outcome.out
    assert not [path for path in Path("out").iterdir() if path.name.startswith(".")]
