"""What a sweep has come to: its jobs by rank, what its options did, its curves, and its samples side by side."""

import csv
import io
import logging
import math
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, astuple, dataclass
from functools import partial
from pathlib import Path

from einops import EinopsError, rearrange
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from ddpm_cli.config import bound, check
from ddpm_cli.files import save_text
from ddpm_cli.images import GAP, labelled, save_png
from ddpm_cli.runs.curves import Curves, labels, option, short
from ddpm_cli.runs.lines import printable, said
from ddpm_cli.runs.plot import Options as Drawing
from ddpm_cli.runs.plot import draw
from ddpm_cli.runs.previews import PREVIEWS
from ddpm_cli.runs.sweep_card import apart, card
from ddpm_cli.runs.traces import samples
from ddpm_cli.shapes import Row
from ddpm_cli.sweeps import Job, Sweep, again, by_rank, effects, given, read, save_manifest, swept

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-sweep` takes.

    resume: the folder of a sweep to go on with. show: of one to look at. metric: by which jobs are ranked; None for the one that the sweep
    was for. trust: whether a sweep that goes on may use modules, folders and options of Hydra that its own file alone names.
    """

    _: KW_ONLY
    resume: str | None
    show: str | None
    metric: str | None
    trust: bool

    def __post_init__(self) -> None:
        if (self.resume is None) == (self.show is None):
            raise ValueError("one of resume=FOLDER and show=FOLDER must be given")
        if self.resume is not None and self.metric is not None:
            raise ValueError("metric goes with show=FOLDER")


def sweep(cfg: DictConfig) -> list[str]:
    """Shows a sweep; of one to go on with the arguments of `ddpm-train`, in whose folder this process then is."""
    check(cfg, (), Options)
    options = bound(Options, cfg)()
    if options.resume is None:
        shown(Path(str(options.show)).expanduser(), options.metric)
        return []
    found = read(Path(options.resume).expanduser().absolute())
    arguments = again(found, trust=options.trust)
    print(printable(f"resumed   {shlex.join(['ddpm-train', *arguments])}"))
    os.chdir(found.cwd)
    return arguments


def shown(folder: Path, metric: str | None) -> bool:
    """Says what the sweep in a folder has come to and writes it there; whether all of its jobs are done.

    What the disk does not take is told and breaks no sweep.
    """
    found = read(folder)
    ranked_by = metric or chosen(found.jobs)
    known = dict.fromkeys(name for job in found.jobs for name in (*job.measured, *job.lowest))
    if metric is not None and metric not in known:
        raise ValueError(f"metric must be among {', '.join(known) or 'none'}, but is {metric!r}")
    parts: dict[str, Callable[[Path], object]] = {
        "manifest.json": lambda _: save_manifest(found),
        "table.csv": lambda path: save_text(path, as_csv(found.jobs, ranked_by)),
        **drawings(by_rank(found.jobs, ranked_by)),
        "report.html": partial(card, found, ranked_by),
    }
    with said(None, aloud=True):
        for line in lines(found, ranked_by):
            log.info("%s", printable(line))
        for name, write in parts.items():
            attempt(folder / name, write)
    return bool(found.jobs) and all(job.state == "done" for job in found.jobs)


def attempt(path: Path, write: Callable[[Path], object]) -> None:
    """Has a file written; what does not work is told."""
    try:
        write(path)
        log.info("%s", printable(f"written   {path}"))
    except (OSError, ValueError) as error:
        log.warning("%s", printable(f"warning: cannot write {path}: {error}"))


def chosen(jobs: Sequence[Job]) -> str:
    """The metric that the sweep was for, the loss where no job has it."""
    paths = [path for job in jobs if (path := job.folder / ".hydra/config.yaml").is_file()]
    config = OmegaConf.to_container(OmegaConf.load(paths[0])) if paths else {}
    best = option(config, "trainer.best")
    wanted = best if isinstance(best, str) else "held_out"
    return wanted if any(job.score(wanted) is not None for job in jobs) else "loss"


def lines(found: Sweep, metric: str) -> Iterator[str]:
    """The table of jobs by rank, those that are not done below it, and what each option did."""
    jobs, options = by_rank(found.jobs, metric), swept(found.jobs)
    columns = [metric, *(name for name in dict.fromkeys(name for job in jobs for name in job.measured) if name != metric)]
    ranks = [[str(rank), str(job.number), *values(job, options), *scores(job, columns)] for rank, job in enumerate(jobs, 1)]
    yield from ["", *aligned([["rank", "job", *short(options), *columns], *ranks])]
    yield from filter(None, [apart(jobs)])
    for job in [job for job in found.jobs if job.state != "done"]:
        yield f"job {job.number} {job.state}: {' '.join(values(job, options))}{'; ' * bool(job.error)}{job.error}"
    if len(jobs) > 1:
        each = map(astuple, effects(found.jobs, metric))
        yield from ["", *aligned([["option", "value", "jobs", f"mean {metric}", "lowest", "highest"], *each])]
    yield ""


def values(job: Job, options: Sequence[str]) -> list[str]:
    """What a job says of the options, "-" of those it does not name."""
    return [given(job).get(name, "-") for name in options]


def scores(job: Job, metrics: Sequence[str]) -> list[float | str]:
    """A job's metrics, "-" where it has none."""
    return [score if (score := job.score(name)) is not None else "-" for name in metrics]


def aligned(table: Sequence[Sequence[object]]) -> Iterator[str]:
    """Rows in columns."""
    texts = [list(map(brief, row)) for row in table]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    yield from ("  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip() for row in texts)


def brief(value: object) -> str:
    """A value in few digits."""
    long = isinstance(value, float) or re.fullmatch(r"-?\d*\.\d{5,}(e-?\d+)?", str(value))
    return f"{float(str(value)):.4g}" if long else str(value)


def as_csv(jobs: Sequence[Job], metric: str) -> str:
    """All jobs with all that is known of them, the best first."""
    ranked, options, text = by_rank(jobs, metric), swept(jobs), io.StringIO()
    kinds = {"measured": "", "lowest": "lowest_", "last": "last_"}
    numbers = list(dict.fromkeys((kind, name) for kind in kinds for job in jobs for name in getattr(job, kind)))
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["rank", "job", "state", *options, "value", *(kinds[kind] + name for kind, name in numbers), "error"])
    for rank, job in enumerate([*ranked, *(job for job in jobs if job not in ranked)], 1):
        known = [getattr(job, kind).get(name) for kind, name in numbers]
        out.writerow([rank if job in ranked else None, job.number, job.state, *values(job, options), job.value, *known, job.error])
    return text.getvalue()


def drawings(jobs: Sequence[Job]) -> dict[str, Callable[[Path], object]]:
    """The pictures of jobs that have rows: their curves, and the last samples of each."""
    if not (curves := [Curves.read(job.folder) for job in jobs if job.lowest]):
        return {}
    named = dict(zip(map(printable, labels(curves)), curves, strict=True))
    seen = {label: run for label, run in named.items() if samples(run.folder)}
    options = Drawing(runs=list(named), metrics=None, out="curves.png", smooth=1, x="step")
    drawn: dict[str, Callable[[Path], object]] = {"curves.png": partial(draw, named, options)}
    if seen:
        drawn["contact.png"] = lambda path: save_png(path, labelled([(label, tiles(run)) for label, run in seen.items()]))
    return drawn


def tiles(run: Curves) -> Row:
    """The images in the last grid of a run."""
    channels = option(run.config, "data.channels")
    count = PREVIEWS * (channels if channels in (2, 4, 5) else 1)
    columns = math.ceil(math.sqrt(count))
    path = [*samples(run.folder).values()][-1]
    try:
        picture = pil_to_tensor(Image.open(path).convert("RGB"))[:, GAP:, GAP:]
        parts = rearrange(picture, "c (row h) (column w) -> (row column) c h w", row=math.ceil(count / columns), column=columns)
    except (OSError, EinopsError, Image.DecompressionBombError) as error:
        raise ValueError(f"{str(path)!r} is no grid of samples") from error
    return parts[:count, :, :-GAP, :-GAP]
