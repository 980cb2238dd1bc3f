"""More processes than the machine can hold are refused before any is started."""

from pathlib import Path

import pytest

from ddpm_cli.config.process_limit import check_processes


@pytest.fixture
def launches(monkeypatch):
    """What the commands launch, and nothing is launched."""
    started = []
    for name in ("elastic_launch", "run_rank"):
        monkeypatch.setattr(f"ddpm_cli.parallel.launch.{name}", lambda *a: started.append(a))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    return started


@pytest.mark.parametrize(("cores", "most"), [(None, 64), (8, 64), (96, 768)])
def test_the_limit_grows_with_the_cores(monkeypatch, cores, most):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    check_processes("processes", most)
    allowed = f"at most {most} are allowed on this machine of {cores or 1} cores"
    with pytest.raises(ValueError, match=f"processes asks for {most + 1} processes, but {allowed}"):
        check_processes("processes", most + 1)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        (
            "train",
            ["trainer=ddp", "trainer.processes=100000"],
            "trainer.processes asks for 100,000 processes, "
            "but at most 64 are allowed on this machine of 2 cores",
        ),
        (
            "train",
            ["trainer.workers=100000"],
            "trainer.workers asks for 100,000 processes, "
            "but at most 64 are allowed on this machine of 2 cores",
        ),
        (
            "doctor",
            ["trainer=ddp", "trainer.processes=4", "trainer.workers=17"],
            "trainer.workers asks for 68 processes, "
            "but at most 64 are allowed on this machine of 2 cores",
        ),
        (
            "train",
            ["trainer=ddp", "trainer.processes=3", "trainer.batch_size=2"],
            "trainer.batch_size must be at least 3, the processes there are, but is 2",
        ),
        (
            "sample",
            ["ckpt=x", "n=200000", "processes=100000"],
            "processes asks for 100,000 processes, "
            "but at most 64 are allowed on this machine of 2 cores",
        ),
        (
            "evaluate",
            ["ckpt=x", "processes=65"],
            "processes asks for 65 processes, "
            "but at most 64 are allowed on this machine of 2 cores",
        ),
    ],
)
def test_too_many_processes_are_refused_before_the_first(command, launches, name, options, told):
    Path("x").write_bytes(b"a checkpoint")
    outcome = command(name, *options, "hydra.run.dir=out")
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert launches == []
