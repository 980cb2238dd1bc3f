"""The overrides that follow from a configuration alone."""

from dataclasses import replace

import pytest

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.reports.reproduce import derived_overrides


def test_a_network_of_ones_own_gets_no_options_of_ours(trained):
    checkpoint = Checkpoint.load(trained, parts=())
    config = checkpoint.config.copy()
    config.model.network = {"_target_": "my_parts.Small", "width": 8}
    overrides = derived_overrides(replace(checkpoint, config=config))
    assert not any("model.network.dim=" in each for each in overrides)
    assert "+model.network.width=8" in overrides


@pytest.mark.parametrize("choice", ["dit", "ho"])
def test_another_network_of_the_package_is_its_choice(trained, composed, choice):
    checkpoint = Checkpoint.load(trained, parts=())
    config = checkpoint.config.copy()
    config.model = composed("train", f"model={choice}").model
    overrides = derived_overrides(replace(checkpoint, config=config))
    assert [each for each in overrides if "model" in each] == [f"model={choice}"]
