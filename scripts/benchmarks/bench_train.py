#!/usr/bin/env python
"""Time training steps against a tutorial's of the same network, in turns, on the CPU.

`network` is the project's forward pass, backward pass and optimizer alone; `training` is its loop.
"""

import argparse
import statistics

import torch
from baseline import CPU, DIFFUSION, Sides, Task, bare, interleaved, project, state_of, tutorial

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.hardware import TYPES, count_flops, measure_peak
from ddpm_cli.loading import Batch
from ddpm_cli.training import noise_batch


def steps(task: Task, precisions: list[str]) -> Sides:
    """The steps that are compared."""
    runs = {"tutorial fp32": tutorial(task)}
    for precision in precisions:
        state = state_of(task, precision)
        runs |= {
            f"network {precision}": bare(task, state),
            f"training {precision}": project(task, state),
        }
    return {name: run.__next__ for name, run in runs.items()}


def compare(task: Task, precisions: list[str], rounds: int) -> None:
    """Print medians, quartiles, the ratio to the tutorial's step, FLOPs, the cost of the loop."""
    seconds = interleaved(steps(task, precisions), rounds)
    work = task.batch * count_flops(task.network(), (task.channels, task.size, task.size))
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    print(
        f"dim {task.dim}, mults {task.mults}, {task.size} px, batch {task.batch}: "
        f"{work / 1e9:.0f} GFLOP a step, {rounds} rounds"
    )
    for name, each in seconds.items():
        low, _, high = statistics.quantiles(each, n=4)
        limit, rate = measure_peak(CPU, TYPES[name[-4:]]), work / middle[name]
        ratio = statistics.median(
            one / other for one, other in zip(seconds["tutorial fp32"], each, strict=True)
        )
        speed = f"{middle[name]:7.3f} s ({low:.3f} to {high:.3f})  {ratio:5.2f}x"
        share = f"{rate / 1e9:4.0f} GFLOP/s, {rate / limit:4.0%} of {limit / 1e9:.0f}"
        print(f"  {name:14} {speed}  {share}")
    for precision in precisions:
        pairs = zip(seconds[f"training {precision}"], seconds[f"network {precision}"], strict=True)
        extra = statistics.median(whole / part - 1 for whole, part in pairs)
        print(f"  the loop round the network, {precision}: {extra:+.1%}")


def randomness(task: Task, rounds: int) -> None:
    """Print what keyed noise and times cost a step, over those of one generator."""
    batch = Batch(task.images(), None, torch.arange(task.batch))
    denoiser = Denoiser(DIFFUSION, task.network())
    sides = {
        "keyed": lambda: noise_batch(denoiser, batch, 0, 3, CPU),
        "from one": lambda: (
            torch.randn(batch.images.shape),
            torch.randint(1, 1001, (task.batch,)),
        ),
        "neither": lambda: DIFFUSION.add_noise(
            batch.images / 127.5 - 1, batch.images / 127.5, torch.full((task.batch,), 500)
        ),
        "step": project(task, state_of(task)).__next__,
    }
    middle = {name: statistics.median(each) for name, each in interleaved(sides, rounds).items()}
    extra = middle["keyed"] - middle["neither"] - middle["from one"]
    print(
        f"keyed randomness: {extra * 1e3:.2f} ms of a {middle['step'] * 1e3:.1f} ms step of "
        f"{task.batch} images of {task.size} px, {extra / middle['step']:.2%}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="steps of each side")
    parser.add_argument(
        "--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"]
    )
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads; convolutions reach", end=" ")
    print(
        ", ".join(
            f"{measure_peak(CPU, TYPES[name]) / 1e9:.0f} GFLOP/s in {name}"
            for name in options.precisions
        )
    )
    tasks = Task(128, (1, 2, 4), 64, 4), Task(32, (1, 2, 4), 32, 16)
    for task in tasks:
        compare(task, options.precisions, options.rounds)
    randomness(Task(16, (1, 2, 4), 8, 64, 1), 10 * options.rounds)  # digits
    for task in tasks:
        randomness(task, options.rounds)
