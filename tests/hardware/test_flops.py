"""The peak of a GPU, by a fake clock: warm, and by launches one after another."""

from contextlib import nullcontext

import pytest
import torch

from ddpm_cli.hardware import flops, measure_peak, peak_text

COLD, WARM = 0.05, 0.01  # seconds of a product, in the first tenth of a second and after it


class Clock:
    """The time of a GPU, which products move."""

    seconds, launches = 0.0, 0

    def multiply(self, *_, **__):
        self.launches += 1
        self.seconds += COLD if self.seconds < 0.1 else WARM


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = clock.seconds

        def synchronize(self):
            pass

        def elapsed_time(self, end):
            return 1000 * (end.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch, "mm", clock.multiply)
    return clock


def test_the_peak_of_a_gpu_is_timed_warm_over_several_launches(clock):
    rate = flops.product_flops(torch.device("cpu"), torch.float32, 8)
    assert rate == pytest.approx(2 * 8**3 / WARM)
    assert clock.launches > 10


def test_the_peak_says_what_it_is_the_peak_of(monkeypatch):
    measure_peak.cache_clear()
    monkeypatch.setattr(flops, "product_flops", lambda device, dtype, side: 7.3e14 * side / 8192)
    peak = measure_peak(torch.device("cuda", 0), torch.bfloat16)
    assert peak_text(peak, torch.device("cuda", 0), "bf16") == "730 TFLOP/s (matrix product, bf16)"
    assert peak_text(1e11, torch.device("cpu"), "fp32") == "0.1 TFLOP/s (convolution, fp32)"
    measure_peak.cache_clear()
