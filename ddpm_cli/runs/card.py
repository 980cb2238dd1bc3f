"""The card of a training run: one page, `report.html` in its folder, that says what was trained, what came of it and how to do it again."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.checkpoints import newest_first
from ddpm_cli.config import bound, check
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.files import whole
from ddpm_cli.parallel.ranks import FAILURES
from ddpm_cli.report import Section, page, pairs
from ddpm_cli.runs import chapters
from ddpm_cli.runs.curves import Curves, rows
from ddpm_cli.runs.lines import printable, said
from ddpm_cli.runs.parts import restored
from ddpm_cli.runs.resume import newest_good
from ddpm_cli.runs.run import Run

WRONG = (*FAILURES, HydraException, OmegaConfBaseException, yaml.YAMLError)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-report` takes.

    run: the folder. device: where the film is drawn. trust: your own modules with targets.
    """

    _: KW_ONLY
    run: str
    device: str
    trust: list[str]


def report(cfg: DictConfig) -> None:
    """Writes the card of a run anew, and says where it is."""
    check(cfg, (), Options)
    options = bound(Options, cfg)()
    with said(None, aloud=True):
        try:
            path = card_of(Path(options.run).expanduser().resolve(), options.device, options.trust)
        except WRONG as error:
            raise error if isinstance(error, ValueError | OSError) else ValueError(f"no card can be made of this run: {error}") from error
        log.info("written    %s", printable(str(path)))


@contextmanager
def concluded(run: Run) -> Iterator[None]:
    """Ends a run with its card, one that failed too; what goes wrong with the card ends no run badly."""
    try:
        yield
    except WRONG:
        conclude(run)
        raise
    conclude(run)


def conclude(run: Run) -> None:
    """Writes the card where there is a checkpoint, and says where it is or why there is none."""
    if not run.ranks.first or not newest_first(run.folder):
        return
    try:
        log.info("report    %s", card_of(run.folder, run.trainer.device, list(run.cfg.trust)))
    except WRONG as error:
        log.warning("warning: no report.html: %s", " ".join(str(error).split())[:200])


def card_of(folder: Path, device: str, trust: list[str]) -> Path:
    """Writes the card of the run in a folder, from its newest checkpoint that can be read."""
    if not (paths := newest_first(folder)):
        raise ValueError(f"run must be the folder of a training run, but there is no checkpoint in {str(folder / 'checkpoints')!r}")
    _, content = newest_good(paths)
    return card(folder, content, restored(content, weights="ema", device=device, trust=trust))


def card(folder: Path, content: Mapping[str, Any], denoiser: Denoiser) -> Path:
    """Writes `report.html`.

    content: what the newest checkpoint holds, as it is loaded. denoiser: with the average of the weights.
    """
    path, told = folder / "report.html", folder / "metrics.jsonl"
    curves = Curves(folder, {}, list(rows(told)) if told.is_file() else [])
    sections = [
        Section("What was trained", [pairs(chapters.trained(folder, content, curves))]),
        Section("Samples", chapters.samples(folder)),
        Section("How one comes about", chapters.film(content, denoiser)),
        Section("Numbers", chapters.numbers(curves)),
        Section("Metrics", chapters.judged(folder)),
        Section("What it saw", chapters.seen(folder)),
        Section("How to do it again", chapters.again(folder, content)),
        Section("What went wrong", chapters.wrong(folder)),
        Section("Environment", [pairs(content["environment"])]),
    ]
    text = page(f"Run {folder.name}", sections)
    whole(path, lambda partial: partial.write_bytes(text.encode()))
    return path
