"""Pictures that a run left in its folder."""

from pathlib import Path

from PIL import Image

SAMPLES = "step_" + "[0-9]" * 8 + ".png"
PREVIEWS = 16


def read_png(path: Path) -> bytes | None:
    """The picture in a file; None where there is none that can be seen."""
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            opened.load()
        return path.read_bytes()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def sample_grids(folder: Path) -> dict[int, Path]:
    """The grids of samples by step."""
    return {
        int(path.stem.removeprefix("step_")): path
        for path in sorted((folder / "samples").glob(SAMPLES))
    }
