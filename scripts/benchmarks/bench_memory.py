#!/usr/bin/env python
"""Measure the peak memory of training steps, ours and a tutorial's, each in a fresh process.

The memory of the step is that of gradients, activations and kernels. It excludes the state that
stays: weights, moments and the EMA, which tutorials do not have. Freed memory is returned at once
(MALLOC_MMAP_THRESHOLD_), so that it does not count.
"""

import argparse
import os
import resource
import subprocess
import sys
from itertools import islice

import torch
from baseline import Task, project, state_of, tutorial

SIDES = ("tutorial fp32", "project fp32", "project bf16", "recomputed fp32", "recomputed bf16")
STEPS = 2  # moments are there from the second on


def peak() -> float:
    """The most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(side: str, task: Task) -> float:
    """MiB that some steps of a side take beyond what the process had before."""
    kind, precision = side.split()
    torch.nn.Conv2d(3, 8, 3)(
        torch.zeros(1, 3, 8, 8)
    ).sum().backward()  # what the kernels need at their first use
    before = peak()
    for _ in islice(
        tutorial(task)
        if kind == "tutorial"
        else project(task, state_of(task, precision, kind == "recomputed")),
        STEPS,
    ):
        pass
    return peak() - before


def report(task: Task, arguments: list[str]) -> None:
    """Print the memory of every side, in all and for the step."""
    told = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    whole = {
        side: float(subprocess.check_output([sys.executable, *arguments, "--side", side], env=told))
        for side in SIDES
    }
    weights = sum(each.numel() for each in task.network().parameters()) * 4 / 2**20
    own = {side: each - weights * (3 if side == SIDES[0] else 4) for side, each in whole.items()}
    print(
        f"dim {task.dim}, mults {task.mults}, {task.size} px, batch {task.batch}; "
        f"weights of {weights:.0f} MiB"
    )
    print(f"{'':18}{'the step':>8}{'':17}in all")
    for side in SIDES:
        ratios = own[side] / own[SIDES[0]], whole[side] / whole[SIDES[0]]
        print(
            f"  {side:16} {own[side]:5.0f} MiB  {ratios[0]:.2f}x  "
            f"{whole[side]:8.0f} MiB  {ratios[1]:.2f}x"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in {"dim": 128, "size": 128, "batch": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default: {default})")
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process")
    options = parser.parse_args()
    task = Task(options.dim, (1, 2, 4), options.size, options.batch)
    if options.side:
        print(measure(options.side, task))
    else:
        report(task, sys.argv)
