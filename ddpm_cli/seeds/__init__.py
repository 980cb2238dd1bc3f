"""Randomness as a function of (seed, purpose, position), never of what ran before."""

from ddpm_cli.seeds.normals import keyed_normal
from ddpm_cli.seeds.purpose import MAX_IMAGES, MAX_STEPS, RANDOMNESS, Purpose, check_seed
from ddpm_cli.seeds.sequences import rng_at, torch_seed, words_at
