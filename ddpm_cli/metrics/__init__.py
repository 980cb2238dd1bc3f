"""Metrics: how far two sets of images are apart, as the moments of features tell it."""

from ddpm_cli.metrics.features import extracted, pixels
from ddpm_cli.metrics.frechet import Moments, frechet_distance, moments
