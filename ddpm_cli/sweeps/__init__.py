"""Sweeps: what became of each job, what a sweep was started with, and what its options did. Imports no torch."""

from ddpm_cli.sweeps.effects import Effect, by_rank, effects, given, swept
from ddpm_cli.sweeps.extras import plug_in
from ddpm_cli.sweeps.job import Job, kept
from ddpm_cli.sweeps.sweep import BEGUN, Started, Sweep, again, read, save_manifest
