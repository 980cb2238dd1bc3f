"""Images by index: neither their noise nor they know of the others in their batch."""

import pytest
import torch

from ddpm_cli import schedules
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.generation.generator import Generator, Noises
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.networks.reference import ReferenceUNet
from ddpm_cli.networks.unet import UNet
from ddpm_cli.samplers import Grid, ancestral
from ddpm_cli.seeds import Purpose, keyed_normal

SHAPE = (1, 8, 8)


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return Denoiser(
        GaussianDiffusion.from_betas(schedules.cosine()), UNet(1, 1, dim=8, dim_mults=(1, 2)).eval()
    )


def generator(denoiser, steps):
    times = Grid(steps=steps, spacing="trailing").times(denoiser.diffusion)
    return Generator(denoiser, GenerationOptions(seed=3), ancestral, times, SHAPE)


def drawn(denoiser, batch, count=16):
    chunks = [range(first, min(first + batch, count)) for first in range(0, count, batch)]
    with torch.no_grad():
        runs = [list(generator(denoiser, steps=5).trajectory(chunk)) for chunk in chunks]
    return torch.cat([run[0] for run in runs]), torch.cat([run[-1] for run in runs])


@pytest.mark.parametrize("batch", [1, 7])
def test_noise_is_the_same_bit_for_bit_in_any_batch_and_so_are_images_but_for_rounding(
    denoiser, batch
):
    (noise, images), (whole_noise, whole_images) = drawn(denoiser, batch), drawn(denoiser, 16)
    assert torch.equal(noise, whole_noise)
    torch.testing.assert_close(images, whole_images, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 7])
def test_the_noise_of_the_steps_is_the_same_bit_for_bit_in_any_batch(monkeypatch, denoiser, batch):
    drawn_noise = {1: [], 7: [], 16: []}
    for size in (batch, 16):
        kept = drawn_noise[size]
        monkeypatch.setattr(
            "ddpm_cli.generation.generator.keyed_normal",
            lambda like, *key, kept=kept: kept.append(keyed_normal(like, *key)) or kept[-1],
        )
        drawn(denoiser, size)
    steps = 5  # x_T included
    one = torch.cat(
        [
            torch.stack(drawn_noise[batch][i : i + steps], 1)
            for i in range(0, len(drawn_noise[batch]), steps)
        ]
    )
    assert torch.equal(one, torch.stack(drawn_noise[16], 1))


def test_an_image_of_a_label_is_the_same_in_any_batch():
    torch.manual_seed(0)
    network = UNet(1, 1, 3, dim=8, dim_mults=(1, 2)).eval()
    conditional = Denoiser(
        GaussianDiffusion.from_betas(schedules.cosine()), network, conditional=True
    )

    @torch.no_grad()
    def images(indices, labels):
        *_, last = generator(conditional, steps=3).trajectory(indices, torch.tensor(labels))
        return last

    whole = images(range(9), [0, 1, 2, -1, 0, 1, 2, -1, 0])
    torch.testing.assert_close(images([1, 2], [1, 2]), whole[1:3], rtol=0, atol=1e-4)
    assert (images([1, 2], [2, -1]) - whole[1:3]).abs().amax((1, 2, 3)).min() > 1e-3


def test_images_differ_by_index_and_seed():
    def start(seed, *indices):
        return Noises.keyed(SHAPE, seed, indices, torch.device("cpu")).start

    assert not torch.equal(start(0, 0), start(0, 1))
    assert not torch.equal(start(0, 0), start(1, 0))
    assert torch.equal(start(0, 5, 9)[1:], start(0, 9))


def test_each_draw_of_an_image_is_another_step():
    noises, like = Noises.keyed(SHAPE, 5, [8, 3], torch.device("cpu")), torch.zeros(2, *SHAPE)
    draws = [noises.steps(like) for _ in range(3)]
    assert torch.equal(noises.start, keyed_normal(like, 5, Purpose.SAMPLE_START, 0, [8, 3]))
    for step, drawn in enumerate(draws):
        assert torch.equal(drawn, keyed_normal(like, 5, Purpose.SAMPLE_STEPS, step, [8, 3]))
    assert torch.equal(draws[1][1:], keyed_normal(like[:1], 5, Purpose.SAMPLE_STEPS, 1, [3]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "all", "guidance": 2.0}, "guidance must be 1, but is 2: this network knows no"),
        ({}, "label must be all or a class: this network knows no image without a label"),
    ],
)
def test_nothing_is_drawn_without_a_label_that_the_network_does_not_know(
    composed, options, message
):
    network = ReferenceUNet(1, 1, 2, (8, 8), dim=8, dim_mults=(1,), groups=4, null_label=False)
    diffusion = GaussianDiffusion.from_betas(schedules.cosine())
    args = Denoiser(diffusion, network, conditional=True), GenerationOptions(**options)
    with pytest.raises(ValueError, match=message):
        Generator.from_config(composed("sample"), *args, (1, 8, 8), ["a", "b"])
