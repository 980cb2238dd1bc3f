"""Sources of images, and their preparation."""

from ddpm_cli.data.decoding import Decoded
from ddpm_cli.data.image_set import ImageSet, assemble_image_set, load_image_set
from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.archives import archive
from ddpm_cli.data.sources.arrays import arrays
from ddpm_cli.data.sources.folders import folder
from ddpm_cli.data.sources.hub import digits, hub
from ddpm_cli.data.sources.mixture import several
from ddpm_cli.data.sources.source import Source, StreamedTable
from ddpm_cli.data.storage import decode_source
from ddpm_cli.images import ImageArray, select_images
