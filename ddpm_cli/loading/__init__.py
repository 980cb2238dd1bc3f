"""The endless, resumable stream of batches."""

from ddpm_cli.loading.shuffled import Batch, BatchDataset, batches
from ddpm_cli.loading.streamed import Position, StreamShare, streamed_batches
