"""The Inception score: a classifier's certainty of images, and the number of their classes."""

import math

import numpy as np
import torch

from ddpm_cli.metrics.intervals import Number
from ddpm_cli.shapes import Features, Scalar

SPLITS, SEED = 10, 2020  # parts of the images, and torch-fidelity's seed of their order
STUDENT = 2.2621571628540993  # standard errors on either side that hold 95% for ten splits


def class_score(logits: Features) -> Number:
    """The mean over ten splits of exp(mean KL(p(y|x) || p(y))) (Salimans et al. 2016).

    The splits are torch-fidelity's. The interval is Student's, of the ten scores.
    """
    if len(logits) < SPLITS:
        rule = f"an Inception score takes at least {SPLITS} images, one for each split"
        raise ValueError(f"{rule}, but there are {len(logits)}")
    order = torch.from_numpy(np.random.RandomState(SEED).permutation(len(logits)))
    ends = [len(logits) * place // SPLITS for place in range(1, SPLITS)]
    scores = torch.stack([split_score(split) for split in logits[order].tensor_split(ends)])
    mean, half = float(scores.mean()), STUDENT * float(scores.std()) / math.sqrt(SPLITS)
    return Number(mean, mean - half, mean + half)


def split_score(logits: Features) -> Scalar:
    """The score of one split."""
    chances = logits.double().log_softmax(dim=1)
    overall = chances.exp().mean(dim=0)
    apart = (chances.exp() * (chances - overall.log())).nan_to_num().sum(dim=1)
    return apart.mean().exp()
