"""The pictures in a run's folder."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from PIL import Image

from ddpm_cli.files import regular_file
from ddpm_cli.run_folder.layout import GRID

PREVIEWS = 16  # images in a grid of samples
MOST_PIXELS, MOST_BYTES = 2**25, 2**27  # of a picture that is read


def read_pngs(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Read the pictures in files; a missing, damaged or huge picture is left out."""
    pictures = {}
    for path in paths:
        try:
            with regular_file(path).open("rb") as file:
                data = file.read(MOST_BYTES)
            with Image.open(BytesIO(data), formats=["PNG"]) as image:
                if image.width * image.height > MOST_PIXELS:
                    continue
                image.load()
            pictures[path] = data
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return pictures


def sample_grids(folder: Path) -> dict[int, Path]:
    """The paths of the grids of samples, by step."""
    paths = sorted(folder.glob(GRID.replace("{:08d}", "[0-9]" * 8)))
    return {int(path.stem.removeprefix("step_")): path for path in paths}
