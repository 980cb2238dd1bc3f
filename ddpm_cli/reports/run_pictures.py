"""The pictures on the page of a run, by caption or place, made smaller if they must be."""

from pathlib import Path

from ddpm_cli.rendering.html import fit_picture, fit_pictures
from ddpm_cli.run_folder.layout import DATA, FORWARD, HELD_OUT
from ddpm_cli.run_folder.pictures import read_pngs, sample_grids
from ddpm_cli.spacing import first_to_last

GRIDS = 50  # the most grids of samples
OF_SAMPLES, OF_PICTURE = 4_000_000, 700_000  # the most bytes in the page


def sample_pictures(folder: Path) -> dict[str, bytes]:
    """The grids of samples by training step."""
    grids = list(sample_grids(folder).items())
    steps = {
        path: step for step, path in (grids[place] for place in first_to_last(len(grids), GRIDS))
    }
    pictures = {f"step {steps[path]:,}": data for path, data in read_pngs(steps).items()}
    return fit_pictures(pictures, OF_SAMPLES)


def data_pictures(folder: Path) -> dict[str, bytes]:
    """The pictures of the data, of the noise and of the held-out losses, by file."""
    pictures = read_pngs(folder / name for name in (DATA, FORWARD, HELD_OUT))
    return {path.name: fit_picture(data, OF_PICTURE) for path, data in pictures.items()}
