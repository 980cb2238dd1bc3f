#!/usr/bin/env python
"""Measure the speed of two gloo processes of one thread each over one process of two threads."""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.distributed as dist
from baseline import Task, project, state_of

from ddpm_cli.hardware import prepare_for_training
from ddpm_cli.parallel import ALONE, ProcessGroup, distribute, join_group
from ddpm_cli.parallel.launch import run_in_processes
from ddpm_cli.training import Progress


def training(options: argparse.Namespace, group: ProcessGroup) -> Iterator[Progress]:
    """A training run of random images in these processes."""
    task = Task(options.dim, tuple(options.mults), options.size, options.batch)
    state = state_of(task)
    network = prepare_for_training(state.denoiser.network, "fp32", compiled=False, recomputed=False)
    network = distribute(network, "ddp", group)
    state.denoiser = replace(state.denoiser, network=network)
    return project(task, state, group)


def seconds(run: Iterator[Progress], threads: int, steps: int) -> list[float]:
    """The seconds of each of some steps."""
    torch.set_num_threads(threads)
    found = []
    for _ in range(steps):
        since = time.perf_counter()
        next(run)
        found.append(time.perf_counter() - since)
    return found


def measure(options: argparse.Namespace) -> bool:
    """Time one process, while the other waits, and both in turns."""
    with join_group(torch.device("cpu")) as group:
        both, alone, times = (
            training(options, group),
            training(options, ALONE) if group.rank == 0 else None,
            ([], []),
        )
        for turn in range(options.rounds + 1):
            kept = options.steps * (turn > 0)  # the first round warms up
            times[0].extend(seconds(alone, 2, options.steps)[:kept] if group.rank == 0 else [])
            dist.barrier()
            times[1].extend(seconds(both, 1, options.steps)[:kept])
            dist.barrier()
        if group.rank == 0:
            one, two = map(statistics.median, times)
            print(
                f"dim {options.dim}, mults {options.mults}, {options.size} px, "
                f"batch {options.batch}: medians of {len(times[0])} steps"
            )
            print(
                f"one process, two threads: {one:.3f} s a step, {options.batch / one:.2f} images/s"
            )
            print(
                f"two processes, a thread each: {two:.3f} s a step, "
                f"{options.batch / two:.2f} images/s"
            )
            print(f"ratio {one / two:.2f} (wanted: at least 0.85)")
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, default in {"dim": 128, "size": 64, "batch": 8, "steps": 2, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mults", type=int, nargs="+", default=[1, 2, 4])
    run_in_processes(2, measure, parser.parse_args(), folder_is_named=True)
