"""The page of a run: report.html in its folder."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import yaml
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.checkpoints import LAST, Checkpoint, newest_first, newest_readable
from ddpm_cli.components import load_denoiser
from ddpm_cli.config.build import FAILURES
from ddpm_cli.hardware import words_for_full_memory
from ddpm_cli.images import ImageArray
from ddpm_cli.process.writer_lock import writer_lock
from ddpm_cli.rendering.html import save_page
from ddpm_cli.reports import run_numbers, run_pictures
from ddpm_cli.reports.nearest import save_nearest
from ddpm_cli.reports.reproduce import checkpoint_to_sample, run_commands
from ddpm_cli.reports.samples import nearest_picture, sample_pictures
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.layout import REPORT
from ddpm_cli.run_folder.rows import metric_rows

read_for_page = partial(Checkpoint.load, parts=("ema", "history"))
WRONG = (*FAILURES, HydraException, OmegaConfBaseException, yaml.YAMLError)


@words_for_full_memory("ddpm-report with device=cpu draws the film without a GPU")
def write_run_page(
    folder: Path, device: str, trust: Iterable[str], training: ImageArray | None = None
) -> Path:
    """Write the page of the run in a folder, from its newest checkpoint that can be read.

    training: the training images if they are at hand. Those nearest to the newest samples are
    then kept in the folder, where a later page finds them. Raises ValueError if there is no
    checkpoint, or if another process writes the page.
    """
    if not (paths := newest_first(folder)):
        raise ValueError(
            "run must be the folder of a training run, "
            f"but there is no checkpoint in {str(folder / 'checkpoints')!r}"
        )
    with writer_lock(folder, "report"):
        write_page(folder, paths, device, list(trust), training)
    return folder / REPORT


def write_page(
    folder: Path, paths: Sequence[Path], device: str, trust: list[str], training: ImageArray | None
) -> None:
    """Draw and write the page; `paths` are the checkpoints, the newest first."""
    checkpoint = newest_readable(paths, read_for_page)
    checkpoint.config.trust = trust
    denoiser = load_denoiser(checkpoint, weights="ema", device=device, trust=trust)
    curves, facts = Curves(folder, {}, list(metric_rows(folder))), read_facts(folder)
    warnings, verdict = facts.get("warnings"), run_numbers.run_verdict(checkpoint, curves)
    sampled = checkpoint_to_sample(folder, paths[0].with_stem(LAST), verdict)
    if training is not None:
        save_nearest(folder, checkpoint.config, training)
    save_page(
        folder / REPORT,
        "reports/run_page.html",
        name=folder.name,
        facts=run_numbers.run_facts(facts, checkpoint, curves),
        outcome=run_numbers.outcome_text(facts, checkpoint, curves),
        expected=str(facts.get("pictures", "")) if checkpoint.step == checkpoint.steps else "",
        samples=sample_pictures(folder),
        nearest=nearest_picture(folder),
        film=run_pictures.film_pictures(checkpoint, denoiser),
        pictures=run_pictures.data_pictures(folder),
        charts=run_numbers.charts(curves),
        pandas=run_numbers.pandas_lines(folder),
        commands=run_commands(folder, checkpoint, sampled),
        recipe=OmegaConf.to_yaml(checkpoint.config),
        warnings=warnings if isinstance(warnings, list) else [],
        environment=checkpoint.environment,
        **run_numbers.number_table(curves),
        **run_numbers.evaluation_table(folder),
        **run_numbers.incident_table(folder),
    )
