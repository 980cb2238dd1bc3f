"""The endless, resumable stream of batches."""

from ddpm_cli.images import Batch
from ddpm_cli.loading.shuffled import BatchDataset, batches
from ddpm_cli.loading.streamed import Position, StreamShare, streamed_batches
