"""Precision is the network's alone; layout, recomputation and compilation change no result."""

import subprocess
import sys

import pytest
import torch
from operations import CountOperations
from problems import Answer, Recorder
from torch import nn
from torch.amp import GradScaler
from training_problem import DIFFUSION, fresh, load_moments, moments, trained, trainer, weights

from ddpm_cli import losses
from ddpm_cli.checkpoints import StagingBuffers, split_optimizer
from ddpm_cli.checkpoints.tensor_names import join_optimizer
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.hardware import (
    FlopCount,
    count_flops,
    has_overflowed,
    measure_peak,
    on_device,
    prepare_for_training,
)
from ddpm_cli.hardware.precision import CastAtOnce
from ddpm_cli.losses import Noised
from ddpm_cli.networks.layers import GroupNorm, Pointwise
from ddpm_cli.networks.unet import UNet
from ddpm_cli.parallel import load_network, network_state, unwrap

CPU = torch.device("cpu")
INPUTS = torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8), torch.tensor([3.0, 700.0])


def network(dropout=0.0, block="resnet"):
    torch.manual_seed(0)
    return UNet(1, 1, dim=8, dim_mults=(1, 2), dropout=dropout, block=block)


def gradients(module):
    torch.manual_seed(1)
    module(*INPUTS).square().sum().backward()
    return [parameter.grad for parameter in module.parameters()]


def state_of(precision, parallel="none", dropout=0.1):
    state = fresh(parallel, dropout=dropout)
    inside = prepare_for_training(
        unwrap(state.denoiser.network), precision, compiled=False, recomputed=False
    )
    state.denoiser = Denoiser(DIFFUSION, inside)
    state.scaler = GradScaler("cpu", enabled=precision == "fp16")
    return state


def test_gradients_that_are_cast_at_once_can_be_differentiated_again():
    weight, unused = (torch.full((2,), value, requires_grad=True) for value in (3.0, 1.0))
    cast, _ = CastAtOnce.apply(torch.bfloat16, weight, unused)
    first, none = torch.autograd.grad(
        (cast**3).sum(), (weight, unused), create_graph=True, allow_unused=True
    )
    (second,) = torch.autograd.grad(first.sum(), weight)
    assert first.dtype == second.dtype == torch.float32
    assert (first[0], second[0], none) == (27, 18, None)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_the_network_alone_is_computed_in_half_precision(precision, dtype):
    inside = prepare_for_training(network(), precision, compiled=False, recomputed=False)
    x = INPUTS[0]
    estimate = Denoiser(DIFFUSION, inside)(x, torch.tensor([3, 700]))
    assert inside(*INPUTS).dtype == dtype
    assert estimate.output.dtype == estimate.x0.dtype == torch.float32
    assert (
        losses.l2(
            Denoiser(DIFFUSION, inside), Noised.at(DIFFUSION, x, x, torch.tensor([3, 700]))
        ).dtype
        == torch.float32
    )
    torch.testing.assert_close(inside(*INPUTS).float(), network()(*INPUTS), rtol=0.1, atol=0.1)


def test_the_first_steps_of_a_process_keep_their_noise_in_half_precision():
    seen = Recorder()
    seen.forward = lambda x, t, label=None: x
    image, noise = torch.full((1, 1, 2, 2), 0.9), torch.full((1, 1, 2, 2), 1e-3)
    batch = Noised.at(DIFFUSION, image, noise, torch.tensor([1]))
    output = Denoiser(
        DIFFUSION, prepare_for_training(seen, "bf16", compiled=False, recomputed=False)
    )(batch.x_t, batch.t).output
    assert (output != DIFFUSION.scales(torch.tensor([1]), image)[0] * image).all()


def test_half_precision_learns_what_full_precision_learns():
    full, half = (trained(state_of(name), trainer(steps=30), steps=30) for name in ("fp32", "bf16"))
    assert [each.loss.item() for each in half] == pytest.approx(
        [each.loss.item() for each in full], rel=0.05
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_names_of_weights_are_those_of_the_network(precision):
    inside = prepare_for_training(network(), precision, compiled=False, recomputed=True)
    assert network_state(inside).keys() == network().state_dict().keys()


def test_an_overflow_of_fp16_is_skipped_and_halves_the_scale_and_nothing_else():
    state = state_of("fp16")
    trained(state, trainer(stop_at=2))
    before = weights(state.denoiser.network).clone()
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 2.0**40})
    (progress,) = trained(state, trainer(stop_at=3))
    assert progress.flags.tolist() == [1, 1]
    assert torch.equal(before, weights(state.denoiser.network))
    assert state.scaler.get_scale() == 2.0**39


@pytest.mark.parametrize(
    ("scale", "loss", "norm", "expected"),
    [
        (2.0, 1.0, "inf", True),
        (1.0, 1.0, "nan", True),
        (0.5, 1.0, "inf", False),
        (2.0, "nan", "nan", False),
        (2.0, 1.0, 1.0, False),
    ],
)
def test_an_overflow_is_a_finite_loss_with_a_scaled_gradient_that_is_not(
    scale, loss, norm, expected
):
    scaler = GradScaler("cpu", init_scale=scale)
    assert has_overflowed(scaler, torch.tensor(float(loss)), torch.tensor(float(norm))) == expected


def test_without_a_scale_no_gradient_overflows():
    scaler = GradScaler("cpu", enabled=False)
    assert not has_overflowed(scaler, torch.tensor(1.0), torch.tensor(float("inf")))
    assert scaler.state_dict() == {}


def test_a_state_of_fp16_put_back_goes_on_bit_for_bit():
    whole, first, second = (state_of("fp16") for _ in range(3))
    for state in (whole, first):
        state.scaler.load_state_dict({**state.scaler.state_dict(), "growth_interval": 3})
    trained(whole, trainer())
    trained(first, trainer(stop_at=4))
    load_network(second.denoiser.network, network_state(first.denoiser.network))
    load_moments(second, moments(first))
    second.scaler.load_state_dict(first.scaler.state_dict())
    second.step = first.step
    trained(second, trainer())
    assert torch.equal(weights(whole.denoiser.network), weights(second.denoiser.network))
    assert whole.scaler.state_dict() == second.scaler.state_dict()
    assert whole.scaler.get_scale() > 2.0**16


def channels_last(state):
    on_device(state.denoiser.network, CPU)
    return state


def test_channels_last_is_the_same_training():
    plain, other = (
        fresh(dropout=0.0, lr=1e-3, dim=16),
        channels_last(fresh(dropout=0.0, lr=1e-3, dim=16)),
    )
    expected, found = (
        [each.loss.item() for each in trained(state, trainer(steps=20), steps=20)]
        for state in (plain, other)
    )
    assert found == pytest.approx(expected, rel=1e-5)


def filed(tensors):
    """The tensors as a file holds them."""
    copied, complete = StagingBuffers().copy(tensors)
    complete()
    return copied


def filed_moments(state):
    tensors, rest = split_optimizer(moments(state))
    return join_optimizer(filed(tensors), rest)


def test_a_state_put_back_where_channels_lie_last_goes_on_bit_for_bit():
    whole, first, second = (channels_last(fresh()) for _ in range(3))
    trained(whole, trainer())
    trained(first, trainer(stop_at=4))
    load_network(second.denoiser.network, network_state(first.denoiser.network))
    load_moments(second, filed_moments(first))
    second.step = first.step
    trained(second, trainer())
    assert torch.equal(weights(whole.denoiser.network), weights(second.denoiser.network))


def test_what_is_saved_is_contiguous_and_moments_lie_as_their_weights_do():
    first, second = channels_last(fresh()), channels_last(fresh())
    trained(first, trainer(stop_at=2))
    filed_state = filed_moments(first)
    assert all(each.is_contiguous() for kept in filed_state.values() for each in kept.values())
    assert all(
        each.is_contiguous() for each in filed(network_state(first.denoiser.network)).values()
    )
    load_moments(second, filed_state)
    shrink = second.denoiser.network.shrink[0].weight
    assert (
        shrink.stride()
        == second.optimizer.state[shrink]["exp_avg"].stride()
        != shrink.contiguous().stride()
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_computed_again_give_the_same_gradients_with_dropout(precision):
    kept, again = (
        gradients(prepare_for_training(network(0.5), precision, compiled=False, recomputed=way))
        for way in (False, True)
    )
    assert all(torch.equal(one, other) for one, other in zip(kept, again, strict=True))


def counts(precision, **options):
    """The operations that compute in a pass forward and backward of the network of the digits."""
    module = on_device(UNet(1, 1, dim=32, dim_mults=(1, 2, 4)), CPU)
    inside = prepare_for_training(module, precision, compiled=False, recomputed=False, **options)
    with CountOperations() as counter:
        inside(torch.zeros(8, 1, 16, 16), torch.ones(8)).float().square().sum().backward()
    return counter.counts


def test_half_precision_casts_weights_and_their_gradients_by_one_operation_each():
    full, half = counts("fp32"), counts("bf16")
    assert half.total() <= full.total() + 8
    assert half.total() <= 538  # with torch 2.11; 535 with 2.14
    assert half["_foreach_copy_"] == 2


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("block", ["resnet", "convnext"])
def test_weights_that_are_cast_at_once_get_the_gradients_of_autocast(precision, recomputed, block):
    once, one_by_one = (
        prepare_for_training(
            network(0.5, block), precision, compiled=False, recomputed=recomputed, shared=shared
        )
        for shared in (False, True)
    )
    for _ in range(2):  # microbatches, whose gradients add up
        pairs = zip(gradients(once), gradients(one_by_one), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_a_network_without_parts_is_not_computed_again():
    with pytest.raises(ValueError, match="activation_checkpointing is not for Answer"):
        prepare_for_training(Answer(None), "fp32", compiled=False, recomputed=True)


def test_a_compiler_that_is_missing_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ValueError, match=r"needs a C\+\+ compiler, but none of g\+\+, clang\+\+, cl is there"
    ):
        prepare_for_training(network(), "fp32", compiled=True, recomputed=False)


COMPILED = """
import torch
from ddpm_cli.networks.unet.blocks import resnet_block
from ddpm_cli.hardware import prepare_for_training
from ddpm_cli.parallel import network_state
inputs = torch.linspace(-1, 1, 128 * 8).reshape(2, 8, 8, 8), torch.ones(2, 4)
network = resnet_block(8, 8, 4)
expected, names = network(*inputs), list(network.state_dict())
compiled = prepare_for_training(network, "fp32", compiled=True, recomputed=False)
torch.testing.assert_close(compiled(*inputs), expected, rtol=1e-4, atol=1e-4)
assert list(network_state(compiled)) == names
"""


@pytest.mark.long
def test_a_compiled_network_answers_the_same_and_keeps_its_names():
    subprocess.run([sys.executable, "-c", COMPILED], check=True, timeout=300)


def test_a_pointwise_convolution_is_a_convolution():
    layer = Pointwise(6, 4, 1)
    x = torch.rand(2, 6, 3, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), nn.functional.conv2d(x, layer.weight, layer.bias))


def test_a_group_norm_keeps_its_type_under_autocast():
    layer, x = GroupNorm(2, 4), INPUTS[0].expand(2, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(layer(x), nn.GroupNorm(2, 4)(x))


class Convolution(nn.Conv2d):
    def forward(self, x, t):
        return super().forward(x)


def test_flops_of_a_convolution_forward_and_backward_are_known():
    forward = 2 * (4 * 4) * (3 * 3) * 5 * 7
    assert count_flops(Convolution(5, 7, 3, padding=1), (5, 4, 4)) == 2 * forward


def test_a_speed_comes_to_flops_and_their_share_of_the_peak():
    assert FlopCount(2e9, 1e12).rates(100) == {"tflops": 0.2, "peak_share": 0.2}
    assert 1e8 < measure_peak(CPU, torch.float32) < 1e14


class TooLarge(nn.Linear):
    """A network for which no device has room."""

    def to(self, *_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def test_a_network_that_no_memory_holds_is_refused_with_its_size_and_the_remedy():
    told = "model.network: 12 parameters take 48 bytes, which the memory of cpu has no room for; "
    with pytest.raises(ValueError, match=f"^{told}choose a smaller network"):
        on_device(TooLarge(3, 3), CPU)
