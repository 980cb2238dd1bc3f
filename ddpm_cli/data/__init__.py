"""Data: sources of images, their preparation, and the endless resumable stream of batches."""

from ddpm_cli.data.archives import archive
from ddpm_cli.data.arrays import arrays
from ddpm_cli.data.folders import folder
from ddpm_cli.data.preparation import ImageSet, Preparation, prepared
from ddpm_cli.data.several import several
from ddpm_cli.data.sources import Source, digits, hub
from ddpm_cli.data.stream import Batch, Stream, batches
