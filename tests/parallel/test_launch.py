"""Which of several failures is told, and how."""

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from ddpm_cli.parallel.launch import failure_text, process_count


def failure(message, exitcode=1):
    found = ProcessFailure(local_rank=0, pid=7, exitcode=exitcode, error_file="none")
    found.message = (
        {"message": message, "extraInfo": {"py_callstack": "Traceback: here", "timestamp": "0"}}
        if message
        else found.message
    )
    return found


def error(*failures):
    return ChildFailedError("ddpm", dict(enumerate(failures)))


def test_what_the_user_did_wrong_is_told_in_its_own_words(capsys):
    assert (
        failure_text(
            error(
                failure("EchoError: ValueError: data: no images"),
                failure("ValueError: data: no images"),
            )
        )
        == "data: no images"
    )
    assert capsys.readouterr().err == ""


def test_what_was_told_first_is_told_even_by_its_echo():
    assert (
        failure_text(error(failure("EchoError: ValueError: data: no images"))) == "data: no images"
    )


def test_a_process_that_was_killed_comes_before_those_that_lost_it():
    lost = failure("RuntimeError: Connection closed by peer")
    assert (
        failure_text(error(lost, failure("", exitcode=-9)))
        == "process 1 ended: Signal 9 (SIGKILL) received by PID 7"
    )


def test_a_mistake_of_ours_keeps_its_traceback(capsys):
    assert (
        failure_text(error(failure("RuntimeError: shapes")))
        == "process 0 failed: RuntimeError: shapes"
    )
    assert capsys.readouterr().err == "Traceback: here\n"


@pytest.mark.parametrize(
    ("asked", "device", "count"), [(3, "cpu", 3), ("auto", "cpu", 1), (1, "auto", 1)]
)
def test_auto_is_a_process_for_each_gpu(asked, device, count):
    assert process_count(asked, device) == count


@pytest.mark.parametrize(("platform", "count"), [("linux", 4), ("darwin", 4), ("win32", 1)])
def test_auto_is_one_process_on_windows(monkeypatch, platform, count):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("sys.platform", platform)
    assert process_count("auto", "cuda") == count
