"""Every choice of the group model, small: its shapes, labels, parameters, and recomputation."""

import pytest
import torch
from problems import filled, wave
from small_networks import SMALL_NETWORKS, small_network

from ddpm_cli import config
from ddpm_cli.components import build_denoiser, build_diffusion
from ddpm_cli.config.auto import fill_fixed
from ddpm_cli.hardware import count_flops, prepare_for_training

CHOICES = [path.stem for path in sorted((config.CONFIG_DIR / "model").glob("*.yaml"))]
X, TIMES, LABELS = wave(2, 1, 8, 12), torch.tensor([3.0, 700.0]), torch.tensor([1, -1])


@pytest.fixture
def network(composed):
    """The network of a choice, with every parameter different: network("dit")."""

    def build(choice, **options):
        given = small_network(choice, **options)
        cfg = composed("train", "model.conditional=true", *given)
        cfg.model.variance = "learned"
        fill_fixed(cfg)
        return filled(build_denoiser(cfg, build_diffusion(cfg), X.shape[1:], classes=3).network)

    return build


def gradients(network):
    torch.manual_seed(0)
    network(X, TIMES, LABELS).float().square().sum().backward()
    return [each.grad for each in network.parameters()]


def test_every_choice_has_small_options():
    assert sorted(SMALL_NETWORKS) == CHOICES


@pytest.mark.parametrize("choice", CHOICES)
@torch.no_grad()
def test_images_need_not_be_square_and_may_come_in_either_layout(network, choice):
    inside = network(choice)
    output = inside(X, TIMES, LABELS)
    assert output.shape == (2, 2, 8, 12)
    last = X.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(inside(last, TIMES, LABELS), output)
    torch.testing.assert_close(inside(X[:1], TIMES[:1], LABELS[:1]), output[:1])


@pytest.mark.parametrize("choice", CHOICES)
@torch.no_grad()
def test_time_and_label_matter_and_minus_one_is_no_label(network, choice):
    inside, one = network(choice), X[:1]
    without, none, two, later = (
        inside(one, torch.tensor([time]), label)
        for time, label in [
            (3.0, None),
            (3.0, torch.tensor([-1])),
            (3.0, torch.tensor([2])),
            (700.0, None),
        ]
    )
    assert torch.equal(without, none)
    assert not torch.allclose(none, two)
    assert not torch.allclose(none, later)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_parameter_has_a_gradient(network, choice):
    assert all(each.any() for each in gradients(network(choice)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("choice", CHOICES)
def test_recomputed_activations_and_weights_cast_at_once_change_no_gradient(
    network, choice, precision
):
    plain, *others = (
        gradients(
            prepare_for_training(
                network(choice), precision, compiled=False, recomputed=recomputed, shared=shared
            )
        )
        for recomputed, shared in [(False, True), (True, True), (False, False)]
    )
    for other in others:
        assert all(map(torch.equal, plain, other))


@pytest.mark.parametrize("choice", CHOICES)
def test_flops_are_counted(network, choice):
    flops = count_flops(network(choice), X.shape[1:])
    larger = count_flops(network(choice), (1, 16, 24))
    assert flops is not None
    assert larger >= 3.5 * flops > 0
