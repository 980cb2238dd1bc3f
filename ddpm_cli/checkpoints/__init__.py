"""A checkpoint: one file for a whole run, written as a whole, read without running code."""

from ddpm_cli.checkpoint_paths import LAST, best_checkpoint, existing_file, newest_first
from ddpm_cli.checkpoints.checkpoint import (
    WEIGHTS,
    Checkpoint,
    checked_fields,
    environment,
    write_checkpoint,
)
from ddpm_cli.checkpoints.folder import agree_on_checkpoint, newest_readable, write_and_prune
from ddpm_cli.checkpoints.published import checkpoint_path, file_hash
from ddpm_cli.checkpoints.staging import StagingBuffers, copy_of
from ddpm_cli.checkpoints.tensor_names import split_optimizer, tensors_by_name
