#!/usr/bin/env python
"""Measure what evaluations cost a default run on the digits.

The cost is the time of an evaluation over that of the steps between two; both are timed in turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from hydra import compose, initialize_config_dir

from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.commands.train.validation import validate
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.training import fit


def seconds(act: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    since = time.perf_counter()
    act()
    return time.perf_counter() - since


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="evaluations (default: 9)")
    parser.add_argument(
        "--steps", type=int, default=10, help="steps timed before each (default: 10)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=torch.get_num_threads(),
        help="of torch (default: as many as it takes)",
    )
    parser.add_argument("overrides", nargs="*", help="of ddpm-train")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"), TemporaryDirectory() as folder:
        run = set_up_run(
            compose("train", [*args.overrides, "trainer.device=cpu"]),
            Invocation(Path(folder)),
            ProcessGroup(),
            {},
        )
        training = fit(run.trainer, run.state, run.batches_from(0), run.loss, steps=10**6, seed=0)
        list(islice(training, 3)), validate(run)
        rounds = [
            (
                seconds(lambda: list(islice(training, args.steps))) / args.steps,
                seconds(lambda: validate(run)),
            )
            for _ in range(args.rounds)
        ]
    step, evaluation = (statistics.median(each) for each in zip(*rounds, strict=True))
    every = run.cadences.evaluate_every
    print(
        f"threads {args.threads}; medians of {args.rounds}: "
        f"a step {1000 * step:.1f} ms, an evaluation {1000 * evaluation:.1f} ms"
    )
    print(f"ratio   {evaluation / (every * step):.4f} of the {every} steps between two evaluations")
