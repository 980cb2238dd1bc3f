"""A checkpoint is one file that says all about its run, is written whole or not at all, and runs no code when it is read."""

from ddpm_cli.checkpoints.copies import Memory
from ddpm_cli.checkpoints.faults import FACTS, FIELDS
from ddpm_cli.checkpoints.file import content, environment, load, restore, write
from ddpm_cli.checkpoints.folder import keep, newest_first
from ddpm_cli.checkpoints.migrations import FORMAT, MIGRATIONS
