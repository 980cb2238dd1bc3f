"""The Inception score: a classifier's certainty of images, and the number of their classes."""

import math

from ddpm_cli.metrics.intervals import Number, of_mean
from ddpm_cli.shapes import Features


def class_score(logits: Features) -> Number:
    """exp(mean KL(p(y|x) || p(y))) of all images at once (Salimans et al. 2016).

    An image's influence on the logarithm is its own KL.
    """
    chances = logits.double().log_softmax(dim=1)
    overall = chances.exp().mean(dim=0)
    apart = (chances.exp() * (chances - overall.log())).nan_to_num().sum(dim=1)
    log_score = of_mean(float(apart.mean()), apart)
    return Number(math.exp(log_score.value), math.exp(log_score.low), math.exp(log_score.high))
