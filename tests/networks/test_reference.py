"""The reference UNet against recorded values and counts of public codes, and what it refuses."""

import pytest
import torch
from reference_rule import by_rule, sines

from ddpm_cli.networks.reference import ReferenceUNet

TIMES = torch.tensor([0.0, 999.0])
SMALL = {"dim": 32, "dim_mults": (1, 2), "attention_at": [8]}
BLOCKS = {"time": "scale_shift", "resample": "block"}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def summary(output):
    return [output.abs().sum(), *output.flatten()[:3]]


def assert_recorded(output, total, *first, rtol=1e-5):
    found = torch.stack(summary(output)).double()
    torch.testing.assert_close(
        found, torch.tensor([total, *first], dtype=torch.float64), rtol=rtol, atol=1e-5
    )


# The order of the parameters is that of the code of OpenAI: times, labels, then each block with
# its attention and each step to another size, down, middle and up, and the head.


@torch.no_grad()
def test_with_added_times_and_convolutions_it_is_guided_diffusion():
    network = by_rule(ReferenceUNet(3, 3, 0, (16, 16), **SMALL))
    assert count(network) == 1_002_883
    assert_recorded(network(sines(2, 3, 16, 16), TIMES), 159.4605, 0.02186, 0.08961, 0.01606)


@torch.no_grad()
def test_with_scales_shifts_labels_and_blocks_it_is_guided_diffusion():
    options = {**SMALL, **BLOCKS, "blocks": 1, "head_dim": 16, "qkv": "heads", "null_label": False}
    network = by_rule(ReferenceUNet(3, 6, 10, (16, 16), **options))
    assert count(network) == 829_638
    output = network(sines(2, 3, 16, 16), TIMES, torch.tensor([3, 7]))
    assert_recorded(output, 184.8141, 0.11451, 0.07507, 0.05308)


IMPROVED = {"dim": 128, "blocks": 3, "attention_at": [16, 8], "heads": 4, "time": "scale_shift"}
OF_64 = {**IMPROVED, "dim_mults": (1, 2, 3, 4)}
OF_256 = {"dim": 256, "dim_mults": (1, 1, 2, 2, 4, 4), "attention_at": [32, 16, 8], **BLOCKS}
COUNTS = [
    (32, 0, 52_546_438, {**IMPROVED, "dim_mults": (1, 2, 2, 2)}),
    (64, 0, 121_063_942, OF_64),
    (64, 1000, 273_049_350, {**OF_64, "dim": 192}),
    (256, 0, 118_798_470, {**OF_256, "dim": 128, "attention_at": [16], "resample": "conv"}),
    (64, 1000, 295_904_454, {**OF_64, **BLOCKS, "dim": 192, "attention_at": [32, 16, 8]}),
    (128, 1000, 421_529_606, {**OF_256, "dim_mults": (1, 1, 2, 3, 4)}),
    (256, 1000, 553_838_086, OF_256),
    (256, 0, 552_814_086, OF_256),
    (512, 1000, 558_997_638, {**OF_256, "dim_mults": (0.5, 1, 1, 2, 2, 4, 4)}),
]


@pytest.mark.parametrize(("side", "classes", "expected", "options"), COUNTS)
def test_public_checkpoints_have_as_many_parameters(side, classes, expected, options):
    with torch.device("meta"):
        network = ReferenceUNet(3, 6, classes, (side, side), **options, null_label=False)
    assert count(network) == expected
