"""Commands in a thread beside the main thread, as web pages and notebooks start them."""

import signal
from pathlib import Path
from threading import Thread

import pytest
from conftest import TINY


@pytest.fixture
def in_thread(command):
    """Runs a command in a thread of its own."""

    def run(*arguments):
        outcomes = []
        thread = Thread(target=lambda: outcomes.append(command(*arguments)))
        thread.start()
        thread.join()
        return outcomes[0]

    return run


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sample", ["n=2", "sampler.steps=2"]),
        ("evaluate", ["metrics=[kid_pixels]", "samples=8", "sampler.steps=2"]),
        ("compare", ["samplers=[ddim]", "steps=[2]", "n=4"]),
    ],
)
def test_a_thread_samples_and_judges(in_thread, trained, name, options):
    outcome = in_thread(name, f"ckpt={trained}", *options, "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err


@pytest.mark.slow
def test_processes_started_from_a_thread_sample(in_thread, trained):
    before = signal.getsignal(signal.SIGTERM)
    outcome = in_thread(
        "sample", f"ckpt={trained}", "n=2", "batch=1", "processes=2", "hydra.run.dir=out"
    )
    assert outcome.code == 0, outcome.err
    assert signal.getsignal(signal.SIGTERM) == before


def test_training_says_what_to_do_in_place_of_a_thread(in_thread):
    outcome = in_thread("train", *TINY, "trainer.steps=1", "hydra.run.dir=out")
    told = (
        "a run is stopped by signals, which only the main thread of a process receives: from "
        "another thread, call ddpm_cli.train, or start ddpm-train as a process"
    )
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert not Path("out").exists()
