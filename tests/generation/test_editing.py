"""Editing: known pixels stay exactly, SDEdit starts from the image, ways have both their ends."""

import pytest
import torch
from problems import gaussian_oracle
from sampling_problem import LINEAR, normals, seeded

from ddpm_cli.generation.editing import Inpainting, interpolate_noise, invert_image, slerp
from ddpm_cli.generation.generator import Noises, count_nfe, start_from_image
from ddpm_cli.guiders import cfg, with_and_without_label
from ddpm_cli.samplers import Grid, ancestral, ddim, dpmpp_2m, heun, unipc

TIMES = Grid(steps=5, spacing="trailing").times(LINEAR)
MASK = (torch.arange(4) > 1).expand(4, 4)[None, None]


@pytest.mark.parametrize("sampler", [ancestral, ddim, dpmpp_2m, unipc, heun])
def test_inpainting_keeps_what_is_known(sampler):
    known = normals(1).clamp(-1, 1)
    *_, x = Inpainting(sampler, known, MASK, 2)(
        gaussian_oracle(LINEAR), LINEAR, normals(3), TIMES, seeded()
    )
    assert torch.equal(x.where(~MASK, 0), known.expand(3, -1, -1, -1).where(~MASK, 0))
    assert not torch.equal(x[0], x[1])


@pytest.mark.parametrize(("resample", "cost"), [(1, 5), (3, 13)])
def test_inpainting_takes_every_step_but_the_last_as_often_as_asked(resample, cost):
    painting = Inpainting(ddim, normals(1), MASK, resample)
    assert count_nfe(lambda denoise: denoise, LINEAR, painting, TIMES, normals(1)) == cost


@pytest.mark.parametrize(("sampler", "cost"), [(ddim, 5), (unipc, 5), (heun, 9)])
def test_evaluations_are_counted(sampler, cost):
    assert count_nfe(lambda denoise: denoise, LINEAR, sampler, TIMES, normals(1)) == cost
    label = torch.tensor([1])
    assert (
        count_nfe(
            lambda denoise: cfg(with_and_without_label(denoise, label), 2.0, LINEAR),
            LINEAR,
            sampler,
            TIMES,
            normals(1),
        )
        == 2 * cost
    )


@pytest.mark.parametrize(("strength", "steps"), [(0.0, 0), (0.5, 2), (1.0, 5)])
def test_strength_is_the_share_of_the_steps(strength, steps):
    assert (
        list(start_from_image(LINEAR, TIMES, normals(1), normals(1), strength)[1])
        == TIMES[5 - steps :]
    )


def test_no_strength_leaves_the_image_and_all_of_it_the_noise():
    picture, noise = normals(2)[:1], normals(2)[1:]
    assert torch.equal(start_from_image(LINEAR, TIMES, picture, noise, 0.0)[0], picture)
    assert torch.equal(start_from_image(LINEAR, TIMES, picture, noise, 1.0)[0], noise)
    x, times = start_from_image(LINEAR, TIMES, picture, noise, 0.4)
    torch.testing.assert_close(x, LINEAR.add_noise(picture, noise, times[0]))


def test_a_way_has_both_its_ends_and_keeps_the_length_of_noise():
    one, other = normals(2)[:1], normals(2)[1:]
    assert torch.equal(slerp(one, other, torch.tensor([0.0])), one)
    assert torch.equal(slerp(one, other, torch.tensor([1.0])), other)
    other = other / other.norm() * one.norm()
    torch.testing.assert_close(slerp(one, other, torch.tensor([0.3])).norm(), one.norm())


def test_a_way_between_parallel_noise_is_straight():
    one = normals(1)
    torch.testing.assert_close(slerp(one, 2 * one, torch.tensor([0.5])), 1.5 * one)


def test_the_noise_of_steps_lies_on_the_way_too():
    ends = [
        Noises(normals(1), lambda like, sign=sign: sign * torch.eye(4)[None, None])
        for sign in (1, -1)
    ]
    assert torch.equal(
        interpolate_noise(*ends, torch.tensor([0.0])).steps(normals(1)), torch.eye(4)[None, None]
    )


def test_an_image_comes_back_from_its_noise():
    picture, times = normals(1).clamp(-1, 1), Grid(steps=200, spacing="even").times(LINEAR)[:-1]
    *_, noise = invert_image(gaussian_oracle(LINEAR), LINEAR, picture)
    *_, back = ddim(gaussian_oracle(LINEAR), LINEAR, noise, times, torch.zeros_like)
    assert (back - picture).norm() / picture.norm() < 1e-2
