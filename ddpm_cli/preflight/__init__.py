"""Preflight: what can be known of a run before its first step. Every check looks, and leaves all as it was."""

from ddpm_cli.preflight.data import contents
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.learning import images, schedule
from ddpm_cli.preflight.oracle import oracle
from ddpm_cli.preflight.resources import disk, estimate, memory
from ddpm_cli.preflight.trial import Trial, gradients, trial, try_parts
