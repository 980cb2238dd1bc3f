"""Sweeps: their jobs, the commands that began them, and the effects of options; without torch."""

from ddpm_cli.sweeps.effects import Effect, by_rank, effects, given_options, swept_options
from ddpm_cli.sweeps.job import Job, run_or_skip_job
from ddpm_cli.sweeps.sweep import (
    BEGUN,
    MANIFEST,
    Started,
    Sweep,
    is_sweep,
    read_sweep,
    resume_arguments,
    resume_command,
    save_manifest,
)
