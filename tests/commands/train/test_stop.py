"""Runs that are stopped, by Ctrl-C, by a signal or at a step."""

import signal
from pathlib import Path

import pytest
from conftest import TINY

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.logger import RunLogger


def test_ctrl_c_saves_a_checkpoint_and_says_how_to_resume(command, monkeypatch):
    monkeypatch.setattr(RunLogger, "write_numbers", lambda *_: signal.raise_signal(signal.SIGINT))
    outcome = command("train", *TINY, "trainer.steps=9", "trainer.log_every=3", "hydra.run.dir=run")
    assert outcome.code == 0
    assert "stopped    at step 3 of 9; go on with:" in outcome.out
    assert "resume=auto" in outcome.out
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 3


def test_the_command_that_goes_on_finds_the_users_own_yaml(command):
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/small.yaml").write_text("defaults: [resnet, _self_]\n")
    out = command(
        "train",
        "--config-dir",
        "mine",
        *TINY,
        "model=small",
        "trainer.steps=2",
        "trainer.stop_at=1",
    ).out
    assert f"ddpm-train --config-dir={Path('mine').resolve()} " in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_signals_of_schedulers_and_a_closed_terminal_stop_a_run_with_a_checkpoint(
    command, monkeypatch, request, number
):
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    request.addfinalizer(lambda: signal.signal(number, before))
    monkeypatch.setattr(
        RunLogger,
        "write_numbers",
        lambda *_: [signal.raise_signal(number), signal.raise_signal(number)],
    )
    outcome = command("train", *TINY, "trainer.steps=9", "trainer.log_every=3", "hydra.run.dir=run")
    assert outcome.code == 0
    assert f"stopping after this step ({number.name})" in outcome.out
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 3


def test_a_second_ctrl_c_is_recorded_and_closes_the_loggers(command, monkeypatch):
    def interrupt(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    closed = []
    monkeypatch.setattr(RunLogger, "write_numbers", interrupt)
    monkeypatch.setattr(RunLogger, "close", lambda self, *, well=True: closed.append(well))
    assert command("train", *TINY, "trainer.log_every=3", "hydra.run.dir=run").code == 130
    assert closed == [False]
    facts = read_facts(Path("run"))
    assert (facts["state"], facts["step"]) == ("stopped", 3)


def test_a_run_that_fails_at_its_first_pictures_has_failed(command, monkeypatch):
    def fail(run):
        raise ValueError("no picture")

    monkeypatch.setattr("ddpm_cli.commands.train.command.write_data_pictures", fail)
    assert command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run").code == 1
    assert read_facts(Path("run"))["state"] == "failed"


def test_a_hangup_that_nohup_ignores_stops_nothing(command, monkeypatch, request):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, before))
    monkeypatch.setattr(RunLogger, "write_numbers", lambda *_: signal.raise_signal(signal.SIGHUP))
    outcome = command("train", *TINY, "trainer.steps=4", "trainer.log_every=2", "hydra.run.dir=run")
    assert outcome.code == 0
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 4
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_checkpoint_of_a_stop_is_never_the_best(command):
    wild = [*TINY, "trainer.optimizer.lr=0.3", "trainer.lr_schedule=constant", "trainer.ema=0.0"]
    often = [
        *wild,
        "trainer.evaluate_every=2",
        "trainer.checkpoint_every=4",
        "trainer.log_every=2",
        "trainer.steps=10",
    ]
    assert command("train", *often, "hydra.run.dir=whole").code == 0
    for options in (["trainer.stop_at=2"], ["trainer.stop_at=6", "resume=auto"], ["resume=auto"]):
        assert command("train", *often, "hydra.run.dir=parts", *options).code == 0
    best = [
        Checkpoint.load(Path(name, "checkpoints/best.safetensors")).step
        for name in ("whole", "parts")
    ]
    assert best[0] == best[1]
