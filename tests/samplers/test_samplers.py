"""Samplers: closed-form oracles, public codes' numbers, and what they have in common."""

import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import Answer, Dummy, constant_oracle, dummy_images, gaussian_oracle
from sampling_problem import COSINE, FEW, LINEAR, TIMES, image, normals, seeded, silent

from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers import Grid, ancestral, clip_x0, ddim, final_state
from ddpm_cli.schedules import cosine

SPACINGS = pytest.mark.parametrize("spacing", ["even", "leading", "trailing"])
SAMPLERS = pytest.mark.parametrize("sampler", [ancestral, ddim], ids=lambda each: each.__name__)
DUMMY = clip_x0(Denoiser(LINEAR, Dummy()))


def test_ancestral_sampling_of_the_dummy_problem_agrees_with_public_codes():
    *_, images = ancestral(
        DUMMY, LINEAR, dummy_images(), Grid(steps="all", spacing="even").times(LINEAR), seeded()
    )
    assert images.abs().sum().item() == pytest.approx(258.9606, abs=1e-2)
    assert images.abs().mean().item() == pytest.approx(0.3372, abs=1e-3)


def test_ddim_of_the_dummy_problem_agrees_with_public_codes():
    *_, images = ddim(
        DUMMY, LINEAR, dummy_images(), Grid(steps=10, spacing="leading").times(LINEAR), silent
    )
    assert images.abs().sum().item() == pytest.approx(172.0067, abs=1e-2)
    assert images.abs().mean().item() == pytest.approx(0.223967, abs=1e-5)


@pytest.mark.parametrize(
    ("steps", "error"), [(10, 0.1821), (20, 0.09659), (40, 0.04975), (80, 0.02525), (160, 0.01272)]
)
def test_ddim_follows_the_closed_form_flow_with_order_one(steps, error):
    first, last = LINEAR.log_snr(torch.tensor([1000, 1]))
    times = LINEAR.time_of(torch.linspace(first, last, steps + 1, dtype=torch.float64)).tolist()
    *_, x = ddim(gaussian_oracle(LINEAR), LINEAR, image(1.7), times, silent)
    assert abs(x.item() - 1.1491722764276774) == pytest.approx(error, rel=1e-3)


@given(TIMES, st.integers(0, 99))
@FEW
def test_ddim_with_eta_one_is_ancestral(times, seed):
    stochastic = list(
        ddim(gaussian_oracle(LINEAR), LINEAR, normals(2), times, seeded(seed), eta=1.0)
    )
    reverse = list(ancestral(gaussian_oracle(LINEAR), LINEAR, normals(2), times, seeded(seed)))
    torch.testing.assert_close(torch.stack(stochastic), torch.stack(reverse), rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"eta": 1.0}], ids=["ddim", "eta 1"])
@given(TIMES, st.floats(-1, 1))
@FEW
def test_ddim_returns_a_constant_exactly(options, times, value):
    *_, x = ddim(constant_oracle(image(value)), LINEAR, normals(2), times, seeded(), **options)
    torch.testing.assert_close(x, image(value).expand_as(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("draws", [1, 10])
@given(TIMES, st.floats(-1, 1))
@FEW
def test_ancestral_returns_a_constant_exactly(draws, times, value):
    *_, x = ancestral(
        constant_oracle(image(value)), LINEAR, normals(2), times, seeded(), draws=draws
    )
    torch.testing.assert_close(x, image(value).expand_as(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("sampler", "options"),
    [(ancestral, {}), (ddim, {}), (ddim, {"eta": 0.5})],
    ids=["ancestral", "ddim", "eta .5"],
)
def test_samples_are_distributed_as_the_data(sampler, options):
    x, times = (
        torch.randn(4000, 1, 1, 1, generator=torch.Generator().manual_seed(0)),
        Grid(steps=250, spacing="even").times(COSINE),
    )
    *_, x = sampler(gaussian_oracle(COSINE), COSINE, x, times, seeded(1), **options)
    assert x.mean().item() == pytest.approx(0.3, abs=0.03)
    assert x.std().item() == pytest.approx(0.5, abs=0.03)


@SAMPLERS
def test_a_list_of_a_sampler_is_a_film_and_its_last_frame_the_sample(sampler):
    times, start = [1000, 600, 250.5, 1, 0], normals(2)
    film = list(sampler(gaussian_oracle(LINEAR), LINEAR, start, times, seeded()))
    *_, images = sampler(gaussian_oracle(LINEAR), LINEAR, start, times, seeded())
    assert len(film) == 4
    assert torch.equal(film[-1], images)
    assert len({frame.sum().item() for frame in [start, *film]}) == 5


@SAMPLERS
def test_a_sampler_leaves_the_noise_it_starts_from_alone(sampler):
    start = normals(2)
    before = start.clone()
    list(sampler(gaussian_oracle(LINEAR), LINEAR, start, [1000, 500, 0], seeded()))
    assert torch.equal(start, before)


@SAMPLERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sampler_keeps_the_dtype_of_its_start(sampler, dtype):
    *_, images = sampler(
        gaussian_oracle(LINEAR), LINEAR, normals(2, dtype), [1000, 500, 0], seeded()
    )
    assert images.dtype == dtype


def test_a_sampler_asks_for_one_estimate_a_step_at_the_times_it_was_given():
    times, asked = [1000, 700.25, 1, 0], []
    list(
        ddim(
            lambda x, t: asked.append(t) or gaussian_oracle(LINEAR)(x, t),
            LINEAR,
            normals(1),
            times,
            silent,
        )
    )
    assert asked == times[:-1]


@pytest.mark.parametrize(("draws", "asked"), [(1, 3), (4, 12)])
def test_ancestral_draws_as_often_as_told_but_not_in_the_last_step(draws, asked):
    noise, seen = seeded(), []
    list(
        ancestral(
            DUMMY,
            LINEAR,
            dummy_images(),
            [4, 3, 2, 1, 0],
            lambda like: seen.append(1) or noise(like),
            draws=draws,
        )
    )
    assert len(seen) == asked


def test_many_draws_have_less_noise():
    def spread(draws):
        (x,) = ancestral(
            gaussian_oracle(LINEAR),
            LINEAR,
            torch.zeros(1, 1, 64, 64),
            [800, 400],
            seeded(),
            draws=draws,
        )
        return x.std().item()

    assert spread(16) == pytest.approx(spread(1) / 4, rel=0.05)


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match=r"sampler\.draws must be between 1 and 1,000, but is 0"):
        next(ancestral(DUMMY, LINEAR, dummy_images(), [1000, 0], silent, draws=0))


@pytest.mark.parametrize(
    ("variance", "place"), [("small", "posterior_variance"), ("large", "variance")]
)
def test_ancestral_adds_the_variance_of_the_estimate(variance, place):
    still = clip_x0(
        Denoiser(LINEAR, Answer(torch.zeros(1, 1, 128, 128)), predicts="x0", variance=variance)
    )
    (x,) = ancestral(still, LINEAR, torch.zeros(1, 1, 128, 128), [500, 300], seeded())
    assert x.var().item() == pytest.approx(getattr(LINEAR, place)(500, 300).item(), rel=0.03)


def test_x0_is_clipped_before_noise_is_derived_from_it():
    x, (now, then) = normals(1), (700, 300)
    (stepped,) = ddim(clip_x0(constant_oracle(image(5.0))), LINEAR, x, [now, then], silent)
    one = torch.ones_like(x)
    torch.testing.assert_close(stepped, LINEAR.add_noise(one, LINEAR.noise_in(x, one, now), then))


def test_clipping_leaves_output_and_variance_alone():
    x = normals(2)
    estimate = clip_x0(lambda x, t: Estimate(x, 3 * x, 0.25))(x, 5)
    assert estimate.output is x and estimate.variance_interpolation == 0.25
    assert torch.equal(estimate.x0, (3 * x).clamp(-1, 1))


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ("even", [1000, 667, 334, 1, 0]),
        ("leading", [751, 501, 251, 1, 0]),
        ("trailing", [1000, 750, 500, 250, 0]),
    ],
)
def test_grids_of_four_steps(spacing, expected):
    assert Grid(steps=4, spacing=spacing).times(LINEAR) == pytest.approx(expected)


@pytest.mark.parametrize("length", [10, 400, 1000, 2000, 3999, 4000])
def test_a_trailing_grid_of_all_steps_never_leaves_the_process(length):
    diffusion = GaussianDiffusion.from_betas(cosine(steps=length))
    *times, end = Grid(steps="all", spacing="trailing").times(diffusion)
    assert (times[0], end) == (length, 0)
    assert times == pytest.approx(range(length, 0, -1))
    assert min(times) >= 1


def test_a_leading_grid_is_that_of_public_codes():
    assert Grid(steps=10, spacing="leading").times(LINEAR) == [
        901,
        801,
        701,
        601,
        501,
        401,
        301,
        201,
        101,
        1,
        0,
    ]


@SPACINGS
def test_all_steps_are_every_time(spacing):
    assert Grid(steps="all", spacing=spacing).times(LINEAR) == pytest.approx(
        list(range(1000, -1, -1))
    )


@SPACINGS
@given(steps=st.integers(1, 1000))
@FEW
def test_every_grid_falls_strictly_through_times_of_the_process_to_zero(spacing, steps):
    times = torch.tensor(Grid(steps=steps, spacing=spacing).times(LINEAR), dtype=torch.float64)
    assert len(times) == steps + 1
    assert (times.diff() < 0).all() and times[-1] == 0 and times[-2] >= 1 and times[0] <= 1000


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_a_grid_of_more_steps_than_the_schedule_or_none_is_refused(steps):
    with pytest.raises(
        ValueError,
        match=f"^sampler.steps must be between 1 and 1000, the schedule's steps, but is {steps}$",
    ):
        Grid(steps=steps, spacing="even").times(LINEAR)


def test_the_final_state_is_all_that_is_held():
    held = weakref.WeakSet()
    most = 0

    def states():
        nonlocal most
        for number in range(50):
            state = torch.full((1, 1, 2, 2), float(number))
            held.add(state)
            most = max(most, len(held))
            yield state

    assert final_state(states())[0, 0, 0, 0] == 49
    assert most <= 3
