"""Schedules, times and noise that tests of samplers share."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.schedules import cosine, linear

LINEAR, COSINE = GaussianDiffusion.from_betas(linear()), GaussianDiffusion.from_betas(cosine())

TIMES = st.lists(st.floats(1, 1000), min_size=1, max_size=6, unique_by=lambda t: round(t, 1)).map(
    lambda times: [*sorted(times)[::-1], 0]
)

FEW = settings(derandomize=True, max_examples=15, deadline=None)


def seeded(seed=0):
    """Noise in order of use."""
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=generator)


def silent(like):
    raise AssertionError("no noise is asked for")


def image(value, dtype=torch.float64):
    return torch.full((1, 1, 1, 1), value, dtype=dtype)


def normals(count, dtype=torch.float64):
    return torch.randn(count, 1, 4, 4, dtype=dtype, generator=torch.Generator().manual_seed(2))
