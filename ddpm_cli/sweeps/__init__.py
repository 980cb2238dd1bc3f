"""Sweeps: what became of each job, what a sweep was started with, and what its options did. Imports no torch."""

from ddpm_cli.sweeps.effects import Effect, by_rank, effects, given_options, swept_options
from ddpm_cli.sweeps.extras import plug_in
from ddpm_cli.sweeps.job import Job, run_or_skip_job
from ddpm_cli.sweeps.sweep import (
    BEGUN,
    Started,
    Sweep,
    read_sweep,
    resume_arguments,
    resume_command,
    save_manifest,
)
