"""Two commands in one folder: the second writer is refused, and readers go on."""

from pathlib import Path

import pytest
from conftest import TINY

from ddpm_cli.process.writer_lock import writer_lock

JUDGED = ["metrics=[fd_pixels]", "samples=256", "sampler.steps=1"]


def contents(folder):
    """All files in a folder with their bytes, but the locks."""
    return {
        path: path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.suffix not in (".lock", ".owner")
    }


def is_refused(command, written, folder, *arguments):
    """Whether a command is refused in one line and changes nothing while another one writes."""
    before = contents(folder)
    with writer_lock(Path(folder), written):
        outcome = command(*arguments)
    where = str(Path(folder).resolve())
    assert outcome.err.startswith("error: process ")
    assert f") is writing the {written} in {where!r}; wait until it has ended" in outcome.err
    assert outcome.err.count("\n") == 1
    return outcome.code == 1 and contents(folder) == before


@pytest.mark.parametrize("options", [["resume=auto"], ["trainer.stop_at=6", "resume=auto"]])
def test_a_run_that_another_process_trains_is_left_alone(command, trained, options):
    arguments = ["train", *TINY, "trainer.steps=9", "hydra.run.dir=trained", *options]
    assert is_refused(command, "training", "trained", *arguments)


def test_a_new_run_in_the_folder_of_another_is_refused_before_it_waits(command, trained):
    before = contents("trained")
    with writer_lock(Path("trained"), "training"):
        outcome = command("train", *TINY, "trainer.steps=9", "hydra.run.dir=trained", "seed=3")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "holds a run already (step_00000004.safetensors)" in outcome.err
    assert contents("trained") == before


def test_a_new_folder_is_the_first_trainers_too(command):
    Path("run").mkdir()
    assert is_refused(command, "training", "run", "train", *TINY, "hydra.run.dir=run")


def test_images_are_drawn_into_a_folder_by_one_launch(command, trained):
    draw = ["sample", f"ckpt={trained}", "n=4", "png=true", "sampler.steps=2", "hydra.run.dir=out"]
    assert command(*draw).code == 0
    assert is_refused(command, "images", "out", *draw, "n=6")
    assert is_refused(command, "images", "out", *draw, "n=6", "grid=false")


@pytest.mark.parametrize("written", ["evaluation", "images"])
def test_an_evaluation_is_made_by_one_launch(command, trained, written):
    Path("out").mkdir()
    arguments = ["evaluate", f"ckpt={trained}", "samples=8", "hydra.run.dir=out"]
    assert is_refused(command, written, "out", *arguments)


def test_a_report_is_written_by_one_launch(command, trained):
    assert is_refused(command, "report", "trained", "report", "run=trained")


def test_a_run_in_training_is_read_plotted_reported_and_sampled(command, trained):
    with writer_lock(Path("trained"), "training"):
        for arguments in (
            ["info", f"ckpt={trained}"],
            ["plot", "runs=[trained]", "out=curves.png"],
            ["report", "run=trained"],
            ["sample", f"ckpt={trained}", "n=2", "sampler.steps=2", "hydra.run.dir=trained/more"],
            ["evaluate", f"ckpt={trained}", *JUDGED, "hydra.run.dir=trained/judged"],
        ):
            assert command(*arguments).code == 0
    assert not list(Path("trained").rglob(".*.*"))


def test_a_finished_command_leaves_no_lock(command, trained):
    command("sample", f"ckpt={trained}", "n=2", "sampler.steps=2", "hydra.run.dir=out")
    assert not [path for path in Path().rglob("*") if path.suffix in (".lock", ".owner")]
