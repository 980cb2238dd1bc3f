"""The Inception score: how sure a classifier is of each image, and of how many classes they are."""

import math

from ddpm_cli.metrics.intervals import Number, of_mean
from ddpm_cli.shapes import Features


def class_score(logits: Features) -> Number:
    """exp(mean KL(p(y|x) || p(y))) of all images at once (Salimans et al. 2016); the influence on its logarithm is the image's own KL."""
    chances = logits.double().log_softmax(dim=1)
    overall = chances.exp().mean(dim=0)
    apart = (chances.exp() * (chances - overall.log())).nan_to_num().sum(dim=1)
    found = of_mean(float(apart.mean()), apart)
    return Number(math.exp(found.value), math.exp(found.low), math.exp(found.high))
