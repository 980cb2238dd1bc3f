"""Sources of images, and the options of their preparation."""

from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.archives import archive
from ddpm_cli.data.sources.arrays import arrays
from ddpm_cli.data.sources.folders import folder
from ddpm_cli.data.sources.hub import digits, hub
from ddpm_cli.data.sources.idx import idx
from ddpm_cli.data.sources.mixture import several
from ddpm_cli.data.sources.source import HeldOutSplit, Source, StreamedTable
