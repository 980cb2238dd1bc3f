"""Data: sources of images, their preparation, and the endless resumable stream of batches."""

from ddpm_cli.data.archives import archive
from ddpm_cli.data.arrays import arrays
from ddpm_cli.data.decoding import Decoded
from ddpm_cli.data.folders import folder
from ddpm_cli.data.image_set import ImageSet, prepared, together
from ddpm_cli.data.keeping import decoded
from ddpm_cli.data.pictures import Pictures, select
from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.report import Report, report
from ddpm_cli.data.several import several
from ddpm_cli.data.sources import Rows, Source, digits, hub
from ddpm_cli.data.stream import Batch, Stream, batches
from ddpm_cli.data.streaming import Position, Share, streamed
