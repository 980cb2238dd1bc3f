"""Guiders: identities, the guiders of diffusers on the same predictions, and their memory."""

import diffusers.guiders as others
import pytest
import torch
from sampling_problem import LINEAR, normals, seeded

from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.guiders import (
    ModelPair,
    apg,
    autoguidance,
    beside_guide,
    cfg,
    cfg_zero,
    interval,
    limited_to,
    with_and_without_label,
    within_interval,
)
from ddpm_cli.networks.unet import UNet
from ddpm_cli.samplers import ancestral, clip_x0, ddim

LABELS = torch.tensor([0, 3])
GUIDERS = [cfg, autoguidance, apg, cfg_zero, interval]
STRONG, WEAK = normals(6).view(2, 3, 1, 4, 4)
X_T = 2 * normals(9)[6:]


def constant(x0, output=None):
    """A denoiser that is sure of its images."""
    return lambda x_t, t, label=None: Estimate(x_t if output is None else output, x0, 0.0)


def pair(strong=STRONG, weak=WEAK):
    return beside_guide(constant(strong), constant(weak))


@pytest.fixture
def conditional():
    """A denoiser of a small network with four classes."""
    torch.manual_seed(0)
    return Denoiser(LINEAR, UNet(3, 3, 4, dim=8, dim_mults=[1, 2]).eval(), conditional=True)


@pytest.mark.parametrize(("scale", "label"), [(1.0, LABELS), (0.0, None)])
def test_guidance_one_is_the_conditional_model_and_zero_the_unconditional_one(
    conditional, scale, label
):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    guided = cfg(with_and_without_label(conditional, LABELS), scale, LINEAR)(x, 500)
    expected = conditional(x, 500, label)
    torch.testing.assert_close(guided.output, expected.output, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(guided.x0, expected.x0, rtol=1e-5, atol=1e-5)


def test_guidance_goes_on_from_the_unconditional_model_through_the_conditional_one(conditional):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    labelled, without = conditional(x, 500, LABELS).x0, conditional(x, 500).x0
    far = cfg(with_and_without_label(conditional, LABELS), 3.0, LINEAR)(x, 500).x0
    assert (labelled - without).abs().max() > 1e-4
    torch.testing.assert_close(far, without + 3 * (labelled - without), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("guider", [cfg, autoguidance, apg, cfg_zero])
def test_a_guided_variance_is_the_conditional_one(guider):
    def denoise(x, t, label):
        return Estimate(x, x, label.view(-1, 1, 1, 1) / 4 + 0 * x)

    models = with_and_without_label(denoise, LABELS)
    guided = guider(models, 2.0, LINEAR)(normals(2), 5)
    assert guided.variance_interpolation[:, 0, 0, 0].tolist() == [0, 0.75]


@pytest.mark.parametrize("sampler", [ancestral, ddim])
@pytest.mark.parametrize("guider", GUIDERS)
def test_guided_and_clipped_denoisers_sample(conditional, guider, sampler):
    models = with_and_without_label(clip_x0(conditional), LABELS)
    denoise = guider(models, 2.0, LINEAR)
    *_, images = sampler(denoise, LINEAR, torch.zeros(2, 3, 8, 8), [1000, 500, 0], seeded())
    assert images.isfinite().all()


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
def test_autoguidance_leads_away_from_the_guide(scale, expected):
    three, one = torch.full_like(X_T, 3.0), torch.ones_like(X_T)
    guided = autoguidance(pair(three, one), scale, LINEAR)(X_T, 500)
    assert guided.x0.unique().item() == pytest.approx(expected)


@pytest.mark.parametrize(("t", "expected"), [(1, 0.0), (300, 1.0), (1000, 0.0)])
def test_guidance_acts_at_the_noise_levels_of_its_interval(t, expected):
    inside, outside = constant(torch.ones_like(X_T)), constant(torch.zeros_like(X_T))
    guided = within_interval(LINEAR, [0.2, 2.0], inside, outside)(X_T, t)
    assert guided.x0.unique().item() == expected


@pytest.mark.parametrize("t", [1, 300, 1000])
def test_the_guider_of_an_interval_is_cfg_so_limited(t):
    one = interval(pair(), 2.0, LINEAR, low=0.2, high=2.0)(X_T, t)
    assert torch.equal(one.x0, limited_to(cfg, [0.2, 2.0])(pair(), 2.0, LINEAR)(X_T, t).x0)


def test_outside_its_interval_a_guider_asks_the_model_alone():
    asked = []
    models = ModelPair(lambda x_t, t: asked.append("strong"), constant(WEAK), constant(WEAK))
    limited_to(apg, [0.2, 2.0])(models, 2.0, LINEAR)(X_T, 1)
    assert asked == ["strong"]


@pytest.mark.parametrize("scale", [0.5, 2.0, 7.0])
@pytest.mark.parametrize(
    ("guider", "reference"),
    [
        (cfg, others.ClassifierFreeGuidance()),
        (autoguidance, others.AutoGuidance(dropout=0.1, auto_guidance_layers=["blocks.0"])),
    ],
    ids=["cfg", "autoguidance"],
)
def test_lines_through_two_estimates_are_those_of_diffusers(guider, reference, scale):
    reference.guidance_scale = scale
    expected = reference.forward(STRONG, WEAK).pred
    torch.testing.assert_close(guider(pair(), scale, LINEAR)(X_T, 500).x0, expected)


@pytest.mark.parametrize("limit", [None, 0.25, 10.0])
@pytest.mark.parametrize(("eta", "momentum"), [(0.0, -0.5), (1.0, 0.0), (0.3, 0.6)])
def test_projected_guidance_is_that_of_diffusers(eta, momentum, limit):
    reference = others.AdaptiveProjectedGuidance(
        guidance_scale=3.0,  # of the update, in the formulation of the paper
        adaptive_projected_guidance_momentum=momentum,
        adaptive_projected_guidance_rescale=0.0 if limit is None else limit * 4.0,
        eta=eta,
        use_original_formulation=True,
    )
    reference.set_state(step=0, num_inference_steps=3, timestep=torch.tensor(500))
    reference.prepare_inputs({"x": (X_T, X_T)})
    denoise = apg(pair(), 4.0, LINEAR, eta=eta, momentum=momentum, limit=limit)
    for _ in range(3):
        expected = reference.forward(STRONG, WEAK).pred
        torch.testing.assert_close(denoise(X_T, 500).x0, expected)


@pytest.mark.parametrize("scale", [1.0, 2.0, 7.0])
def test_the_fitted_velocity_is_that_of_diffusers(scale):
    alpha, sigma = LINEAR.scales(500, X_T)
    velocities = [LINEAR.noise_in(X_T, x0, 500) - x0 for x0 in (STRONG, WEAK)]
    reference = others.ClassifierFreeZeroStarGuidance(guidance_scale=scale, zero_init_steps=0)
    reference.set_state(step=0, num_inference_steps=3, timestep=torch.tensor(500))
    expected = (X_T - sigma * reference.forward(*velocities).pred) / (alpha + sigma)
    guided = cfg_zero(pair(), scale, LINEAR)(X_T, 500).x0  # theirs fits in float32
    torch.testing.assert_close(guided, expected, rtol=1e-5, atol=1e-5)


def test_a_zero_velocity_keeps_the_state_of_the_straight_path():
    denoise = cfg_zero(pair(), 2.0, LINEAR, zero_init=0.5)
    *_, x = ddim(denoise, LINEAR, X_T, [1000, 600], seeded())
    before, after = (sum(LINEAR.scales(t, X_T)) for t in (1000, 600))
    torch.testing.assert_close(x / after, X_T / before)


@pytest.mark.parametrize("guider", GUIDERS)
def test_a_guider_forgets_a_trajectory_and_keeps_images_apart(guider):
    def ended(places):
        models = pair(STRONG[places], WEAK[places])
        *_, images = ddim(guider(models, 3.0, LINEAR), LINEAR, X_T[places], [900, 300, 1], seeded())
        return images

    whole = ended([0, 1, 2])
    torch.testing.assert_close(torch.cat([ended([0]), ended([1, 2])]), whole)
    assert torch.equal(ended([0, 1, 2]), whole)


def test_the_part_along_the_estimate_goes_and_the_rest_stays():
    across = torch.zeros_like(STRONG)
    across[:, :, 0, 0], across[:, :, 0, 1] = STRONG[:, :, 0, 1], -STRONG[:, :, 0, 0]
    models = pair(weak=STRONG - 0.4 * STRONG - across)
    guided = apg(models, 3.0, LINEAR, limit=None)(X_T, 500)
    torch.testing.assert_close(guided.x0, STRONG + 2 * across)


@pytest.mark.parametrize(
    ("guider", "options", "message"),
    [
        (interval, {"low": 2.0, "high": 1.0}, "guider must have 0 <= low < high, but they are 2 "),
        (apg, {"momentum": -1.0}, "guider.momentum must be between -1 and 1, but is -1"),
        (apg, {"limit": 0.0}, "guider.limit must be above 0, or null, but is 0"),
        (cfg_zero, {"zero_init": 1.0}, "guider.zero_init must be at least 0 and below 1, but is 1"),
    ],
)
def test_options_of_guiders_have_limits(guider, options, message):
    with pytest.raises(ValueError, match=message):
        guider(pair(), 2.0, LINEAR, **options)
