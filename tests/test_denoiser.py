"""What a network's output means, in every parameterisation."""

import pytest
import torch
from problems import Answer, Recorder

from ddpm_cli import schedules
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion

LINEAR = GaussianDiffusion.from_betas(schedules.linear())
X0, EPS = (
    torch.rand(2, 4, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
    - 1
)
TIMES = torch.tensor([1.0, 37.25, 500.0, 1000.0])
ONE = torch.ones(1, 1, 1, 1, dtype=torch.float64)


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_outputs_and_images_round_trip(predicts):
    target = Denoiser(LINEAR, Answer(None), predicts=predicts).target(X0, EPS, TIMES)
    estimate = Denoiser(LINEAR, Answer(target), predicts=predicts)(
        LINEAR.add_noise(X0, EPS, TIMES), TIMES
    )
    torch.testing.assert_close(estimate.x0, X0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_the_error_scale_turns_errors_of_the_output_into_errors_of_x0(predicts):
    denoiser = Denoiser(LINEAR, Answer(None), predicts=predicts)
    target, x_t = denoiser.target(X0, EPS, TIMES), LINEAR.add_noise(X0, EPS, TIMES)
    off = Denoiser(LINEAR, Answer(target + 0.01), predicts=predicts)(x_t, TIMES)
    torch.testing.assert_close(
        (off.x0 - X0).abs(),
        (0.01 * denoiser.error_scale(TIMES, X0)).abs().expand_as(X0),
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("predicts", "weights"),
    [("eps", [5.0005e-4, 0.58570851, 1, 1]), ("x0", [5, 5, 1.089528, 0.084360]), ("v", None)],
)
def test_min_snr_weights_agree_with_published_values(predicts, weights):
    times = [1, 101, 251, 501]
    denoiser = Denoiser(LINEAR, Answer(None), predicts=predicts)
    found = [(LINEAR.snr(t).clamp(max=5) * denoiser.error_scale(t, ONE) ** 2).item() for t in times]
    of_v = [(LINEAR.snr(t).clamp(max=5) / (LINEAR.snr(t) + 1)).item() for t in times]
    assert found == pytest.approx(weights or of_v, rel=1e-4)


def test_the_network_is_fed_one_less_unrounded():
    network = Recorder()
    Denoiser(LINEAR, network)(X0, 1)
    Denoiser(LINEAR, network)(X0[:2], torch.tensor([37.25, 1000.0]))
    assert network.times == [0, 0, 0, 0, 36.25, 999]


@pytest.mark.parametrize(("value", "fixed"), [(-1.0, "small"), (1.0, "large")])
def test_learned_variance_at_its_ends_is_small_and_large(value, fixed):
    learned = Denoiser(
        LINEAR, Answer(torch.cat([X0, torch.full_like(X0, value)], dim=1)), variance="learned"
    )(EPS, 500)
    same = Denoiser(LINEAR, Answer(X0), variance=fixed)(EPS, 500)
    variances = [
        LINEAR.log_variance(500, 499, estimate.variance_interpolation, X0).expand_as(X0)
        for estimate in (learned, same)
    ]
    torch.testing.assert_close(*variances)
    assert torch.equal(learned.output, same.output)


def test_the_output_takes_the_dtype_of_the_images():
    assert (
        Denoiser(LINEAR, Answer(X0.to(torch.bfloat16)))(EPS.float(), 10).output.dtype
        == torch.float32
    )


@pytest.mark.parametrize("label", [None, torch.tensor([0, -1, 2, 3])])
def test_a_conditional_network_is_given_the_label_as_it_is(label):
    network, seen = Answer(X0), []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2]))
    Denoiser(LINEAR, network, conditional=True)(EPS, 10, label)
    assert seen == [label] and seen[0] is label


def test_a_label_for_a_network_that_takes_none_is_refused():
    with pytest.raises(
        ValueError, match=r"this model takes no labels: it was built with model\.conditional=false"
    ):
        Denoiser(LINEAR, Answer(X0))(EPS, 10, torch.tensor([0, 1, 2, 3]))


def test_zero_terminal_snr_is_refused_with_eps_alone():
    ending = GaussianDiffusion.from_betas(torch.tensor([0.1, 1.0], dtype=torch.float64))
    assert Denoiser(ending, Answer(X0), predicts="v")(EPS, 2).x0.isfinite().all()
    with pytest.raises(ValueError, match="predicts=eps says nothing of x_0 where the SNR is 0"):
        Denoiser(ending, Answer(X0))


def test_the_time_of_the_network_can_be_scaled():
    network = Recorder()
    Denoiser(LINEAR, network, time_scale=0.25)(X0[:2], torch.tensor([37.0, 1000.0]))
    assert network.times == [9, 249.75]


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_of_times_is_above_zero_and_finite(scale):
    with pytest.raises(ValueError, match=f"time_scale must be above 0 and finite, but is {scale}"):
        Denoiser(LINEAR, Recorder(), time_scale=scale)


def test_an_image_without_a_label_is_refused_by_a_network_that_does_not_know_it():
    network = torch.nn.Sequential(Answer(X0))
    network[0].needs_label = True
    with pytest.raises(ValueError, match="knows no image without a label"):
        Denoiser(LINEAR, network, conditional=True)(X0, 1)
