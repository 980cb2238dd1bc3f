"""A checkpoint is one file that says all about its run, is written whole or not at all, and runs no code when it is read."""

from ddpm_cli.checkpoints.environment import environment
from ddpm_cli.checkpoints.file import load, write
from ddpm_cli.checkpoints.folder import keep, newest_first
from ddpm_cli.checkpoints.migrations import FORMAT, MIGRATIONS
from ddpm_cli.checkpoints.staging import Memory
from ddpm_cli.checkpoints.validation import FACTS, FIELDS
