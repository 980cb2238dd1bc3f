"""Solvers of higher order: orders of their errors, identities, inverse, grids and wrappers."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import constant_oracle, gaussian_oracle
from sampling_problem import COSINE, FEW, LINEAR, TIMES, image, normals, seeded, silent

from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers import (
    Grid,
    at_levels_of,
    ddim,
    dpmpp_2m,
    heun,
    inverse,
    threshold_x0,
    unipc,
    with_label,
)
from ddpm_cli.samplers.grids import SPACINGS
from ddpm_cli.samplers.heun import add_churn
from ddpm_cli.schedules import linear

END = 1.1491722764276774
ERRORS = {
    "dpmpp_2m": (
        partial(dpmpp_2m, lower_order_final=False),
        [0.02811, 0.01123, 3.029e-3, 7.689e-4, 1.929e-4],
    ),
    "heun": (heun, [0.1294, 0.02815, 6.593e-3, 1.597e-3, 3.932e-4]),
    "unipc": (unipc, [0.03216, 6.944e-3, 9.508e-4, 1.204e-4, 1.485e-5]),
}
SOLVERS = {
    "dpmpp_2m": dpmpp_2m,
    "extrapolated": partial(dpmpp_2m, lower_order_final=False),
    "sde": partial(dpmpp_2m, eta=1.0),
    "half": partial(dpmpp_2m, eta=0.5),
    "unipc": unipc,
    "unipc 1": partial(unipc, order=1),
    "unipc 3": partial(unipc, order=3),
    "heun": heun,
    "churn": partial(heun, churn=0.2),
}
solvers = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def error(solver, steps):
    ends = LINEAR.log_snr(torch.tensor([1000, 1])).tolist()
    times = LINEAR.time_of(torch.linspace(*ends, steps + 1, dtype=torch.float64)).tolist()
    *_, x = solver(gaussian_oracle(LINEAR), LINEAR, image(1.7), times, silent)
    return abs(x.item() - END)


@pytest.mark.parametrize(("solver", "expected"), ERRORS.values(), ids=ERRORS)
def test_errors_against_the_closed_form_flow_fall_as_published(solver, expected):
    assert [error(solver, steps) for steps in (10, 20, 40, 80, 160)] == pytest.approx(
        expected, rel=2e-3
    )


@pytest.mark.parametrize(("solver", "order"), [(ddim, 1), (dpmpp_2m, 2), (heun, 2), (unipc, 3)])
def test_orders_of_convergence(solver, order):
    assert error(solver, 160) / error(solver, 320) == pytest.approx(2**order, rel=0.05)


@solvers
@given(TIMES, st.floats(-1, 1))
@FEW
def test_every_solver_returns_a_constant_exactly(solver, times, value):
    *_, x = solver(constant_oracle(image(value)), LINEAR, normals(2), times, seeded())
    torch.testing.assert_close(x, image(value).expand_as(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "solver", [dpmpp_2m, partial(dpmpp_2m, eta=1.0), unipc, heun, partial(heun, churn=0.1)]
)
def test_samples_of_solvers_are_distributed_as_the_data(solver):
    x, times = (
        torch.randn(4000, 1, 1, 1, generator=torch.Generator().manual_seed(0)),
        Grid(steps=100, spacing="log_snr").times(COSINE),
    )
    *_, x = solver(gaussian_oracle(COSINE), COSINE, x, times, seeded(1))
    assert x.mean().item() == pytest.approx(0.3, abs=0.03)
    assert x.std().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_euler_ancestral_is_ddim_in_another_dress(eta):
    denoise, t, s, x, noise = gaussian_oracle(LINEAR), 700, 400, normals(2), normals(2).flip(0)
    now, then = LINEAR.level(t), LINEAR.level(s)
    up = (
        eta * (then**2 * (now**2 - then**2) / now**2).sqrt()
    )  # as in k-diffusion, in x / alpha and sigma / alpha
    down = (then**2 - up**2).sqrt()
    scaled, x0 = x / LINEAR.alpha_bar_at(t).sqrt(), denoise(x, t).x0
    stepped = scaled + (scaled - x0) / now * (down - now) + up * noise
    (found,) = ddim(denoise, LINEAR, x, [t, s], lambda like: noise, eta=eta)
    torch.testing.assert_close(found, LINEAR.alpha_bar_at(s).sqrt() * stepped, rtol=0, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_first_step_of_dpmpp_2m_is_that_of_ddim(eta):
    (one,) = dpmpp_2m(gaussian_oracle(LINEAR), LINEAR, normals(2), [900, 300], seeded(), eta=eta)
    (other,) = ddim(gaussian_oracle(LINEAR), LINEAR, normals(2), [900, 300], seeded(), eta=eta)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_the_inverse_of_ddim_leads_back_and_more_exactly_in_two_rounds():
    times, x, denoise = (
        Grid(steps=100, spacing="even").times(COSINE)[:-1],
        normals(2).clamp(-1, 1),
        gaussian_oracle(COSINE),
    )

    def lost(rounds):
        *_, noise = inverse(denoise, COSINE, x, times[::-1], rounds=rounds)
        *_, back = ddim(denoise, COSINE, noise, times, silent)
        return ((back - x).norm() / x.norm()).item()

    assert lost(2) < 0.01 < lost(1) < 0.1


def test_churn_raises_the_noise_level_within_the_process():
    x, time = add_churn(
        LINEAR,
        torch.zeros(1, 1, 64, 64),
        500,
        0.3,
        torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)),
    )
    assert LINEAR.level(time).item() == pytest.approx(1.3 * LINEAR.level(500).item())
    added = LINEAR.alpha_bar_at(time) * (LINEAR.level(time) ** 2 - LINEAR.level(500) ** 2)
    assert x.var().item() == pytest.approx(added.item(), rel=0.05)
    assert add_churn(LINEAR, x, 1000, 0.4, x)[1] == 1000


@pytest.mark.parametrize(
    ("solver", "told"),
    [
        (partial(heun, churn=0.5), r"sampler\.churn must be between 0 and sqrt\(2\) - 1"),
        (partial(dpmpp_2m, eta=2.0), r"sampler\.eta must be between 0 and 1, but is 2\.0"),
    ],
)
def test_bad_options_of_solvers_are_refused(solver, told):
    with pytest.raises(ValueError, match=told):
        next(solver(gaussian_oracle(LINEAR), LINEAR, normals(1), [1000, 0], silent))


@solvers
@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_solver_begins_in_pure_noise_where_the_snr_ends_at_zero(solver, spacing):
    betas = linear()
    betas[-1] = 1
    diffusion = GaussianDiffusion.from_betas(betas)
    times = Grid(steps=7, spacing=spacing).times(diffusion)
    *_, x = solver(constant_oracle(image(0.5)), diffusion, normals(2), times, seeded())
    torch.testing.assert_close(x, image(0.5).expand_as(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 15, 999, 1000])
def test_every_grid_falls_strictly_to_zero(spacing, steps):
    times = torch.tensor(Grid(steps=steps, spacing=spacing).times(COSINE), dtype=torch.float64)
    assert len(times) == steps + 1
    assert (times.diff() < 0).all() and times[-1] == 0 and times[0] <= 1000


@pytest.mark.parametrize(
    ("spacing", "form"),
    [
        ("quadratic", lambda times: times.sqrt()),
        ("log_snr", LINEAR.log_snr),
        ("karras", lambda times: LINEAR.level(times) ** (1 / 7)),
    ],
)
def test_grids_are_even_in_what_they_are_named_for(spacing, form):
    steps = form(
        torch.tensor(Grid(steps=9, spacing=spacing).times(LINEAR)[:-1], dtype=torch.float64)
    ).diff()
    torch.testing.assert_close(steps, steps[0].expand_as(steps), rtol=1e-6, atol=0)


def test_dynamic_thresholding_scales_single_images_and_leaves_those_in_range_alone():
    x0 = torch.stack([torch.linspace(-4, 4, 101), torch.linspace(-0.9, 0.9, 101)]).view(
        2, 1, 1, 101
    )
    found = threshold_x0(lambda x, t: Estimate(x, x0, 0.0), quantile=0.9)(x0, 5).x0
    limit = x0[0].abs().quantile(0.9)
    torch.testing.assert_close(found[0], (x0[0] / limit).clamp(-1, 1))
    assert torch.equal(found[1], x0[1])


def test_a_guide_of_another_schedule_is_asked_at_the_same_noise():
    asked = []
    at_levels_of(lambda x, t, label: asked.append(COSINE.snr(t)), COSINE, LINEAR)(normals(1), 400)
    assert asked[0].item() == pytest.approx(LINEAR.snr(400).item())


def test_a_labelled_denoiser_asks_for_its_labels():
    label = torch.tensor([3])
    assert with_label(lambda x, t, label: label, label)(normals(1), 5) is label
