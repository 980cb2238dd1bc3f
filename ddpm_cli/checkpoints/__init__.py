"""A checkpoint: one file for a whole run, written as a whole, read without running code."""

from ddpm_cli.checkpoints.faults import FACTS, FIELDS
from ddpm_cli.checkpoints.file import Checkpoint, environment, write_checkpoint
from ddpm_cli.checkpoints.folder import (
    BEST,
    LAST,
    agree_on_checkpoint,
    newest_first,
    newest_readable,
    write_and_prune,
)
from ddpm_cli.checkpoints.formats import FORMAT, MIGRATIONS
from ddpm_cli.checkpoints.staging import StagingBuffers
