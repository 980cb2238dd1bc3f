"""The transformer: a recorded output of the reference code, sizes and options it refuses."""

import math

import pytest
import torch
from problems import filled, wave

from ddpm_cli.networks.dit import DiT, grid_positions

TIMES = torch.tensor([0.0, 999.0])
SMALL = {"hidden": 48, "depth": 3, "heads": 4, "patch": 4}


def by_rule(network, first):
    """Fill parameter n, from `first` on, with 0.05 cos(k + n)."""
    with torch.no_grad():
        for n, parameter in enumerate(network.parameters(), first):
            places = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.05 * torch.cos(places + n)).view_as(parameter))
    return network


@torch.no_grad()
def test_the_output_is_that_of_the_reference_code():
    network = by_rule(DiT(3, 3, 10, **SMALL), 1)  # parameter 0 of the reference are the positions
    positions = 16 * 48
    assert sum(map(torch.numel, network.parameters())) + positions == 151_968
    x = torch.sin(torch.arange(2 * 3 * 16 * 16, dtype=torch.float64)).view(2, 3, 16, 16).float()
    output = network(x, TIMES, torch.tensor([3, -1]))
    found = torch.stack([output.abs().sum(), *output.flatten()[:3]])
    expected = torch.tensor([163.2404, -0.0248, -0.08807, -0.05421])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)


def test_a_block_returns_its_input_and_the_network_zero_before_training():
    network = DiT(1, 2, hidden=8, depth=1, heads=2, patch=2)
    tokens, steering = wave(2, 4, 8), wave(2, 8)
    assert torch.equal(network.blocks[0](tokens, steering), tokens)
    assert not network(wave(2, 1, 4, 4), TIMES).any()


def test_positions_are_sines_and_cosines_of_the_column_then_of_the_row():
    positions = grid_positions(3, 5, 8, torch.device("cpu")).view(3, 5, 8)

    def place(number):
        angles = number, number / 100
        return [*map(math.sin, angles), *map(math.cos, angles)]

    expected = torch.tensor([*place(4), *place(2)])
    torch.testing.assert_close(positions[2, 4], expected)


def test_patches_keep_their_places_in_images_that_are_not_square():
    network = filled(DiT(1, 1, hidden=8, depth=1, heads=2, patch=2))
    x = wave(1, 1, 4, 8)
    x.requires_grad_()
    network.stem.weight.requires_grad_(requires_grad=False)
    network.blocks = torch.nn.ModuleList()  # no attention: a patch sees itself alone
    network(x, TIMES[:1])[0, 0, 2, 5].backward()
    seen = x.grad[0, 0].nonzero().tolist()
    assert seen == [[2, 4], [2, 5], [3, 4], [3, 5]]


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        ((8, 30), "multiples of patch=4, but one is 30; the nearest that work: 28 and 32"),
        ((3, 8), "multiples of patch=4, but one is 3; the nearest that work: 4"),
    ],
)
def test_sizes_that_the_patch_does_not_divide_are_refused_with_the_nearest_that_it_does(
    sides, told
):
    with pytest.raises(ValueError, match=told):
        DiT(1, 1, **SMALL)(wave(1, 1, *sides), TIMES[:1])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hidden": 50}, "hidden must be a multiple of 4 and of heads=4, but is 50"),
        ({"heads": 5}, "hidden must be a multiple of 4 and of heads=5, but is 48"),
        ({"hidden": 0}, "hidden must be at least 1, but is 0"),
        ({"heads": 0}, "heads must be at least 1, but is 0"),
        ({"patch": -2}, "patch must be at least 1, but is -2"),
        ({"depth": 0}, "depth must be between 1 and 512, but is 0"),
        ({"depth": 10**9}, "depth must be between 1 and 512, but is 1000000000"),
    ],
)
def test_options_that_cannot_be_built_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        DiT(1, 1, **SMALL | options)
