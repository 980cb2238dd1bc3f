"""Differential tests: the samplers against the schedulers of diffusers, on random problems."""

import os
from itertools import pairwise

import pytest
import torch

from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers import ancestral, clip_x0, ddim, dpmpp_2m, heun, threshold_x0, unipc
from ddpm_cli.schedules import linear, sigmoid

os.environ["HF_HUB_OFFLINE"] = "1"
diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCHEDULES = {"linear": linear(), "sigmoid": sigmoid()}
PREDICTS = {"eps": "epsilon", "v": "v_prediction"}
START = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
PROBLEMS = [(schedule, predicts) for schedule in SCHEDULES for predicts in PREDICTS]
problems = pytest.mark.parametrize(("schedule", "predicts"), PROBLEMS)
spacings = pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
GRIDS = {
    "trailing": {"timestep_spacing": "trailing"},
    "linspace": {"timestep_spacing": "linspace"},
    "karras": {"use_karras_sigmas": True},
}
grids = pytest.mark.parametrize("grid", GRIDS)


class Random(torch.nn.Module):
    """A smooth random answer to an image and a noise level, fed by a time of the process."""

    def __init__(self, diffusion):
        super().__init__()
        self.diffusion = diffusion
        self.mix = torch.randn(
            3, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64
        )

    def answer(self, x, alpha_bar):
        return (1 - alpha_bar) ** 0.5 * x + alpha_bar**0.5 * torch.tanh(
            torch.einsum("ij,bjhw->bihw", self.mix, x) + 2 * alpha_bar
        )

    def forward(self, x, t, label=None):
        return self.answer(x, float(self.diffusion.alpha_bar_at(t[0].double() + 1)))


@pytest.fixture
def parts(schedule, predicts):
    """(the process, its denoiser of the random network, the options of a scheduler of the same)."""
    diffusion = GaussianDiffusion.from_betas(SCHEDULES[schedule])
    options = {"trained_betas": SCHEDULES[schedule].tolist(), "prediction_type": PREDICTS[predicts]}
    return diffusion, Denoiser(diffusion, Random(diffusion), predicts=predicts), options


def drawn(kind, answer, steps, options, start=START, **of_step):
    """The sample that a scheduler of diffusers makes."""
    scheduler = kind(**options)
    scheduler.set_timesteps(steps)
    x = start * scheduler.init_noise_sigma if "Heun" in kind.__name__ else start
    for place, t in enumerate(scheduler.timesteps):
        x = scheduler.step(answer(scheduler, x, place, t), t, x, **of_step).prev_sample
    return x


def by_level(network):
    """The network's answer at a scheduler's noise level; the scheduler rounds its time."""

    def answer(scheduler, x, place, t):
        level = float(scheduler.sigmas[place])
        scaled = (
            x / (level**2 + 1) ** 0.5
            if isinstance(scheduler, diffusers.HeunDiscreteScheduler)
            else x
        )
        return network.answer(scaled, 1 / (level**2 + 1))

    return answer


def levels(kind, steps, options, diffusion):
    """The scheduler's grid as times of the process."""
    scheduler = kind(**options)
    scheduler.set_timesteps(steps)
    return times_of(scheduler.sigmas, diffusion)


def times_of(sigmas, diffusion):
    """Times of noise levels: strictly decreasing, to 0 where they end in 0."""
    inner = diffusion.time_of(-2 * sigmas[sigmas > 0].double().log()).tolist()
    return [*dict.fromkeys(inner), *[0.0] * bool(sigmas[-1] == 0)]


def assert_close(found, expected):
    assert (found - expected).abs().max() < 1e-4


@problems
@spacings
@pytest.mark.parametrize("clip", [True, False])
def test_ancestral_is_the_scheduler_ddpm(parts, spacing, clip):
    diffusion, denoiser, options = parts
    options |= {"timestep_spacing": spacing, "clip_sample": clip, "variance_type": "fixed_small"}
    scheduler = diffusers.DDPMScheduler(**options)
    scheduler.set_timesteps(20)
    times = [*(scheduler.timesteps + 1).tolist(), 0]
    for t, s in pairwise(times):
        noise, generator = torch.Generator().manual_seed(t), torch.Generator().manual_seed(t)
        drawn = lambda like, noise=noise: torch.randn(like.shape, generator=noise, dtype=like.dtype)  # noqa: E731
        (x,) = ancestral(clip_x0(denoiser) if clip else denoiser, diffusion, START, [t, s], drawn)
        output = denoiser.network.answer(START, float(scheduler.alphas_cumprod[t - 1]))
        assert_close(x, scheduler.step(output, t - 1, START, generator=generator).prev_sample)


@problems
@spacings
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("clip", [True, False])
def test_ddim_is_the_scheduler_ddim(parts, spacing, eta, clip):
    diffusion, denoiser, options = parts
    options |= {"timestep_spacing": spacing, "clip_sample": clip}
    scheduler = diffusers.DDIMScheduler(**options)
    scheduler.set_timesteps(20)
    denoise = clip_x0(denoiser) if clip else denoiser
    for t in (scheduler.timesteps + 1).tolist():
        s, noise = (
            max(0, t - 50),
            torch.randn(START.shape, generator=torch.Generator().manual_seed(t), dtype=START.dtype),
        )
        (x,) = ddim(denoise, diffusion, START, [t, s], lambda like, noise=noise: noise, eta=eta)
        output = denoiser.network.answer(START, float(scheduler.alphas_cumprod[t - 1]))
        assert_close(
            x,
            scheduler.step(
                output, t - 1, START, eta=eta, use_clipped_model_output=True, variance_noise=noise
            ).prev_sample,
        )


@problems
@grids
@pytest.mark.parametrize("steps", [6, 20])
def test_dpmpp_2m_is_the_scheduler_dpm_solver_multistep(parts, grid, steps):
    diffusion, denoiser, options = parts
    kind, options = (
        diffusers.DPMSolverMultistepScheduler,
        options | GRIDS[grid] | {"lower_order_final": True},
    )
    *_, x = dpmpp_2m(
        denoiser, diffusion, START, levels(kind, steps, options, diffusion), torch.zeros_like
    )
    assert_close(x, drawn(kind, by_level(denoiser.network), steps, options))


@problems
def test_dpmpp_2m_to_the_first_noise_level_without_a_last_step_of_first_order(parts):
    diffusion, denoiser, options = parts
    kind, options = (
        diffusers.DPMSolverMultistepScheduler,
        options | {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
    )
    options["timestep_spacing"] = "trailing"
    *_, x = dpmpp_2m(
        denoiser,
        diffusion,
        START,
        levels(kind, 20, options, diffusion),
        torch.zeros_like,
        lower_order_final=False,
    )
    assert_close(x, drawn(kind, by_level(denoiser.network), 20, options))


@problems
@grids
def test_dpmpp_2m_with_eta_one_is_the_scheduler_of_the_stochastic_equation(parts, grid):
    diffusion, denoiser, options = parts
    kind, options = (
        diffusers.DPMSolverMultistepScheduler,
        options | GRIDS[grid] | {"algorithm_type": "sde-dpmsolver++"},
    )
    noise = torch.randn(START.shape, generator=torch.Generator().manual_seed(7), dtype=START.dtype)
    *_, x = dpmpp_2m(
        denoiser,
        diffusion,
        START,
        levels(kind, 20, options, diffusion),
        lambda like: noise,
        eta=1.0,
    )
    assert_close(x, drawn(kind, by_level(denoiser.network), 20, options, variance_noise=noise))


@problems
@grids
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("steps", [6, 20])
def test_unipc_is_the_scheduler_unipc_multistep(parts, grid, order, steps):
    diffusion, denoiser, options = parts
    kind = diffusers.UniPCMultistepScheduler
    options |= GRIDS[grid] | {
        "solver_order": order,
        "solver_type": "bh2",
        "final_sigmas_type": "zero",
    }
    *_, x = unipc(
        denoiser,
        diffusion,
        START,
        levels(kind, steps, options, diffusion),
        torch.zeros_like,
        order=order,
    )
    assert_close(x, drawn(kind, by_level(denoiser.network), steps, options))


@problems
@grids
def test_heun_is_the_scheduler_heun(parts, grid):
    diffusion, denoiser, options = parts
    kind, options = diffusers.HeunDiscreteScheduler, options | GRIDS[grid]
    scheduler = kind(**options)
    scheduler.set_timesteps(20)
    times = times_of(scheduler.sigmas, diffusion)
    start = torch.randn(
        START.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64
    )
    *_, x = heun(denoiser, diffusion, start, times, torch.zeros_like)
    scaled = start / (diffusion.alpha_bar_at(times[0]).sqrt() * scheduler.init_noise_sigma)
    assert_close(x, drawn(kind, by_level(denoiser.network), 20, options, scaled))


def test_dynamic_thresholding_is_that_of_the_scheduler_ddpm():
    x0 = 3 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(9))
    scheduler = diffusers.DDPMScheduler(
        thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1000.0
    )
    found = threshold_x0(lambda x, t: Estimate(x, x0, 0.0), quantile=0.9)(x0, 5).x0
    assert_close(found, scheduler._threshold_sample(x0))
