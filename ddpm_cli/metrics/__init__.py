"""Metrics of sets of images by features: distances, scores and copies, with intervals."""

from ddpm_cli.metrics.density_coverage import density_coverage
from ddpm_cli.metrics.extractors import clip, clip_l14, dinov2, inception, inception_spatial, lite0
from ddpm_cli.metrics.features import Extractor, extract_features, pixels
from ddpm_cli.metrics.frechet import Moments, frechet, frechet_distance, frechet_infinity, moments
from ddpm_cli.metrics.gaussian_kernel import gaussian_distance
from ddpm_cli.metrics.inception_score import class_score
from ddpm_cli.metrics.intervals import Number, of_mean, of_share
from ddpm_cli.metrics.kernel import kernel_distance
from ddpm_cli.metrics.memorization import Copies, copies
from ddpm_cli.metrics.paired import Score, frechet_score, kernel_score, paired_difference
from ddpm_cli.metrics.precision_recall import nearest_neighbours, precision_recall
