"""Checks of a run before its first step; no check changes anything."""

from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.image_checks import check_batch_images, check_held_out, check_image_sets
from ddpm_cli.preflight.option_check import check_attention, check_options
from ddpm_cli.preflight.oracle import check_oracle
from ddpm_cli.preflight.resources import check_disk, check_memory, estimate_time
from ddpm_cli.preflight.schedule_check import check_schedule
from ddpm_cli.preflight.trial import Trial, check_gradients, run_trial, try_parts
