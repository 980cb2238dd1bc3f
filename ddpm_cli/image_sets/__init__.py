"""Sets of prepared images: decoded, cached, labelled, split."""

from ddpm_cli.image_sets.decoding import Decoded
from ddpm_cli.image_sets.image_set import ImageSet, assemble_image_set, load_image_set
from ddpm_cli.image_sets.storage import decode_source
