"""An official split as held-out images, from training to the likelihood of the test images."""

import json
from pathlib import Path

import pytest
from conftest import TINY, once
from idx_files import write_idx, write_splits
from run_files import rows

from ddpm_cli.checkpoints import Checkpoint

SET = ["data=idx", "data.path=set", "data.size=8", "data.held_out_split=test"]
SHORT = ["schedule.steps=12", "trainer.evaluate_every=2", "model.predicts=eps", "loss=l2"]
RUN = [*SET, *SHORT, "model.conditional=true", "trainer.optimizer.lr=1e-3"]
NLL = ["metrics=[nll]", "images=held_out", "hydra.run.dir=out"]


@pytest.fixture
def split(command, runs):
    """The last checkpoint of a run whose held-out images are the test split."""
    write_splits(Path("set"))
    return once(command, runs, "split", *RUN)


def test_training_validates_on_the_test_split_and_trains_on_the_whole_training_split(command):
    write_splits(Path("set"))
    outcome = command("train", *TINY, *RUN, "trainer.steps=2", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    size = "8 x 8, 1 channel, 2 classes"
    assert f"data       40 images, {size}; 12 of the split 'test' are held out" in outcome.out
    assert "read       the IDX files in 'set'" in outcome.out
    assert "held_out" in rows("run")[-1]
    config = Checkpoint.load(Path("run/checkpoints/last.safetensors"), parts=()).config
    assert (config.data.holdout, config.data.held_out_split) == (0.0, "test")


def test_the_likelihood_is_that_of_all_test_images_and_names_the_split(command, split):
    outcome = command("evaluate", f"ckpt={split}", *SET, *NLL)
    assert outcome.code == 0, outcome.err
    assert "images     12 of 52, images=held_out (split test)" in outcome.out
    numbers = json.loads(Path("out/nll.json").read_text())
    assert (numbers["n"], numbers["held_out_split"]) == (12, "test")
    assert "12 held_out (split test)" in Path("out/eval.json").read_text()


@pytest.mark.parametrize(
    ("label", "reference"),
    [("all", "12 held_out (split test)"), ("0", "6 class 0 held_out (split test)")],
)
def test_samples_are_compared_with_the_test_split(command, split, label, reference):
    options = ["metrics=[fd_pixels]", "samples=16", "reference=held_out", "sampler.steps=3"]
    options.append(f"label={label}")
    outcome = command("evaluate", f"ckpt={split}", *SET, *options, "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    assert reference in Path("out/eval.json").read_text()


def test_an_evaluation_on_another_split_is_refused(command, split):
    for other, name in (("null", "null"), ("dev", "'dev'")):
        outcome = command("evaluate", f"ckpt={split}", *SET, *NLL, f"data.held_out_split={other}")
        assert outcome.code == 1
        assert outcome.err == (
            f"error: data.held_out_split must be 'test', as in training, but is {name}; "
            "images=all and reference=all need none\n"
        )


def resumed(command, *options):
    return command(
        "train", *TINY, *RUN, "trainer.steps=6", "hydra.run.dir=split", "resume=auto", *options
    )


def test_a_run_resumes_with_equal_images_of_both_splits(command, split):
    assert resumed(command).code == 0


def test_a_run_with_other_test_images_does_not_resume(command, split):
    images = write_splits(Path("set"))
    write_idx(Path("set/t10k-images-idx3-ubyte.gz"), 255 - images[40:])
    outcome = resumed(command)
    assert "cannot resume: the images are others (their fingerprint differs)" in outcome.err


def test_a_run_with_another_split_does_not_resume(command, split):
    outcome = resumed(command, "data.held_out_split=null", "data.holdout=0")
    assert "cannot resume: data.held_out_split was 'test' and is null" in outcome.err


@pytest.mark.parametrize("name", ["train", "data"])
def test_a_share_beside_a_split_is_refused_in_one_line(command, name):
    write_splits(Path("set"))
    outcome = command(name, *SET, "data.holdout=0.1", "hydra.run.dir=out")
    assert outcome.code == 1
    assert outcome.err == (
        "error: data.holdout must be 0 with data.held_out_split=test, but is 0.1; "
        "data.held_out_split=null holds a share out of the split itself\n"
    )


def test_a_path_to_no_folder_is_refused_before_anything_is_loaded(command):
    outcome = command("train", "data=idx", "data.path=sets", "data.held_out_split=test")
    assert outcome.err == "error: data.path must be a folder, but there is none at 'sets'\n"


def test_a_source_without_splits_has_no_such_option(command):
    outcome = command("train", "data.held_out_split=test")
    assert outcome.code == 1
    assert outcome.err.startswith("error: data.held_out_split is not an option")


def test_a_report_on_a_set_counts_the_images_of_the_split(command):
    write_splits(Path("set"))
    outcome = command("data", *SET, "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    count = "12 of 52 images, the split 'test', of which 0 have a copy or near copy in training"
    assert f"held out   {count}" in outcome.out
    assert json.loads(Path("out/data.json").read_text())["held_out"] == 12
