"""The layout of maps: by a trial on GPUs, by its kind on a CPU."""

import pytest
import torch

from ddpm_cli.hardware import choose_layout, deterministic_kernels, layout_of, on_device
from ddpm_cli.hardware.layout import faster_layout, layout_seconds, widest_at_full_size
from ddpm_cli.networks.unet import UNet

CPU = torch.device("cpu")


def network():
    return UNet(1, 1, dim=8, dim_mults=(1, 2))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_network_lies_as_it_is_asked_to_and_its_maps_do_too(layout):
    inside = on_device(network(), CPU, layout)
    output = inside(torch.zeros(2, 1, 8, 8), torch.ones(2))
    assert layout_of(inside) == layout
    conv = widest_at_full_size(inside)
    assert conv(torch.zeros(2, 8, 4, 4)).is_contiguous() == (layout == "NCHW")
    assert output.shape == (2, 1, 8, 8)


def test_a_layout_changes_when_it_is_clearly_faster():
    assert faster_layout({"NHWC": 1.0, "NCHW": 0.95}) == "NHWC"
    assert faster_layout({"NHWC": 1.0, "NCHW": 0.85}) == "NCHW"


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_trial_of_a_layout_takes_time(layout):
    assert 0 < layout_seconds(torch.ones(2, 8, 4, 4), layout) < 10


@pytest.mark.parametrize(
    ("instructions", "dtype", "side", "layout"),
    [
        ("AVX2", torch.float32, 16, "NCHW"),
        ("AVX2", torch.float32, 8, "NHWC"),
        ("AVX2", torch.bfloat16, 16, "NHWC"),
        ("AVX512", torch.float32, 16, "NHWC"),
    ],
)
def test_a_cpu_goes_by_what_it_is(monkeypatch, instructions, dtype, side, layout):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    assert choose_layout(network(), CPU, dtype, (1, side, side), 4) == layout
    assert choose_layout(network(), CPU, dtype, (1, side, side), 4, compiled=True) == "NHWC"
    with deterministic_kernels(True, CPU):  # a resume may turn them on, and repeats its bits
        assert choose_layout(network(), CPU, dtype, (1, side, side), 4) == layout
