"""Conditional runs: images with labels, from the first step to a checkpoint with classes."""

from pathlib import Path

import datasets
import pytest
import torch
from checkpoint_files import change_config
from conftest import TINY
from PIL import Image
from run_files import tensors

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.train import time_budget
from ddpm_cli.generation.generator import Generator
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.image_sets.image_set import check_labels
from ddpm_cli.preflight.option_check import check_label_dropout

CONDITIONAL = [
    *TINY,
    "model.conditional=true",
    "model.network.dropout=0.1",
    "trainer.label_dropout=0.5",
]


def older(config):
    """As a version without conditional models wrote it."""
    del config.model["conditional"]
    del config.trainer["label_dropout"]


def test_a_conditional_run_says_so_and_six_steps_equal_three_and_the_rest(command):
    whole = command("train", *CONDITIONAL, "trainer.steps=6", "hydra.run.dir=whole")
    command("train", *CONDITIONAL, "trainer.steps=6", "trainer.stop_at=3", "hydra.run.dir=parts")
    resumed = command(
        "train", *CONDITIONAL, "trainer.steps=6", "hydra.run.dir=parts", "resume=auto"
    )
    one, other = (
        Checkpoint.load(Path(name, "checkpoints/last.safetensors")) for name in ("whole", "parts")
    )
    assert (whole.code, resumed.code) == (0, 0), whole.err + resumed.err
    assert "predicts eps, conditional on 10 classes" in whole.out
    assert "changed" not in resumed.out
    assert one.classes == [str(digit) for digit in range(10)]
    assert one.part("network")["label.weight"].shape == (11, 32)
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_a_conditional_run_is_the_same_however_it_is_computed(command):
    ways = {
        "plain": [],
        "dp": ["trainer=dp", "trainer.workers=1"],
        "again": ["trainer.activation_checkpointing=true", "trainer.microbatch=16"],
    }
    outcomes = [
        command("train", *CONDITIONAL, "trainer.steps=2", *said, f"hydra.run.dir={name}")
        for name, said in ways.items()
    ]
    plain, *others = (tensors(name) for name in ways)
    assert [outcome.code for outcome in outcomes] == [0, 0, 0], outcomes
    assert all(torch.equal(plain[name], other[name]) for name in plain for other in others)


def test_a_conditional_run_fits_into_minutes_and_a_checkpoint_samples(command, monkeypatch):
    monkeypatch.setattr(time_budget, "steps_within", lambda *_: 7)
    timed = command("train", *CONDITIONAL, "trainer.minutes=1", "hydra.run.dir=run")
    sampled = command(
        "sample",
        "ckpt=run/checkpoints/last.safetensors",
        "n=2",
        "sampler.steps=2",
        "hydra.run.dir=out",
    )
    assert (timed.code, sampled.code) == (0, 0), timed.err + sampled.err


def test_the_doctor_finds_nothing_wrong_with_a_conditional_run(command):
    outcome = command("doctor", *CONDITIONAL)
    labels = [line.split()[0] for line in outcome.out.splitlines() if "checking" not in line]
    assert labels[labels.index("length") + 1 :] == [*["ok"] * 7, *["estimate"] * 2]


@pytest.mark.parametrize(
    ("options", "labels"), [([], [*range(10), *range(6)]), (["model.conditional=false"], None)]
)
def test_the_samples_shown_are_of_class_after_class(command, monkeypatch, options, labels):
    shown, draw = {}, Generator.labels
    monkeypatch.setattr(
        Generator,
        "labels",
        lambda self, indices: shown.setdefault(tuple(indices), draw(self, indices)),
    )
    outcome = command("train", *CONDITIONAL, *options, "trainer.steps=1")
    assert outcome.code == 0, outcome.err
    preview = shown[tuple(range(16))]
    assert (preview if preview is None else preview.tolist()) == labels


def test_images_without_labels_are_refused_before_they_are_decoded(command):
    Path("photos").mkdir()
    for index in range(16):
        Path(f"photos/{index}.png").write_text("no image")
    outcome = command(
        "train", *CONDITIONAL, "data=folder", "data.path=photos", "data.size=8", "hydra.run.dir=run"
    )
    assert (outcome.code, outcome.err) == (
        1,
        "error: model.conditional=true needs labels, but these images have none\n",
    )
    assert not Path("run").exists()


def test_images_whose_labels_are_all_null_are_refused(command):
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["x", "y"])
    )
    rows = {"image": [Image.new("L", (8, 8), level) for level in range(16)], "label": [None] * 16}
    datasets.Dataset.from_dict(rows, features=features).to_parquet("set.parquet")
    outcome = command(
        "train",
        *CONDITIONAL,
        "data=hub",
        "data.name=set.parquet",
        "data.size=8",
        "hydra.run.dir=run",
    )
    assert (
        outcome.err
        == "error: model.conditional=true needs labels, but those of all images are null\n"
    )


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(
        ValueError, match="labels must be less than 2, the classes there are, but one is 2"
    ):
        check_labels(
            ImageSet(
                torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, -1, 2]), ["x", "y"]
            )
        )


def test_every_image_needs_a_label_if_the_network_knows_none_without(composed):
    images, labels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, -1, 1])
    with pytest.raises(ValueError, match="null_label=false needs a label for every image, but"):
        check_labels(ImageSet(images, labels, ["x", "y"]), every=True)
    known = "model=ho", "model.conditional=true", "model.network.null_label=false"
    with pytest.raises(ValueError, match=r"label_dropout=0.1 hides labels, but .* for every image"):
        check_label_dropout(composed("train", *known))
    check_label_dropout(composed("train", *known, "trainer.label_dropout=0.0"))


def test_a_checkpoint_from_before_there_were_conditional_models_goes_on_without_a_word(
    command, trained
):
    change_config(trained, older)
    refused = command(
        "train",
        *TINY,
        "trainer.steps=4",
        "model.conditional=true",
        f"resume={trained}",
        "hydra.run.dir=other",
    )
    resumed = command(
        "train",
        *TINY,
        "trainer.steps=4",
        "trainer.stop_at=4",
        f"resume={trained}",
        "hydra.run.dir=run",
    )
    assert resumed.code == 0, resumed.err
    assert "changed" not in resumed.out
    assert "error: cannot resume: model.conditional was false and is true" in refused.err
    assert command("info", f"ckpt={trained}").code == 0


def test_another_share_of_labels_is_told_where_it_changes_the_rest(command):
    for name, options in {"with": CONDITIONAL, "without": TINY}.items():
        command("train", *options, "trainer.steps=2", "trainer.stop_at=1", f"hydra.run.dir={name}")
    outcomes = [
        command(
            "train",
            *options,
            "trainer.steps=2",
            "trainer.label_dropout=0.25",
            f"hydra.run.dir={name}",
            "resume=auto",
        )
        for name, options in {"with": CONDITIONAL, "without": TINY}.items()
    ]
    assert "trainer.label_dropout: 0.5 -> 0.25" in outcomes[0].out
    assert (outcomes[1].code, "changed" in outcomes[1].out) == (0, False)
