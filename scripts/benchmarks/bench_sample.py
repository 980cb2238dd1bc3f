#!/usr/bin/env python
"""Time a DDIM step against a tutorial's sampling step of the same network, in turns, on the CPU.

`network` is the project's network alone; `sampling` is a step of DDIM with clipping, as in
ddpm-sample.
"""

import argparse
import statistics
from collections.abc import Iterator
from itertools import chain, repeat

import torch
from baseline import CPU, DIFFUSION, Task, interleaved, tutorial_sampling
from torch import nn

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.hardware import (
    TYPES,
    compile_for_sampling,
    count_flops,
    measure_peak,
    on_device,
    prepare_for_sampling,
)
from ddpm_cli.samplers import clip_x0, ddim
from ddpm_cli.shapes import Images

TASK = Task(128, (1, 2, 4), 64, 8)


def network_of(precision: str, compiled: bool) -> nn.Module:
    """The project's network as it samples."""
    network = prepare_for_sampling(on_device(TASK.network(), CPU), precision)
    return compile_for_sampling(network) if compiled else network


def bare(network: nn.Module) -> Iterator[Images]:
    """Call the network again and again."""
    x, t = (
        torch.randn(TASK.batch, TASK.channels, TASK.size, TASK.size),
        torch.full((TASK.batch,), 500.0),
    )
    while True:
        yield network(x, t)


def steps(network: nn.Module) -> Iterator[Images]:
    """Take steps of DDIM again and again."""
    denoise, x = (
        clip_x0(Denoiser(DIFFUSION, network)),
        torch.randn(TASK.batch, TASK.channels, TASK.size, TASK.size),
    )
    yield from chain.from_iterable(
        ddim(denoise, DIFFUSION, start, range(1000, 0, -1), torch.randn_like) for start in repeat(x)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="steps of each side (default: 9)")
    parser.add_argument(
        "--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"]
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="the project's network by torch.compile, which takes minutes",
    )
    options = parser.parse_args()
    runs = {"tutorial fp32": tutorial_sampling(TASK)}
    for precision in options.precisions:
        network = network_of(precision, options.compile)
        runs |= {f"network {precision}": bare(network), f"sampling {precision}": steps(network)}
    with torch.no_grad():  # round generators it would have to outlive torch
        seconds = interleaved({name: run.__next__ for name, run in runs.items()}, options.rounds)
    work = (
        TASK.batch * (count_flops(TASK.network(), (TASK.channels, TASK.size, TASK.size)) or 0) / 3
    )  # of them a backward pass has two parts
    print(
        f"dim {TASK.dim}, {TASK.size} px, batch {TASK.batch}, {torch.get_num_threads()} threads: "
        f"{work / 1e9:.0f} GFLOP a step"
    )
    for name, each in seconds.items():
        middle, limit = statistics.median(each), measure_peak(CPU, TYPES[name[-4:]])
        ratio = statistics.median(
            one / other for one, other in zip(seconds["tutorial fp32"], each, strict=True)
        )
        speed = f"{middle:7.3f} s, {TASK.batch / middle:6.2f} images/s  {ratio:5.2f}x"
        rate = f"{work / middle / 1e9:4.0f} GFLOP/s, {work / middle / limit:4.0%}"
        print(f"  {name:14} {speed}  {rate} of {limit / 1e9:.0f}")
    for precision in options.precisions:
        pairs = zip(seconds[f"sampling {precision}"], seconds[f"network {precision}"], strict=True)
        extra = statistics.median(whole / part - 1 for whole, part in pairs)
        print(f"  the sampler round the network, {precision}: {extra:+.1%}")
