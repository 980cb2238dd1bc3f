"""Systems other than Linux: what Windows lacks, and encodings other than UTF-8."""

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY
from PIL import Image

import ddpm_cli
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints import checkpoint as checkpoint_file
from ddpm_cli.checkpoints.async_writer import write_and_prune
from ddpm_cli.hardware import memory
from ddpm_cli.parallel import launch
from ddpm_cli.process.stop_signals import stop_signals

MODULES = ("resource", "pwd", "grp", "termios")
SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM", "SIGKILL", "SIGCHLD")
CALLS = ("sysconf", "fork", "sched_getaffinity", "getuid", "geteuid", "uname", "O_NOFOLLOW")
WINDOWS = f"""
import os, signal, sys
import datasets, matplotlib.pyplot, torch.distributed.launcher.api, torch.utils.tensorboard
sys.modules.update(dict.fromkeys({MODULES}))
for name in {SIGNALS}:
    delattr(signal, name)
for name in {CALLS}:
    delattr(os, name)
from ddpm_cli.cli.main import launch
launch(sys.argv.pop(1))
"""
LAST = "ckpt=run/checkpoints/last.safetensors"


@pytest.fixture
def windows(trained, monkeypatch):
    """Take away what Windows lacks, after a run has imported the libraries."""
    monkeypatch.setattr(memory, "resource", None)
    for name in SIGNALS:
        monkeypatch.delattr(signal, name)
    for name in CALLS:
        monkeypatch.delattr(os, name)


def test_a_run_trains_goes_on_samples_and_is_judged_without_what_windows_lacks(windows, command):
    train = [*TINY, "hydra.run.dir=run"]
    assert command("train", *train, "trainer.steps=4").code == 0
    assert command("train", *train, "trainer.steps=6", "resume=auto").code == 0
    assert command("sample", LAST, "n=4", "sampler.steps=3", "hydra.run.dir=out").code == 0
    judge = ["metrics=[fd_pixels]", "samples=8", "sampler.steps=3", "hydra.run.dir=judged"]
    assert command("evaluate", LAST, *judge).code == 0
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 6


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists open files")
def test_a_run_that_goes_on_maps_no_checkpoint_while_it_writes_another(command, monkeypatch):
    open_files = []  # which Windows does not replace

    def write(*arguments, **options):
        open_files.extend(re.findall(r"\S+\d\.safetensors", Path("/proc/self/maps").read_text()))
        return write_and_prune(*arguments, **options)

    run = [*TINY, "hydra.run.dir=run", "trainer.checkpoint_every=2", "trainer.keep_last=1"]
    assert command("train", *run, "trainer.steps=2").code == 0
    monkeypatch.setattr("ddpm_cli.checkpoints.async_writer.write_and_prune", write)
    assert command("train", *run, "trainer.steps=4", "resume=auto").code == 0
    assert open_files == []


def test_signals_that_the_system_lacks_stop_nothing(windows):
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("train", ["trainer=ddp", "trainer.processes=2", "trainer.device=cpu"]),
        ("sample", ["ckpt=any", "processes=2"]),
        ("evaluate", ["ckpt=any", "processes=2"]),
    ],
)
def test_several_processes_are_refused_on_windows(command, monkeypatch, name, options):
    monkeypatch.setattr(launch.sys, "platform", "win32")
    Path("any").write_bytes(b"a checkpoint")
    outcome = command(name, *options)
    option = "trainer.processes" if name == "train" else "processes"
    assert outcome.code == 1
    assert outcome.err == f"error: {option} must be 1 on Windows, but is 2\n"


def test_a_checkout_on_a_machine_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert checkpoint_file.environment.__wrapped__()["git"] == ""


@pytest.mark.slow
def test_every_file_is_imported_without_what_windows_lacks(tmp_path):
    command = [sys.executable, "-c", WINDOWS, "train", *TINY, "trainer.steps=2"]
    outcome = subprocess.run(
        [*command, "hydra.run.dir=run"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "run/report.html").exists()


@pytest.mark.slow
def test_classes_of_any_alphabet_are_printed_and_written_in_any_locale(tmp_path):
    rows = "".join(
        f"images/{place}.png,{name}\n" for place, name in enumerate(["grün", "日本"] * 12)
    )
    (tmp_path / "labels.csv").write_text("file_name,label\n" + rows, encoding="utf-8")
    (tmp_path / "images").mkdir()
    for place in range(24):
        Image.effect_noise((16, 16), 50).save(tmp_path / f"images/{place}.png")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    data = ["data=folder", "data.path=.", "data.labels=labels.csv", "data.size=8"]
    run = ["train", *TINY, *data, "trainer.steps=2", "model.conditional=true", "hydra.run.dir=run"]
    info = ["info", LAST]
    for arguments, encoding in ((run, "ascii"), (info, "ascii"), (info, "latin-1")):
        outcome = subprocess.run(
            [sys.executable, "-m", "ddpm_cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, **locale, "PYTHONIOENCODING": encoding},
            capture_output=True,
            encoding=encoding,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert arguments != info or "\\u65e5\\u672c" in outcome.stdout
    assert "日本" in (tmp_path / "run/report.html").read_text(encoding="utf-8")


def test_every_text_file_names_its_encoding():
    calls = {
        f"{path.name}:{node.lineno}": node
        for path in Path(ddpm_cli.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and is_text_file(node)
    }
    assert [place for place, node in calls.items() if not names_encoding(node)] == []


def is_text_file(call):
    """Whether a call opens a text file by its name or its mode."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    mode = next((each.value for each in call.args if isinstance(each, ast.Constant)), "")
    opens = name == "open" and isinstance(mode, str) and mode in ("r", "w", "a", "x", "r+")
    return opens or name in ("read_text", "write_text", "FileHandler")


def names_encoding(call):
    texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
    return "utf-8-sig" in texts or any(each.arg == "encoding" for each in call.keywords)
