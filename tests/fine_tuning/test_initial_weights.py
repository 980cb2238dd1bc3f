"""The first weights in several processes: all read the same file, or all stop."""

import pytest
from omegaconf import OmegaConf

from ddpm_cli.fine_tuning.initial_weights import initial_weights
from ddpm_cli.parallel import ProcessGroup

NO_FILE = "init: there is no checkpoint at 'mine.pt'"


@pytest.fixture
def read(monkeypatch):
    """Reads a file beside a process that gives an answer; returns the error and the own answer."""

    def beside(path, answer):
        own = []
        monkeypatch.setattr(
            ProcessGroup, "all_gather", lambda _, each: own.append(each) or [each, answer]
        )
        cfg = OmegaConf.create({"init": str(path), "init_weights": "ema"})
        with pytest.raises(ValueError, match=r".") as error:
            initial_weights(cfg, ProcessGroup(count=2))
        return str(error.value), *own

    return beside


def test_all_processes_stop_where_one_cannot_read_the_file(read, trained):
    error, (digest, text) = read(trained, ("", NO_FILE))
    assert (error, len(digest), text) == (NO_FILE, 64, "")


def test_a_process_that_cannot_read_the_file_tells_the_others(read, tmp_path):
    error, own = read(tmp_path / "mine.pt", ("ab", ""))
    assert own == ("", error)
    assert "mine.pt" in error


def test_processes_with_different_files_are_refused(read, trained):
    error, _ = read(trained, ("ab", ""))
    assert "has changed while it was read; name a file that no run writes" in error
