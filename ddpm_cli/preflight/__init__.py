"""Preflight: what can be known of a run before its first step. Every check looks, and leaves all as it was."""

from ddpm_cli.preflight.contents import contents
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.learning import Trial, gradients, images, oracle, schedule, trial, try_parts
from ddpm_cli.preflight.room import disk, estimate, memory
