"""How good a run's samples are, in numbers that are taken as it trains and change nothing of it."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

import torch

from ddpm_cli.commands.train.previews import sample_ema
from ddpm_cli.commands.train.run import Run
from ddpm_cli.evaluation.against_training import evenly_spaced
from ddpm_cli.images import to_bytes
from ddpm_cli.seeds import LONGEST
from ddpm_cli.shapes import Bytes, Images


def measure_samples(run: Run) -> dict[str, float]:
    """The measures of the average's samples where it is time for them, from the same noise at every step of the run."""
    due = run.state.step % run.trainer.measure_every == 0 or run.state.step == run.steps
    return (
        score_samples(run, map(final_images, sample_batches(run)))
        if due and run.trainer.measures
        else {}
    )


def sample_batches(run: Run) -> Iterator[Iterator[Images]]:
    """This process's share of the samples, batch by batch, each after every step of the sampler; labels are as often as in the data."""
    n, size = run.trainer.measure_images, run.trainer.microbatch or run.trainer.batch_size
    mine = range(n)[run.group.slice_of(n)]
    known = run.data.labels if run.state.denoiser.conditional else None
    labels = None if known is None else known[evenly_spaced(n, len(known))]
    for few in (mine[first : first + size] for first in range(0, len(mine), size)):
        places = range(
            LONGEST + few.start, LONGEST + few.stop
        )  # of images that no sampling run comes to
        yield sample_ema(run, places, None if labels is None else labels[few.start : few.stop])


@torch.no_grad()
def final_images(states: Iterator[Images]) -> Bytes:
    """The images that a sampler comes to."""
    return to_bytes(deque(states, maxlen=1)[0]).cpu()


@torch.no_grad()
def score_samples(run: Run, mine: Iterable[Bytes]) -> dict[str, float]:
    """The measures of samples, of which these are this process's; every process is told the same numbers."""
    every = list(
        chain.from_iterable(
            run.group.gather([run.sample_metrics.features(images) for images in mine])
        )
    )
    whole = {
        name: torch.cat([features[name] for features in every])
        for name in run.sample_metrics.extractors
    }
    return run.group.broadcast(run.sample_metrics.scores(whole) if run.group.is_first else {})
