#!/usr/bin/env python
"""Measure what a checkpoint costs training.

It compares the time between two steps without a checkpoint, with one that the loop waits for, and
with one that the thread writes. The thread needs a core: if training computes on all cores
(--threads), the thread takes time from its steps.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from baseline import Task, project, state_of
from omegaconf import OmegaConf

from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.training import Progress, snapshot

QUIET = 4  # steps before each save, the first of which is not counted
FACTS = {"fingerprint": "", "shape": [3, 16, 16], "classes": [], "steps": 10**6}


def gaps(steps: Iterator[Progress], count: int) -> list[float]:
    """The seconds between so many steps."""
    times = [time.perf_counter()]
    for _ in range(count):
        next(steps)
        times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


def measured(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield (kind, seconds), of saves that the loop waits for and of the thread's in turns."""
    task, cfg = (
        Task(args.dim, (1, 2, 4), 16, args.batch),
        OmegaConf.load(CONFIG_DIR / "trainer/single.yaml"),
    )
    state = state_of(task)
    moments: list[float] = []  # before and after the optimizer has waited for the copy
    state.optimizer.register_step_pre_hook(lambda *_: moments.append(time.perf_counter()))
    saver, steps = AsyncWriter(folder, state.optimizer, last=1, every=None), project(task, state)
    state.optimizer.register_step_pre_hook(lambda *_: moments.append(time.perf_counter()))
    next(steps)
    print(
        f"state   {16 * sum(each.numel() for each in state.ema.parameters()) / 2**20:.0f} MiB: "
        "network, EMA and two moments"
    )
    for place in range(2 * args.rounds):
        yield from (("alone", each) for each in gaps(steps, QUIET)[1:])
        began = time.perf_counter()
        saver.begin(snapshot.take_snapshot(state, cfg, **FACTS))
        if place % 2 == 0:
            saver.end()
            yield "waited", time.perf_counter() - began + gaps(steps, 1)[0]
            continue
        begun, writing, taken = time.perf_counter() - began, saver.running[2], gaps(steps, 1)
        yield "held", begun + moments[-1] - moments[-2]
        yield "beside", begun + taken[0]
        while not writing.done():
            taken += gaps(steps, 1)
        yield "writing", begun + sum(taken)
        yield "steps", len(taken)


def report(found: dict[str, list[float]]) -> None:
    """Print medians in milliseconds, and what follows from them."""
    kinds = ("alone", "waited", "held", "beside", "writing")
    alone, waited, held, beside, writing = (1000 * statistics.median(found[kind]) for kind in kinds)
    cost = writing - alone * statistics.median(found["steps"])
    print(
        f"gap     between two steps {alone:.0f} ms without a save, "
        f"{waited:.0f} ms waiting for one, {beside:.0f} ms with the thread's"
    )
    print(
        f"stall   {waited - alone:.0f} ms waiting; {held:.0f} ms with the thread, "
        "before the next step and before its optimizer's"
    )
    print(
        f"ratio   {held / (waited - alone):.3f}; {(beside - alone) / (waited - alone):.3f} "
        "with what the thread takes from that step"
    )
    print(
        f"beside  the steps while the thread writes take {cost:.0f} ms more in all, "
        f"{100 * cost / (writing - cost):.0f} %"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="saves of each kind (default: 9)")
    parser.add_argument(
        "--dim",
        type=int,
        default=64,
        help="base width of the network (default: 64, 126 MiB of state)",
    )
    parser.add_argument(
        "--batch", type=int, default=8, help="images of 16 x 16 in a step (default: 8)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=torch.get_num_threads(),
        help="of training (default: as many as torch takes)",
    )
    parser.add_argument(
        "--folder",
        help="folder of the files, for disks differ (default: the system's temporary folder)",
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: dict[str, list[float]] = {}
    with TemporaryDirectory(dir=args.folder) as folder:
        for kind, seconds in measured(args, Path(folder)):
            found.setdefault(kind, []).append(seconds)
    print(
        f"threads {args.threads} of {os.cpu_count()} cores; "
        f"medians of {args.rounds} saves of each kind, in turns"
    )
    report(found)
