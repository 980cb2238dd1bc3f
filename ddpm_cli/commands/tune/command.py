"""`ddpm-tune`: search what a checkpoint can vary, one option at a time, by paired differences."""

import logging
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from ddpm_cli.checkpoints import Checkpoint, file_hash
from ddpm_cli.commands.tune.budget import Budget
from ddpm_cli.commands.tune.inputs import (
    check_settings,
    load_checkpoint,
    load_tune_inputs,
    sampling_denoiser,
    start_setting,
)
from ddpm_cli.commands.tune.lengths import denoisers_by_length, reason_without, write_ema
from ddpm_cli.commands.tune.measure import TuneInputs
from ddpm_cli.commands.tune.options import Options
from ddpm_cli.commands.tune.pictures import plot_search, save_contact_sheet
from ddpm_cli.commands.tune.ranges import ranges_of
from ddpm_cli.commands.tune.results import (
    Search,
    log_confirmation,
    log_winner,
    search_csv,
    visit_lines,
)
from ddpm_cli.commands.tune.search import (
    Confirmation,
    Visit,
    confirm,
    coordinate_search,
    search_path,
    settings_tried,
)
from ddpm_cli.commands.tune.store import FOLDER, MeasurementStore
from ddpm_cli.commands.tune.timed_measure import FRESH, SEARCH, TimedMeasure, check_time
from ddpm_cli.commands.tune.variant import Variant
from ddpm_cli.comparison.reference import Reference, shape_text
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.config.values import path_override
from ddpm_cli.console import fact, logging_to
from ddpm_cli.files import save_text
from ddpm_cli.generation.options import shared_options
from ddpm_cli.generation.tuned import TunedSetting, write_tuned
from ddpm_cli.hardware import device_text, words_for_full_memory
from ddpm_cli.process.writer_lock import writer_lock
from ddpm_cli.text import duration_text

SHARED = ("label", "threshold", "quantile")  # options that all settings share
TABLE, PLOT, CONTACT = "table.csv", "coordinates.png", "contact.png"
BAR: dict[str, Any] = {"unit": " evaluations", "unit_scale": True, "dynamic_ncols": True}
log = logging.getLogger(__name__)


def tune(cfg: DictConfig, invocation: Invocation) -> bool:
    """Search for a better setting, and write it; return False if the user stopped the command."""
    groups = ["data"] * ("data" in cfg)
    options = parse_options(cfg, Options, groups=groups, beside=shared_options(*SHARED))
    folder = invocation.folder
    try:
        with writer_lock(folder, "tuning"):
            search_settings(cfg, options, invocation)
    except KeyboardInterrupt:
        if (folder / FOLDER).exists():
            again = shlex.quote(path_override("hydra.run.dir", folder))
            print(f"stopped    go on with the same command and {again}")
        return False
    return True


@words_for_full_memory("choose a smaller batch, or device=cpu")
@torch.no_grad()
def search_settings(cfg: DictConfig, options: Options, invocation: Invocation) -> None:
    """Search, confirm the winner on fresh images, and write the results."""
    since, folder, checkpoint = time.perf_counter(), invocation.folder, load_checkpoint(options)
    denoiser = sampling_denoiser(checkpoint, options)
    without_lengths = reason_without(checkpoint, options.lengths)
    has_label = cfg.label is not None and denoiser.conditional
    values = ranges_of(options, denoiser, without_lengths, invocation.overrides, has_label)
    load = partial(sampling_denoiser, options=options)
    denoiser_of = denoisers_by_length(checkpoint, denoiser, load)
    inputs, reference = load_tune_inputs(cfg, options, checkpoint, denoiser_of)
    start = start_setting(denoiser.diffusion.steps)
    check_settings(inputs, start, values, denoiser)
    store = MeasurementStore(folder)
    if store.read(inputs.text(start, range(options.n))) is None:
        check_time(inputs, start, denoiser, options.seconds - (time.perf_counter() - since))
    with logging_to(folder / "tune.log", aloud=True):
        log_search(inputs, checkpoint, reference, start)
        save_text(folder / "tune.yaml", OmegaConf.to_yaml(cfg))
        budget = Budget(options.seconds, store.setup_seconds(time.perf_counter() - since))
        with tqdm(total=1, **BAR) as bar:
            measure = TimedMeasure(inputs, store, start, denoiser, budget, bar)
            search = run_search(measure, values)
        for path in write_search(folder, search, measure):
            fact("written", path)
        log_winner(search)
        tuned = winning_setting(search, inputs, checkpoint)
        fact("written", write_tuned(checkpoint, tuned))


def run_search(measure: TimedMeasure, values: Mapping[str, Sequence[Any]]) -> Search:
    """Search, and compare the end of the path with the start on fresh images; log all of it."""
    start, visits, confirmations = measure.start, list[Visit](), list[Confirmation]()
    for visit in coordinate_search(start, values, measure.on_search):
        visits.append(visit)
        measure.current = visit.after
        for line in visit_lines(visit, measure.costs(SEARCH), start):
            log.info("%s", line)
    tried = max(1, len(settings_tried(visits, start)))
    for each in confirm(search_path(start, visits), tried, measure.on_fresh):
        confirmations.append(each)
        log_confirmation(each, start, tried)
    costs, fresh = measure.costs(SEARCH), measure.costs(FRESH)
    return Search(start, visits, confirmations, costs, fresh, measure.is_over)


def log_search(
    inputs: TuneInputs, checkpoint: Checkpoint, reference: Reference, start: Variant
) -> None:
    """Log what is searched, and by what."""
    options, denoiser = inputs.options, inputs.denoiser_of(None)
    fact("device", device_text(denoiser.device))
    model = f"ema weights, images of {shape_text(inputs.shape)}"
    fact("checkpoint", f"{checkpoint.source}: {checkpoint.step_text}, {model}")
    fact("reference", reference.summary)
    if inputs.generation.label is not None:
        fact("label", inputs.generation.label)
    fact("protocol", inputs.protocol)
    fact("start", start.summary)
    fact("budget", f"{duration_text(options.seconds)}, {options.n:,} images of every setting")
    if (n := options.n) < (dimensions := inputs.reference_features.shape[1]):
        log.warning(
            "warning: n=%s images are fewer than their %s features: differences are of values "
            "that are too large",
            n,
            dimensions,
        )


def write_search(folder: Path, search: Search, measure: TimedMeasure) -> Iterator[Path]:
    """Write the table and the pictures; yield their paths."""
    save_text(folder / TABLE, search_csv(search))
    yield folder / TABLE
    if search.visits:
        plot_search(folder / PLOT, search, measure.inputs.options.measure)
        yield folder / PLOT
    save_contact_sheet(folder / CONTACT, search.start, measure.images)
    yield folder / CONTACT


def winning_setting(search: Search, inputs: TuneInputs, checkpoint: Checkpoint) -> TunedSetting:
    """The winner as ddpm-sample takes it, with how it was found; without options if none helps."""
    about: dict[str, Any] = {"protocol": inputs.protocol, "tried": search.tried}
    options = dict[str, Any]()
    if (winner := search.winner) is not None:
        difference = search.confirmations[-1].difference
        about["difference"] = {**vars(difference), "images": "fresh"}
        options = winner.options_from(search.start) | inputs.shared_options(winner)
    file = ("", "")
    if winner is not None and winner.length is not None:
        file = write_ema(checkpoint, winner.length)
    return TunedSetting(
        options,
        file_hash(str(checkpoint.path)),
        *file,
        label=inputs.generation.label,
        guide_sha256=file_hash(options["guide"]) if "guide" in options else "",
        about=about,
    )
