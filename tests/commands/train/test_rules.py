"""Runs of before whose images other rules would read otherwise keep the rules of before."""

from pathlib import Path

import pytest
from checkpoint_files import change_config
from conftest import TINY
from omegaconf import OmegaConf
from PIL import Image

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.rules import data_rules
from ddpm_cli.reports.reproduce import recipe_overrides

RUN = [*TINY, "data=folder", "data.path=photos", "data.size=8", "data.channels=1", "data.cache=off"]
RUN += ["data.holdout=0", "trainer.batch_size=4", "trainer.steps=2", "hydra.run.dir=run"]
LAST = "run/checkpoints/last.safetensors"


def photos(*names):
    """Images in folders of these names."""
    for level, name in enumerate(names):
        Path("photos", name).mkdir(parents=True)
        for number in range(2):
            image = Image.new("L", (8, 8), 60 * level + number)
            image.save(f"photos/{name}/{number}.png")


def without_rules(command, *options):
    """A run whose checkpoints name no rules, as those from before rules had versions."""
    outcome = command("train", *RUN, "data.rules=1", *options)
    assert outcome.code == 0, outcome.err
    for path in Path("run/checkpoints").glob("*.safetensors"):
        change_config(path, lambda config: config.data.pop("rules"), path.name)
        Path(path.name).replace(path)


def test_a_run_of_before_whose_labels_would_differ_is_refused_with_the_option_that_keeps_them(
    command,
):
    photos("2", "10")
    without_rules(command)
    outcome = command("train", *RUN, "trainer.steps=4", "resume=auto")
    assert outcome.code == 1
    assert outcome.err.startswith(
        "error: cannot resume: the images are others (their fingerprint differs: data.rules was 1 "
        "and is 2; data.rules=1 reads images, classes and labels as before); the run goes on with: "
    )
    kept = command("train", *RUN, "trainer.steps=4", "resume=auto", "data.rules=1")
    assert kept.code == 0, kept.err


def test_a_run_of_before_whose_images_and_labels_are_the_same_goes_on_by_any_rules(command):
    photos("a", "b")
    without_rules(command)
    outcome = command("train", *RUN, "trainer.steps=4", "resume=auto")
    assert outcome.code == 0, outcome.err


def test_other_images_under_the_same_rules_are_no_matter_of_rules(command):
    photos("a", "b")
    assert command("train", *RUN).code == 0
    Image.new("L", (8, 8), 200).save("photos/a/9.png")
    outcome = command("train", *RUN, "trainer.steps=4", "resume=auto")
    assert outcome.err == (
        "error: cannot resume: the images are others (their fingerprint differs)\n"
    )


def test_the_images_of_a_run_of_before_are_compared_by_the_rules_of_before(command):
    photos("2", "10", "a/deep")
    without_rules(command)
    few = ["n=2", "steps=[2]", "samplers=[ddim]", "features=pixels", "hydra.run.dir=out"]
    images = [each for each in RUN if each.startswith("data")]
    outcome = command("compare", f"ckpt={LAST}", *images, *few)
    assert "reference  6 of 6 images (training)" in outcome.out
    assert "not the images" not in outcome.out


@pytest.mark.parametrize(
    ("data", "rules"),
    [
        ({"_target_": "ddpm_cli.data.folder", "path": "x"}, 1),
        ({"_target_": "ddpm_cli.data.several", "rules": 2}, 2),
        ({"_target_": "ddpm_cli.data.digits"}, None),
        ({"_target_": "my_parts.images"}, None),
    ],
)
def test_a_configuration_without_rules_is_of_the_first(data, rules):
    assert data_rules(OmegaConf.create({"data": data})) == rules


def test_the_command_that_trains_a_run_of_before_again_keeps_its_rules(command):
    photos("a", "b")
    without_rules(command)
    checkpoint = Checkpoint.load(Path(LAST), parts=())
    assert recipe_overrides(checkpoint)[-1] == "data.rules=1"
