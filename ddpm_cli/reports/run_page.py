"""The page of a run: report.html in its folder."""

from pathlib import Path

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.checkpoints import Checkpoint, newest_first, newest_readable
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.files import write_atomically
from ddpm_cli.models import load_denoiser
from ddpm_cli.parallel.group import FAILURES
from ddpm_cli.rendering.html import Section, page, pairs
from ddpm_cli.reports import run_sections
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.run_folder.rows import metric_rows

WRONG = (*FAILURES, HydraException, OmegaConfBaseException, yaml.YAMLError)


def write_run_page(folder: Path, device: str, trust: list[str]) -> Path:
    """Writes the card of the run in a folder, from its newest checkpoint that can be read."""
    if not (paths := newest_first(folder)):
        raise ValueError(
            f"run must be the folder of a training run, but there is no checkpoint in {str(folder / 'checkpoints')!r}"
        )
    checkpoint = newest_readable(paths).trusting(trust)
    return render_run_page(
        folder, checkpoint, load_denoiser(checkpoint, weights="ema", device=device, trust=trust)
    )


def render_run_page(folder: Path, checkpoint: Checkpoint, denoiser: Denoiser) -> Path:
    """Writes `report.html`.

    checkpoint: the newest of the run. denoiser: with the weights of the EMA.
    """
    path, told = folder / "report.html", folder / "metrics.jsonl"
    curves = Curves(folder, {}, list(metric_rows(told)) if told.is_file() else [])
    sections = [
        Section("What was trained", [pairs(run_sections.trained(folder, checkpoint, curves))]),
        Section("Samples", run_sections.samples(folder)),
        Section("How one comes about", run_sections.film(checkpoint, denoiser)),
        Section("Numbers", run_sections.numbers(curves)),
        Section("Metrics", run_sections.judged(folder)),
        Section("What it saw", run_sections.seen(folder)),
        Section("How to do it again", run_sections.again(folder, checkpoint)),
        Section("What went wrong", run_sections.wrong(folder)),
        Section("Environment", [pairs(checkpoint.environment)]),
    ]
    text = page(f"Run {folder.name}", sections)
    write_atomically(path, lambda partial: partial.write_bytes(text.encode()))
    return path
