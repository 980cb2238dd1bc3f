"""The overrides that follow from a configuration alone."""

from dataclasses import replace

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.reports.reproduce import derived_overrides


def test_a_network_of_ones_own_gets_no_options_of_ours(trained):
    checkpoint = Checkpoint.load(trained, parts=())
    config = checkpoint.config.copy()
    config.model.network = {"_target_": "my_parts.Small", "width": 8}
    overrides = derived_overrides(replace(checkpoint, config=config))
    assert {"~model.network.dim", "~model.network.dim_mults"} <= {*overrides}
    assert "+model.network.width=8" in overrides
