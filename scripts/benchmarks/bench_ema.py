#!/usr/bin/env python
"""Measure what the averages of trainer.ema_lengths cost a training step.

It times whole steps without and with two lengths, in turns, and the update of two lengths alone,
which noise of the machine hides less. Both are given as a share of the step without lengths.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from baseline import Task, interleaved, project, state_of

from ddpm_cli.averages.tracking import update_power_emas
from ddpm_cli.training import TrainState

LENGTHS = (0.05, 0.10)
TASKS = (  # the digits, colour images, and a network that is large for its images
    Task(16, (1, 2, 4), 64, 64, 1),
    Task(32, (1, 2, 4), 32, 16),
    Task(64, (1, 2, 4), 64, 8),
    Task(128, (1, 2, 4), 64, 4),
)


def waiting(act: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """A call that ends when a GPU has done it."""

    def act_and_wait() -> None:
        act()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return act_and_wait


def update_of(state: TrainState) -> Callable[[], object]:
    """One update of a state's averages."""
    parameters = state.averages.parameters()
    current = list(state.denoiser.network.parameters())
    skipped = torch.zeros((), dtype=torch.bool, device=state.denoiser.device)
    return lambda: update_power_emas(state.averages, parameters, current, skipped)


def compare(task: Task, lengths: Sequence[float], rounds: int, device: torch.device) -> None:
    """Print the medians, and the cost of the lengths as a share of a step without them."""
    plain, tracking = (state_of(task, device=device, ema_lengths=each) for each in ((), lengths))
    options = {"device": device.type}
    sides = {
        "step": project(task, plain, **options).__next__,
        "with lengths": project(task, tracking, **options).__next__,
        "update alone": update_of(tracking),
    }
    seconds = interleaved({name: waiting(act, device) for name, act in sides.items()}, rounds)
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    pairs = zip(seconds["with lengths"], seconds["step"], strict=True)
    whole = statistics.median(one / other - 1 for one, other in pairs)
    count = sum(each.numel() for each in plain.denoiser.network.parameters())
    print(
        f"dim {task.dim}, {task.size} px, batch {task.batch}, {count:,} parameters: "
        f"a step {middle['step'] * 1e3:.1f} ms, with {len(lengths)} lengths {whole:+.1%}, "
        f"their update alone {middle['update alone'] * 1e3:.2f} ms, "
        f"{middle['update alone'] / middle['step']:.2%}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21, help="steps of each side")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--lengths", type=float, nargs="+", default=list(LENGTHS))
    args = parser.parse_args()
    began = time.perf_counter()
    for each in TASKS:
        compare(each, args.lengths, args.rounds, torch.device(args.device))
    print(f"{torch.get_num_threads()} threads, {time.perf_counter() - began:.0f} s")
