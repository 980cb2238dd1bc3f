"""FD and KID of samples while a run trains; the metrics do not affect training."""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch

from ddpm_cli.commands.train.previews import ema_generator
from ddpm_cli.commands.train.run import Run
from ddpm_cli.console import fact
from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.images import to_bytes
from ddpm_cli.samplers import final_state
from ddpm_cli.seeds import MAX_STEPS
from ddpm_cli.shapes import Bytes, Images


def prepare_sample_metrics(run: Run) -> None:
    """Log the metrics of samples, and extract the features of training images."""
    trainer, metrics = run.trainer, run.sample_metrics
    against = f"{trainer.measure_images:,} samples against {len(metrics.images):,} training images"
    fact("metrics", f"{', '.join(trainer.measures)} of {against}")
    for name, reference in metrics.references.items():
        count = reference.features.shape[1]
        fact("features", f"{count:,} of each by {metrics.extractors[name].name}")


def measure_samples(run: Run) -> dict[str, float]:
    """Measure the EMA's samples, drawn from the same noise at every step; {} without metrics."""
    if not run.trainer.measures:
        return {}
    return score_samples(run, map(final_images, sample_batches(run)))


def sample_batches(run: Run) -> Iterator[Iterator[Images]]:
    """Yield this process's share of the samples in batches, each after every sampling step.

    Labels have the frequencies of the data, whichever label previews have.
    """
    n, size = run.trainer.measure_images, run.trainer.microbatch or run.trainer.batch_size
    mine, generator = range(n)[run.group.slice_of(n)], ema_generator(run)
    known = None if generator.options.label is None else run.data.labels
    labels = None if known is None else known[torch.tensor(evenly_spaced(len(known), n))]
    for batch in (mine[first : first + size] for first in range(0, len(mine), size)):
        # indices that no run of ddpm-sample reaches
        indices = range(MAX_STEPS + batch.start, MAX_STEPS + batch.stop)
        own = None if labels is None else labels[batch.start : batch.stop]
        yield generator.trajectory(indices, own)


@torch.no_grad()
def final_images(states: Iterator[Images]) -> Bytes:
    """The images of the last of a sampler's states."""
    return to_bytes(final_state(states)).cpu()


@torch.no_grad()
def score_samples(run: Run, batches: Iterable[Bytes]) -> dict[str, float]:
    """The metrics of samples, the same in every process. batches: this process's share."""
    metrics, group = run.sample_metrics, run.group
    parts = group.gather([metrics.features(images) for images in batches])
    every = list(chain.from_iterable(parts))
    features = {name: torch.cat([each[name] for each in every]) for name in metrics.extractors}
    return group.broadcast(metrics.scores(features) if group.rank == 0 else {})
