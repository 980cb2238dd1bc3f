"""The classification accuracy score of drawn images and of a folder's, and what has none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpm_cli.data import Preparation, digits
from ddpm_cli.evaluation.classification_scores import labelled_places
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.image_sets import load_image_set

CAS = "metrics=[cas]"


def numbers():
    """The value of each metric, and its protocol."""
    rows = json.loads(Path("out/eval.json").read_text())["numbers"]
    return {row["metric"]: (row["value"], row["protocol"]) for row in rows}


def write_images(labels, folder="given"):
    """Training digits, spread evenly, in a folder as ddpm-sample writes them."""
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    training, _ = data.split(0.05)
    places = labelled_places(training, len(labels))
    names = [str(training.labels[place].item()) if own is None else own
             for place, own in zip(places, labels, strict=True)]  # fmt: skip
    store = ImageStore(Path(folder), png=False, npz=True)
    store.open({"recipe": {"randomness": 1}})
    store.write(range(len(labels)), names, training.images[places])


def test_drawn_images_and_as_many_training_images_teach_a_classifier(command, conditional):
    few = CAS, "label=all", "samples=20", "sampler.steps=2", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={conditional}", *few)
    assert outcome.code == 0, outcome.err
    (own, protocol), (_, ceiling) = numbers()["cas"], numbers()["cas_real"]
    assert 0 <= own <= 1
    classifier = "cnn-32-64-128-32px, 20 epochs | tested on 2:98ba91cb 72 held_out | n 20 |"
    assert protocol.startswith(f"cas | {classifier} ddim 2 steps, ")
    assert " | label all | seed 0 | " in protocol
    assert ceiling.startswith(f"cas_real | {classifier} 2:6917aef4 training images | measures ")


def test_training_images_as_if_they_were_generated_reach_the_ceiling(command, trained):
    write_images([None] * 100)
    outcome = command("evaluate", f"ckpt={trained}", CAS, "generated=given", "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    assert numbers()["cas"][0] == numbers()["cas_real"][0] > 0.6


def test_classes_leave_the_other_metrics_of_a_folder_alone(command, trained):
    few = "metrics=[fd_pixels]", "hydra.run.dir=out"
    write_images([None] * 9)
    write_images([""] * 9, "plain")
    command("evaluate", f"ckpt={trained}", "generated=given", *few)
    with_classes = numbers()
    command("evaluate", f"ckpt={trained}", "generated=plain", *few)
    assert numbers() == with_classes


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (
            [""] * 9,
            "cas needs the class of each generated image, but 9 of 9 in 'given' have none; "
            "ddpm-sample label=all with png=true or npz=true writes them into index.csv",
        ),
        (
            [*[""] * 2, *"1234567"],
            "cas needs the class of each generated image, but 2 of 9 in 'given' have none; "
            "ddpm-sample label=all with png=true or npz=true writes them into index.csv",
        ),
        (
            [*"12345678", "cat"],
            "classes of the images in 'given' must be the data's, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, "
            "but one is cat",
        ),
        (["3"] * 9, "cas needs images of several classes, but in 'given' all are 3"),
    ],
)
def test_given_images_without_classes_of_the_data_are_refused(command, trained, labels, told):
    write_images(labels)
    outcome = command("evaluate", f"ckpt={trained}", CAS, "generated=given", "hydra.run.dir=out")
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["label=null"], "cas needs images of all classes, with label=all, but label is null"),
        (["label=3"], "cas needs images of all classes, with label=all, but label is 3"),
        (
            ["label=3", "generated=given"],
            "cas needs images of all classes, with no label with generated, but label is 3",
        ),
    ],
)
def test_images_of_a_class_are_refused(command, conditional, options, told):
    write_images([None] * 9)
    own = CAS, *options, "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={conditional}", *own)
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_an_unconditional_checkpoint_draws_no_classes(command, trained):
    outcome = command("evaluate", f"ckpt={trained}", CAS, "hydra.run.dir=out")
    told = (
        "cas needs a class-conditional checkpoint (trained with model.conditional=true), or "
        "generated=FOLDER whose index.csv names classes; this one is unconditional"
    )
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_data_without_classes_are_refused(command, trained):
    torch.manual_seed(0)
    np.save("own.npy", torch.randint(0, 255, (60, 8, 8), dtype=torch.uint8).numpy())
    own = "data=arrays", "data.path=own.npy", "data.size=8", "data.channels=1", "generated=given"
    write_images([None] * 9)
    outcome = command("evaluate", f"ckpt={trained}", CAS, *own, "hydra.run.dir=out")
    told = "cas needs images with classes, but those of the data have none"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_no_held_out_images_test_no_classifier(command):
    short = "data=digits", "data.holdout=0", "model.network.dim=8", "trainer.steps=1"
    own = "model.conditional=true", "trainer.device=cpu", "hydra.run.dir=run"
    assert command("train", *short, *own).code == 0
    few = "data=digits", "data.holdout=0", "label=all", "hydra.run.dir=out"
    outcome = command("evaluate", "ckpt=run", CAS, *few)
    told = "cas needs held-out images with classes, but there are 0 (data.holdout=0)"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
