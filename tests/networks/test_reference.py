"""The reference UNet against recorded values and counts of public codes, and what it refuses."""

import pytest
import torch
from problems import wave
from reference_rule import by_rule, sines

from ddpm_cli.networks.reference import ReferenceUNet
from ddpm_cli.networks.unet import UNet

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


@pytest.mark.parametrize(
    ("attention_at", "attended"),
    [([], [False, False]), ([8], [True, False]), ([5, 3], [False, True]), ([8, 4], [True, True])],
)
@pytest.mark.parametrize("network", [ReferenceUNet, UNet])
def test_maps_of_the_sides_that_are_named_have_full_attention(network, attention_at, attended):
    options = {"dim": 8, "dim_mults": (1, 2), "groups": 8, "attention_at": attention_at}
    built = network(1, 1, 0, (8, 10), **options)
    attends = {
        ReferenceUNet: lambda level: level.layers[0].attention is not None,
        UNet: lambda stage: not stage.attend.attention.linear,
    }[network]
    assert list(map(attends, built.down)) == attended
    assert built(wave(1, 1, 8, 10), TIMES[:1]).shape == (1, 1, 8, 10)


@torch.no_grad()
def test_at_the_start_it_returns_zero_and_its_residual_parts_return_their_input():
    network = ReferenceUNet(3, 3, 0, (16, 16), **SMALL, initial="xavier")
    assert not network(sines(1, 3, 16, 16), TIMES[:1]).any()
    block, attention, _ = network.middle
    x = wave(1, 64, 4, 4)
    assert torch.equal(attention(x), x)
    assert torch.equal(block(x, torch.ones(1, 128)), x)
    fans = 64 * 9 + 64 * 9
    assert block.first.weight.abs().max() == pytest.approx((6 / fans) ** 0.5, rel=0.01)
    assert attention.qkv.weight.abs().max() == pytest.approx((6 / 128) ** 0.5, rel=0.01)
    assert not block.first.bias.any()


def test_without_a_row_for_no_label_the_embedding_has_a_row_for_each_class():
    rows = [
        ReferenceUNet(1, 1, 5, (8, 8), dim=32, dim_mults=(1,), null_label=each).embed.label.weight
        for each in (True, False)
    ]
    assert [len(each) for each in rows] == [6, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 48}, r"widths .* must be multiples of groups, but they are \[48, 96\]"),
        ({"dim_mults": (1, 0.3)}, r"but they are \[32, 9\] and groups is 32"),
        ({"dim": 7}, "dim must be even and at least 4"),
        ({"blocks": 0}, "blocks must be between 1 and 64, but is 0"),
        ({"freq_shift": 16.0}, "freq_shift must be below dim / 2 = 16, but is 16"),
        ({"heads": 3}, r"maps with attention \(64\) must be a multiple of heads=3"),
        ({"heads": 0}, "heads must be at least 1, but is 0"),
        ({"head_dim": 24}, r"\(64\) must be a multiple of head_dim=24"),
        ({"dropout": 1.5}, "dropout"),
        ({"sides": ()}, r"attention_at=\[8\] needs the sides of the images"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ReferenceUNet(3, 3, 0, **{"sides": (16, 16), **SMALL, **options})


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="multiples of 2 for 2 dim_mults, but one is 15"):
        ReferenceUNet(3, 3, 0, (16, 16), **SMALL)(sines(1, 3, 15, 16), TIMES[:1])
