"""Samplers of times: which they draw, and that weights make up for it."""

import math

import pytest
import torch
from omegaconf import OmegaConf

from ddpm_cli import config
from ddpm_cli.components import build_diffusion, build_time_sampler
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.schedules import cosine, linear
from ddpm_cli.train_times import History, logit_normal, lognormal, loss_aware, stratified, uniform

LINEAR = GaussianDiffusion.from_betas(linear())
FINE = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
EDGES = torch.tensor([0.0, 1e-9, 0.5, 1 - 2**-53], dtype=torch.float64)
CHOICES = [path.stem for path in sorted((config.CONFIG_DIR / "train_times").glob("*.yaml"))]


def told(losses, kept=1):
    """A history of a process of so many times, each with its loss."""
    history = History(GaussianDiffusion.from_betas(cosine(steps=len(losses))), kept)
    for _ in range(kept):
        history.add(list(range(1, len(losses) + 1)), losses)
    return history


@pytest.mark.parametrize("zero_snr", ["false", "true"])
@pytest.mark.parametrize("choice", CHOICES)
def test_every_sampler_draws_times_of_the_process(composed, choice, zero_snr):
    cfg = composed("train", f"train_times={choice}", f"schedule.zero_snr={zero_snr}")
    diffusion = build_diffusion(cfg)
    times, weight = build_time_sampler(cfg, diffusion)(EDGES, History(diffusion, 1))
    assert times.dtype == torch.int64
    assert times.min() >= 1
    assert times.max() <= diffusion.steps
    assert (torch.as_tensor(weight) > 0).all()


def test_uniform_times_are_all_alike():
    times, weight = uniform(FINE, History(LINEAR))
    assert times.bincount()[1:].tolist() == [20] * 1000
    assert weight == 1


def test_stratified_times_are_one_of_each_part():
    u = torch.rand(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times, weight = stratified(u, History(LINEAR))
    assert ((times - 1) // 125).tolist() == list(range(8))
    assert weight == 1


def test_loss_aware_times_are_even_until_every_time_has_its_losses():
    history = told([1.0, 2.0, 3.0, 4.0], kept=2)
    history.counts[2] = 1
    times, weight = loss_aware(FINE, history, kept=2)
    assert times.bincount()[1:].tolist() == [5000] * 4
    assert weight == 1


def test_loss_aware_times_are_in_proportion_to_the_root_of_the_mean_squared_loss():
    history = told([1.0, 1.0, 2.0, 4.0])
    history.add([1], [3.0])
    times, _ = loss_aware(FINE, history, kept=1, floor=1e-9)
    assert (times.bincount()[1:] / len(FINE)).tolist() == pytest.approx(
        [0.3, 0.1, 0.2, 0.4], abs=1e-3
    )


@pytest.mark.parametrize("floor", [0.001, 0.5, 1.0])
def test_the_weights_of_loss_aware_times_make_the_mean_over_even_ones(floor):
    values = torch.tensor([5.0, -1.0, 2.0, 0.1], dtype=torch.float64)
    times, weight = loss_aware(FINE, told([1.0, 0.2, 2.0, 4.0]), kept=1, floor=floor)
    assert (values[times - 1] * weight).mean().item() == pytest.approx(
        values.mean().item(), abs=2e-3
    )


def test_a_history_keeps_the_newest_losses_and_passes_over_what_is_not_finite():
    history = History(GaussianDiffusion.from_betas(cosine(steps=3)), 2)
    history.add([2, 2, 2, 3, 3], [1.0, 2.0, 3.0, math.nan, math.inf])
    assert history.losses.tolist() == [[0, 0], [3, 2], [0, 0]]
    assert history.counts.tolist() == [0, 3, 0]


def test_lognormal_times_have_normal_logarithms_of_the_noise_level():
    times, weight = lognormal(FINE, History(LINEAR), mean=-0.5, std=0.8)
    levels = LINEAR.level(times).log()
    assert (levels.mean().item(), levels.std().item()) == (
        pytest.approx(-0.5, abs=0.01),
        pytest.approx(0.8, abs=0.01),
    )
    assert weight == 1


def test_logit_normal_times_are_logit_normal_between_the_ends_of_log_snr():
    times, weight = logit_normal(FINE, History(LINEAR), mean=0.5, std=0.7)
    ends = LINEAR.log_snr(torch.tensor([1, 1000]))
    along = torch.logit((LINEAR.log_snr(times) - ends[0]) / (ends[1] - ends[0]), eps=1e-6)
    assert (along.mean().item(), along.std().item()) == (
        pytest.approx(0.5, abs=0.02),
        pytest.approx(0.7, abs=0.02),
    )
    assert weight == 1


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            ["train_times=lognormal", "train_times.std=0"],
            "train_times.std must be positive, but is 0",
        ),
        (
            ["train_times=loss_aware", "train_times.kept=0"],
            r"train_times.kept must be 1 to 1,000 and train_times.floor in \(0, 1\]",
        ),
        (["train_times=loss_aware", "train_times.floor=0"], r"but they are 10 and 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(composed, override, said):
    cfg = composed("train", *override)
    assert OmegaConf.is_config(cfg)
    with pytest.raises(ValueError, match=said):
        build_time_sampler(cfg, build_diffusion(cfg))
