"""Networks against recorded values, sizes they refuse, labels they take."""

import pytest
import torch
from problems import filled, wave

from ddpm_cli.networks.unet import UNet
from ddpm_cli.networks.unet.blocks import (
    Attention,
    SinusoidalEmbedding,
    convnext_block,
    resnet_block,
)

TIMES = torch.tensor([0.0, 500.0, 999.0])


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def assert_golden(output, mean, std, total, first):
    found = torch.stack([output.mean(), output.std(), output.abs().sum(), *output.flatten()[:4]])
    torch.testing.assert_close(
        found, torch.tensor([mean, std, total, *first]), rtol=1e-4, atol=2e-6
    )


def test_the_embedding_is_sines_then_cosines():
    expected = [0.8414710, 0.0463992, 0.0021544, 0.0001000, 0.5403023, 0.9989229, 0.9999977, 1.0]
    torch.testing.assert_close(
        SinusoidalEmbedding(8)(torch.tensor([1.0]))[0], torch.tensor(expected), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize(
    ("block", "golden"),
    [
        (resnet_block, (0.227209, 0.621386, 2908.7069, (1.147792, 1.496055, 1.305459, 0.920519))),
        (convnext_block, (0.002637, 0.285797, 1417.5062, (0.419136, 0.363565, 0.269529, 0.257402))),
    ],
)
def test_blocks_agree_with_recorded_values(block, golden):
    assert_golden(
        filled(block(16, 32, 32))(wave(3, 16, 8, 8), SinusoidalEmbedding(32)(TIMES)), *golden
    )


@pytest.mark.parametrize(
    ("linear", "parameters", "golden"),
    [
        (False, 16_416, (0.001329, 0.071628, 262.7541, (0.065751, 0.066766, 0.070311, 0.075998))),
        (True, 16_864, (0.051308, 1.052151, 3531.0234, (0.963058, 0.963392, 0.964597, 0.966526))),
    ],
)
def test_attentions_agree_with_recorded_values(linear, parameters, golden):
    module = filled(Attention(32, linear=linear))
    assert count(module) == parameters
    assert_golden(module(wave(2, 32, 8, 8)), *golden)


def test_linear_attention_is_the_same_in_either_layout_and_keeps_it():
    module, x = filled(Attention(32, linear=True)), wave(2, 32, 4, 6)
    last = module(x.contiguous(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert module(x).is_contiguous()
    torch.testing.assert_close(last, module(x))


@pytest.mark.parametrize(
    ("block", "dim", "parameters", "golden"),
    [
        (
            "resnet",
            32,
            2_183_283,
            (0.824267, 1.412623, 13589.1918, (1.219275, 1.127133, 1.291495, 1.103471)),
        ),
        (
            "convnext",
            32,
            3_874_391,
            (0.508899, 0.185345, 4690.0098, (0.632666, 0.641304, 0.687331, 0.640696)),
        ),
        (
            "resnet",
            128,
            32_009_619,
            (0.377129, 2.455335, 18643.3842, (3.507791, 3.514628, 3.533407, 3.536701)),
        ),
    ],
)
@torch.no_grad()
def test_unets_agree_with_recorded_values(block, dim, parameters, golden):
    network = filled(UNet(3, 3, dim=dim, dim_mults=(1, 2, 4), block=block))
    assert count(network) == parameters
    assert_golden(network(wave(3, 3, 32, 32), TIMES), *golden)


def test_the_convnext_unet_of_the_tutorial_has_its_parameters():
    assert count(UNet(3, 3, dim=32, dim_mults=(1, 2, 4, 8), block="convnext")) == 14_733_783


@pytest.mark.parametrize("block", ["resnet", "convnext"])
def test_the_time_and_every_parameter_matter(block):
    network = UNet(1, 1, dim=8, dim_mults=(1, 2), block=block)
    network(wave(2, 1, 8, 8), TIMES[:2]).square().sum().backward()
    unused = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert unused == []
    assert not torch.allclose(
        network(wave(1, 1, 8, 8), TIMES[:1]), network(wave(1, 1, 8, 8), TIMES[2:])
    )


def test_images_need_not_be_square():
    assert UNet(1, 2, dim=8, dim_mults=(1, 2))(wave(2, 1, 8, 12), TIMES[:2]).shape == (2, 2, 8, 12)


def test_a_label_of_minus_one_is_no_label():
    network = UNet(1, 1, 10, dim=8, dim_mults=(1, 2))
    without, none, seven = (
        network(wave(1, 1, 8, 8), TIMES[:1], label)
        for label in (None, torch.tensor([-1]), torch.tensor([7]))
    )
    assert torch.equal(without, none)
    assert not torch.allclose(none, seven)


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (30, "but one is 30; the nearest that work: 28 and 32"),
        (3, "multiples of 4 for 3 dim_mults, but one is 3; the nearest that work: 4"),
    ],
)
def test_sizes_that_cannot_be_halved_are_refused_with_the_nearest_that_can(size, told):
    with pytest.raises(ValueError, match=told):
        UNet(1, 1, dim=8, dim_mults=(1, 2, 4))(wave(1, 1, size, 32), TIMES[:1])


@pytest.mark.parametrize(
    ("options", "told"),
    [({"dim": 12}, "multiples of 8, but one is 12"), ({"dim": 7}, "dim must be even")],
)
def test_widths_that_cannot_be_built_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        UNet(1, 1, dim_mults=(1, 2), **options)


@pytest.mark.slow
@torch.no_grad()
def test_an_exported_program_takes_any_batch():
    network, batch = UNet(1, 1, dim=8, dim_mults=[1, 2]).eval(), torch.export.Dim("batch", max=64)
    example = torch.zeros(2, 1, 8, 8), torch.zeros(2)
    dynamic = ({0: batch}, {0: batch})
    program = torch.export.export(network, example, dynamic_shapes=dynamic).module()
    images = torch.linspace(-1, 1, 5 * 64).view(5, 1, 8, 8), torch.full((5,), 7.0)
    torch.testing.assert_close(program(*images), network(*images))


def test_an_image_alone_has_the_output_that_it_has_among_others():
    network = UNet(1, 1, dim=8, dim_mults=(1, 2)).to(memory_format=torch.channels_last)
    images = torch.randn(2, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    alone = network(images[:1], torch.ones(1))
    torch.testing.assert_close(alone, network(images, torch.ones(2))[:1])
