"""The endless, resumable stream of batches."""

from ddpm_cli.loading.shuffled import Batch, Stream, batches
from ddpm_cli.loading.streamed import Position, StreamShare, streamed_batches
