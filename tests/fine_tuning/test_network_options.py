"""The network of a checkpoint for images of other sizes, and for labels that are hidden or not."""

from pathlib import Path

import pytest
from checkpoint_files import change_config

from ddpm_cli.cli.checkpoint_options.initial_network import overrides_of, typed_values
from ddpm_cli.config.overrides import compose_train
from ddpm_cli.fine_tuning.network_options import moved_attention

KEY = "model.network.attention_at"


@pytest.fixture
def attending(trained, composed):
    """A checkpoint of 8 x 8 whose network attends at one depth and needs labels."""
    model = composed("train", "model=adm").model
    model.conditional = True
    model.network.update(dim=8, dim_mults=[1, 2], attention_at=[4], null_label=False)
    change_config(trained, lambda cfg: cfg.update(model=model), "attending.safetensors")
    return Path("attending.safetensors")


@pytest.mark.parametrize(
    ("arguments", "has_row"),
    [
        ("trainer.label_dropout=0.00", False),
        ("trainer.label_dropout=0e0", False),
        ("trainer.label_dropout=0,0.0", False),
        ("trainer.label_dropout=0,0.1", True),
        ("trainer.label_dropout=0.1 trainer.label_dropout=0", False),
        ("+experiment=imagenet64_adm data.size=8", False),
        ("+experiment=imagenet64_adm data.size=8 trainer.label_dropout=0.1", True),
        ("", True),
    ],
)
def test_a_row_for_no_label_is_added_where_labels_are_hidden(attending, arguments, has_row):
    overrides = overrides_of(attending, arguments.split())
    experiment = [each for each in arguments.split() if "experiment" in each]
    network = compose_train([*experiment, *overrides])["model"]["network"]
    assert network["null_label"] == has_row


@pytest.mark.parametrize(
    ("arguments", "sides"), [("data.size=16,[16,16]", "[8]"), ("data.size=range(16,17)", "[8]")]
)
def test_attention_stays_at_its_depth(attending, arguments, sides):
    options = [arguments, "trainer.label_dropout=0"]
    assert f"{KEY}={sides}" in overrides_of(attending, options)


def test_a_sweep_over_sizes_needs_the_sides_of_attention(attending):
    with pytest.raises(ValueError, match=f"^init: a sweep over sizes of images moves {KEY}; name"):
        overrides_of(attending, ["data.size=8,16"])
    assert overrides_of(attending, ["data.size=8,16", f"{KEY}=[4]"])


@pytest.mark.parametrize(
    ("new", "stages", "sides"),
    [
        ([64, 64], 4, [32, 16]),
        ([32, 32], 4, [16, 8]),
        ([48, 32], 4, [24, 12]),
        ("auto", 4, [16, 8]),
        ([64, "x"], 4, [16, 8]),
    ],
)
def test_both_sides_of_images_decide_where_attention_moves(new, stages, sides):
    network = {"attention_at": [16, 8], "dim_mults": [1] * stages}
    assert moved_attention(network, [32, 32], new) == sides


def test_images_whose_maps_no_sides_tell_apart_are_refused():
    network = {"attention_at": [16], "dim_mults": [1, 1, 1]}
    with pytest.raises(ValueError, match=rf"\[32, 64\] are at the depth of .* name {KEY}$"):
        moved_attention(network, [32, 32], [32, 64])


def test_a_range_has_all_its_values():
    assert typed_values("seed", ["seed=range(1,4)"]) == ["1", "2", "3"]
