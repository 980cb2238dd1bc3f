"""Who may write into a folder: one launch at a time, by the system's locks or a sign of life."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from ddpm_cli.process import writer_lock as locks
from ddpm_cli.process.writer_lock import read_owner, this_process, writer_lock

HOLDER = """
import sys, time
from pathlib import Path
from ddpm_cli.process.writer_lock import writer_lock
with writer_lock(Path(sys.argv[1]), "training"):
    print("holds", flush=True)
    time.sleep(60)
"""
ELSEWHERE = {"host": "node7", "process": 4711, "launch": "1f2e", "since": "2026-01-02 03:04:05 UTC"}


@pytest.fixture
def holder(tmp_path):
    """Another process that writes the training in a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"holds\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def leave_sign(folder, seconds_ago, **changes):
    """The sign of life of a process on another node."""
    sign = folder / ".training.owner"
    sign.write_text(json.dumps(ELSEWHERE | changes))
    then = time.time() - seconds_ago
    os.utime(sign, (then, then))


def refusal(folder, written="training"):
    with pytest.raises(ValueError, match="writ") as caught, writer_lock(folder, written):
        pass
    return str(caught.value)


def without_locks(monkeypatch, number):
    """Take the locks away from the file system."""

    def acquire(self):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", acquire)


def test_a_second_writer_is_told_the_host_the_process_and_the_launch_of_the_first(tmp_path, holder):
    owner = read_owner(tmp_path / ".training.owner")
    assert owner.process == holder.pid
    assert refusal(tmp_path) == (
        f"process {holder.pid} on {owner.host} (launch {owner.launch}, since {owner.since}) is "
        f"writing the training in {str(tmp_path)!r}; wait until it has ended, or stop it"
    )
    assert refusal(tmp_path) == refusal(tmp_path)


def test_a_killed_process_blocks_nobody_on_its_host(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / ".training.owner").exists()
    with writer_lock(tmp_path, "training"):
        assert read_owner(tmp_path / ".training.owner").process == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_training_images_an_evaluation_and_the_report_have_locks_of_their_own(tmp_path):
    with (
        writer_lock(tmp_path, "training"),
        writer_lock(tmp_path, "images"),
        writer_lock(tmp_path, "evaluation"),
        writer_lock(tmp_path, "report"),
    ):
        assert f" is writing the images in {str(tmp_path)!r}; " in refusal(tmp_path, "images")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_end_but_a_kill_leaves_a_trace(tmp_path, error):
    with pytest.raises(error), writer_lock(tmp_path, "training"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_processes_of_one_launch_share_the_lock_of_the_first(tmp_path):
    with writer_lock(tmp_path, "training"), writer_lock(tmp_path, "training", first=False):
        pass
    with writer_lock(tmp_path, "training", first=False):
        assert list(tmp_path.iterdir()) == []


def test_a_process_that_torchrun_starts_anew_takes_over_from_its_own_launch(tmp_path, monkeypatch):
    leave_sign(tmp_path, seconds_ago=1, launch="job 7")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job 7")
    with writer_lock(tmp_path, "training"):
        assert read_owner(tmp_path / ".training.owner") == this_process()


def test_two_launches_of_torchrun_without_a_name_are_two_launches(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert this_process().launch != this_process().launch


@pytest.mark.parametrize("number", [None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("seconds", [0, 100, -1000])  # a clock that is ahead is never too old
def test_a_young_sign_of_life_of_another_node_refuses(tmp_path, monkeypatch, number, seconds):
    leave_sign(tmp_path, seconds)
    if number:
        without_locks(monkeypatch, number)
    assert refusal(tmp_path) == (
        "process 4711 on node7 (launch 1f2e, since 2026-01-02 03:04:05 UTC) is writing the "
        f"training in {str(tmp_path)!r}; wait until it has ended (120 s after its last sign of "
        "life), or stop it"
    )
    assert json.loads((tmp_path / ".training.owner").read_text()) == ELSEWHERE


@pytest.mark.parametrize("number", [None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("seconds", [121, 86_400])
def test_an_old_sign_of_life_is_taken_over(tmp_path, monkeypatch, number, seconds):
    leave_sign(tmp_path, seconds)
    if number:
        without_locks(monkeypatch, number)
    with writer_lock(tmp_path, "training"):
        assert read_owner(tmp_path / ".training.owner").process == os.getpid()
    assert not (tmp_path / ".training.owner").exists()


def test_the_sign_of_life_counts_by_the_clock_of_the_file_system(tmp_path, monkeypatch):
    leave_sign(tmp_path, seconds_ago=100)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert "node7" in refusal(tmp_path)


def test_without_locks_a_second_writer_is_refused_too(tmp_path, monkeypatch):
    without_locks(monkeypatch, errno.ENOSYS)
    with writer_lock(tmp_path, "training"):
        assert f"process {os.getpid()} on" in refusal(tmp_path)
    with writer_lock(tmp_path, "training"):
        pass


def test_a_writer_renews_its_sign_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEWAL", 0.01)
    sign = tmp_path / ".training.owner"
    with writer_lock(tmp_path, "training"):
        os.utime(sign, (1, 1))
        for _ in range(500):
            if sign.stat().st_mtime > 1:
                break
            time.sleep(0.01)
        assert sign.stat().st_mtime > 1


def test_a_writer_leaves_the_sign_of_life_of_another_writer_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEWAL", 0.01)
    with writer_lock(tmp_path, "training"):
        leave_sign(tmp_path, seconds_ago=1000)
        before = (tmp_path / ".training.owner").stat().st_mtime
        time.sleep(0.1)
    assert (tmp_path / ".training.owner").stat().st_mtime == before


def test_a_folder_that_moves_while_it_is_written_does_not_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEWAL", 0.01)
    (tmp_path / "old").mkdir()
    with writer_lock(tmp_path / "old", "training"):
        (tmp_path / "old").rename(tmp_path / "new")
        time.sleep(0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    with writer_lock(tmp_path / "new", "training"):
        pass


def test_a_copy_of_a_folder_that_is_written_is_free(tmp_path):
    (tmp_path / "run").mkdir()
    with writer_lock(tmp_path / "run", "training"):
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        with writer_lock(tmp_path / "copy", "training"):
            pass


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(tmp_path, monkeypatch, number):
    without_locks(monkeypatch, number)
    assert refusal(tmp_path) == (
        f"{str(tmp_path)!r} must be a folder that can be written to: {os.strerror(number)}"
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100_000, '{"host": 1}', json.dumps(ELSEWHERE | {"process": 1e999})],
)
def test_a_sign_of_life_that_nobody_can_read_counts_for_two_minutes(tmp_path, text):
    sign = tmp_path / ".training.owner"
    sign.write_text(text)
    assert refusal(tmp_path).startswith("another process is writing the training in ")
    os.utime(sign, (1, 1))
    with writer_lock(tmp_path, "training"):
        pass


def test_a_sign_of_life_that_is_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / ".training.owner")
    assert refusal(tmp_path).startswith("another process is writing the training in ")


def test_locks_import_no_torch():
    probe = "import sys, ddpm_cli.process.writer_lock; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", probe], check=True)
