"""The screen: a reader that leaves ends no command, and what is printed is printable."""

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from conftest import TINY

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.console import Output, fact, logging_to, outliving_readers
from ddpm_cli.run_folder.facts import RunFacts

COMMAND = [sys.executable, "-m", "ddpm_cli"]


def test_a_stream_whose_reader_has_left_goes_quiet():
    here, there = os.pipe()
    os.close(here)
    with os.fdopen(there, "w") as stream:
        output = Output(stream)
        for _ in range(3):
            assert output.write("text") == 4
            output.flush()


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("ascii", "gr\\xfcn \\u65e5"), ("latin-1", "grün \\u65e5"), ("utf-8", "grün 日")],
)
def test_characters_that_the_screen_lacks_become_escapes(tmp_path, encoding, printed):
    path = tmp_path / "screen.txt"
    with path.open("w", encoding=encoding) as stream:
        Output(stream).write("grün 日")
    assert path.read_text(encoding) == printed


def test_a_stream_on_a_full_disk_goes_quiet():
    with Path("/dev/full").open("w") as stream:
        output = Output(stream)
        output.write("text")
        output.flush()
        output.write("more")
        output.flush()


def test_the_log_goes_on_without_the_screen(tmp_path, monkeypatch):
    here, there = os.pipe()
    os.close(here)
    with os.fdopen(there, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with outliving_readers(), logging_to(tmp_path / "train.log", aloud=True):
            logging.getLogger("ddpm_cli.x").info("first")
            logging.getLogger("ddpm_cli.x").info("second")
    assert "second" in (tmp_path / "train.log").read_text()


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("\x1b[31mred\x07.png", "\\x1b[31mred\\x07.png"),
        (
            "a\n2026-01-01 00:00:00,000 WARNING x: y.png",
            "a\\n2026-01-01 00:00:00,000 WARNING x: y.png",
        ),
        ("\u202egnp.exe\udc80\u2028", "\\u202egnp.exe\\udc80\\u2028"),
    ],
)
def test_names_are_escaped_on_the_screen_in_the_log_and_in_the_facts(
    tmp_path, capsys, name, escaped
):
    facts = RunFacts(tmp_path)
    with logging_to(tmp_path / "train.log", True, facts):
        facts.begin({})
        logging.getLogger("x").warning("warning: %s cannot be read", name)
        fact("class", name)
    shown, logged = capsys.readouterr().out, (tmp_path / "train.log").read_text()
    assert shown == f"warning: {escaped} cannot be read\nclass      {escaped}\n"
    assert [line.partition(": ")[2] for line in logged.splitlines()] == shown.splitlines()
    assert facts.warnings == [f"{escaped} cannot be read"]


def test_only_this_package_and_sweeps_inform_and_all_packages_warn_in_one_line(tmp_path, capsys):
    with logging_to(tmp_path / "train.log", aloud=True):
        logging.getLogger("other").info("JAX version 0.4 available.")
        logging.getLogger("ddpm_cli.x").info("ours")
        logging.getLogger("other").warning("theirs")
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("the schedule\n  is old", UserWarning, stacklevel=1)
    shown = ["ours", "theirs", "warning: the schedule is old"]
    assert capsys.readouterr() == ("\n".join(shown) + "\n", "")
    logged = (tmp_path / "train.log").read_text().splitlines()
    assert [line.partition(": ")[2] for line in logged] == shown


def test_a_process_that_is_not_the_first_logs_and_warns_of_nothing(capsys):
    with logging_to(None, aloud=False):
        logging.getLogger("ddpm_cli.x").info("ours")
        warnings.warn("theirs", UserWarning, stacklevel=1)
    assert capsys.readouterr() == ("", "")


def test_the_command_of_a_run_hides_what_other_packages_announce_before_it_logs(command):
    announcing = "import logging; logging.getLogger('datasets').info('JAX available.')\n"
    Path("my_loss.py").write_text(f"{announcing}from ddpm_cli.losses import l2\n")
    options = ["trust=[my_loss]", "loss._target_=my_loss.l2", "trainer.steps=0"]
    outcome = command("train", *TINY, *options)
    assert "JAX" not in outcome.out + outcome.err


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_was_closed_from_the_start_is_no_matter(monkeypatch, closed):
    monkeypatch.setattr(sys, closed, None)
    with outliving_readers():
        print("text")
        print("text", file=sys.stderr)
    assert getattr(sys, closed) is None


@pytest.mark.slow
def test_a_run_goes_on_when_its_reader_leaves_and_a_page_of_info_ends_in_silence(tmp_path):
    run = [*COMMAND, "train", *TINY, "trainer.steps=6", "trainer.log_every=1", "hydra.run.dir=run"]
    for command in (run, [*COMMAND, "info", "ckpt=run/checkpoints/last.safetensors"]):
        started = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.stdout.readline()
        started.stdout.close()
        errors = started.stderr.read()
        assert started.wait() == 0
        assert "Traceback" not in errors and "rror" not in errors
    assert Checkpoint.load(tmp_path / "run/checkpoints/last.safetensors").step == 6
    assert "report" in (tmp_path / "run/train.log").read_text()


@pytest.mark.parametrize("there", ["a link", "a pipe"])
def test_a_log_is_not_written_through_a_link_or_into_a_pipe(tmp_path, there):
    (tmp_path / "victim").write_text("precious")
    if there == "a link":
        (tmp_path / "train.log").symlink_to(tmp_path / "victim")
    else:
        os.mkfifo(tmp_path / "train.log")
    with pytest.raises(OSError, match=r"train\.log"), logging_to(tmp_path / "train.log", True):
        fact("device", "cpu")
    assert (tmp_path / "victim").read_text() == "precious"
