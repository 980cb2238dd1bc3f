"""Muon: orthogonal steps of matrices and kernels, steps of AdamW for the rest."""

import pytest
import torch
from problems import wave
from torch import nn

from ddpm_cli.networks.unet import UNet
from ddpm_cli.optimizers import Muon
from ddpm_cli.optimizers.groups import build_optimizer
from ddpm_cli.optimizers.muon import newton_schulz, orthogonal

NOTHING = nn.Module()


def with_gradient(value):
    parameter = nn.Parameter(value)
    parameter.grad = torch.randn(value.shape, generator=torch.Generator().manual_seed(0))
    return parameter


@pytest.mark.parametrize("shape", [(3, 8, 5), (3, 5, 8), (2, 6, 6)])
def test_newton_schulz_keeps_singular_vectors_and_brings_singular_values_near_1(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = newton_schulz(matrices, 5)
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    values = u.mT @ found @ v.mT
    diagonal = torch.diagonal(values, dim1=1, dim2=2)
    assert ((diagonal > 0.4) & (diagonal < 1.3)).all()
    torch.testing.assert_close(values, torch.diag_embed(diagonal), atol=1e-4, rtol=0)


def test_a_kernel_is_a_matrix_of_outputs_and_all_else_in_either_layout():
    kernel = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    (flat,) = orthogonal([kernel.flatten(1)], 5)
    last = kernel.contiguous(memory_format=torch.channels_last)
    for found in (*orthogonal([kernel], 5), *orthogonal([last], 5)):
        torch.testing.assert_close(found.flatten(1), flat)


def test_matrices_of_one_shape_step_as_each_alone_does():
    steps = list(torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0)))
    together = orthogonal([steps[0], torch.ones(2, 2), *steps[1:]], 5)
    for step, found in zip(steps, [together[0], *together[2:]], strict=True):
        torch.testing.assert_close(orthogonal([step], 5)[0], found)


@pytest.mark.parametrize("nesterov", [True, False])
def test_a_matrix_steps_as_torchs_muon_does(nesterov):
    options = {"lr": 0.1, "weight_decay": 0.2, "momentum": 0.9, "nesterov": nesterov}
    mine, other = (with_gradient(wave(6, 4)) for _ in range(2))
    ours = Muon([mine], fused=False, **options)
    torchs = torch.optim.Muon([other], adjust_lr_fn="match_rms_adamw", **options)
    for _ in range(3):
        ours.step()
        torchs.step()
    torch.testing.assert_close(mine, other, atol=5e-3, rtol=0)  # torch's products are of bf16


@pytest.mark.parametrize("fused", [True, False])
def test_vectors_step_as_adamw_does(fused):
    mine, other = (with_gradient(wave(8)) for _ in range(2))
    options = {"lr": 0.1, "weight_decay": 0.2, "betas": (0.8, 0.9), "fused": fused}
    ours, torchs = Muon([mine], **options), torch.optim.AdamW([other], **options)
    for _ in range(3):
        ours.step()
        torchs.step()
    assert torch.equal(mine, other)


def test_a_skipped_step_of_the_fused_kind_changes_nothing_whatever_the_gradient():
    matrix, vector = with_gradient(wave(4, 4)), with_gradient(wave(4))
    optimizer = Muon([matrix, vector], weight_decay=0.1)
    optimizer.step()
    before = [each.clone() for each in (matrix, vector, *state_tensors(optimizer))]
    matrix.grad, vector.grad = torch.full((4, 4), torch.nan), torch.full((4,), torch.inf)
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    after = (matrix, vector, *state_tensors(optimizer))
    assert all(map(torch.equal, before, after))


def state_tensors(optimizer):
    return [each for entry in optimizer.state.values() for each in entry.values()]


def test_at_least_nine_of_ten_parameters_of_the_unet_take_orthogonal_steps():
    network = UNet(1, 1, 10, dim=16, dim_mults=(1, 2, 4))
    groups = build_optimizer(Muon, network, NOTHING, []).param_groups
    sizes = {
        kind: sum(
            each.numel()
            for group in groups
            if group["orthogonal"] == kind
            for each in group["params"]
        )
        for kind in (True, False)
    }
    assert sizes[True] >= 0.9 * sum(map(torch.numel, network.parameters()))
    assert sum(sizes.values()) == sum(map(torch.numel, network.parameters()))
    plain = [id(each) for group in groups if not group["orthogonal"] for each in group["params"]]
    assert id(network.label.weight) in plain  # each row of a table is a class of its own


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"lr": -1}, "lr must be at least 0, but is -1"),
        ({"momentum": 1}, "momentum must be at least 0 and less than 1, but is 1"),
        ({"betas": (0.9, 1.5)}, r"betas\[1\] must be at least 0 and less than 1, but is 1.5"),
        ({"betas": (0.9,)}, r"betas must be two numbers, but are \[0.9\]"),
        ({"ns_steps": 0}, "ns_steps must be between 1 and 99, but is 0"),
    ],
)
def test_options_outside_their_ranges_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        Muon([with_gradient(wave(2, 2))], **options)


def test_a_step_on_a_device_never_asks_it_for_a_number():
    meta = torch.device("meta")
    shapes = (4, 3, 3, 3), (8, 2)
    matrices = [nn.Parameter(torch.zeros(shape, device=meta)) for shape in shapes]
    for each in matrices:
        each.grad = torch.zeros_like(each)
    optimizer = Muon(matrices, weight_decay=0.1)
    optimizer.found_inf = torch.zeros((), device=meta)
    optimizer.param_groups[0]["lr"] = torch.zeros((), device=meta)
    optimizer.step()
    assert optimizer.state[matrices[0]]["momentum_buffer"].device == meta
