"""Cost against quality: the same images drawn with many samplers and numbers of steps, measured against the data."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.compare.measure import ComparisonInputs, build_settings, measure_settings
from ddpm_cli.commands.compare.options import Options
from ddpm_cli.commands.compare.reference import distance_between_halves, load_reference, shape_text
from ddpm_cli.commands.compare.tradeoff import (
    SettingResult,
    cheapest_setting,
    plot_tradeoff,
    tradeoff_csv,
)
from ddpm_cli.config.build import bind_options, build
from ddpm_cli.config.overrides import choices
from ddpm_cli.config.schema import check_config
from ddpm_cli.console import logging_to
from ddpm_cli.data import ImageSet
from ddpm_cli.files import save_text
from ddpm_cli.metrics import extract_features, moments
from ddpm_cli.models import load_denoiser
from ddpm_cli.parallel import device_text
from ddpm_cli.rendering.tiles import labelled_rows, save_png
from ddpm_cli.shapes import Bytes

log = logging.getLogger(__name__)


@torch.no_grad()
def compare(cfg: DictConfig, folder: Path) -> None:
    """Measures every setting that `cfg` names and writes what was found into `folder`; all is checked before anything is drawn."""
    check_config(cfg, ["features", *["data"] * ("data" in cfg)], Options)
    options = bind_options(Options, cfg)()
    check_sampler_names(options.samplers)
    checkpoint = Checkpoint.load(Path(options.ckpt).expanduser())
    shape = checkpoint.shape
    denoiser = load_denoiser(
        checkpoint, weights=options.weights, device=options.device, trust=options.trust
    )
    settings = list(build_settings(options, denoiser, shape))
    extract = build(cfg, "features", denoiser.device).extract
    extract(torch.zeros(1, *shape, dtype=torch.uint8))
    with logging_to(None, aloud=True):
        data = load_reference(cfg, checkpoint.config, options.trust, shape)
    features = extract_features(extract, data.images)
    bench = ComparisonInputs(
        options, denoiser, shape, extract, moments(features), distance_between_halves(features)
    )
    with logging_to(folder / "compare.log", aloud=True):
        log_comparison(bench, checkpoint, data, "data" in cfg)
        save_text(folder / "compare.yaml", OmegaConf.to_yaml(cfg))
        write_comparison(folder, bench, list(measure_settings(settings, bench)))


def check_sampler_names(samplers: Sequence[str]) -> None:
    """Refuses a name that no YAML file of the group has."""
    known = choices("sampler")
    for name in samplers:
        if name not in known:
            raise ValueError(f"samplers must be among {', '.join(known)}, but {name!r} is not")


def log_comparison(
    bench: ComparisonInputs, checkpoint: Checkpoint, data: ImageSet, others: bool
) -> None:
    """Says what is compared, and what makes the distances mean less."""
    options, dimensions = bench.options, len(bench.reference.mean)
    log.info("device     %s", device_text(bench.denoiser.device))
    size = shape_text(bench.shape)
    log.info(
        "checkpoint %s: step %s, %s weights, images of %s",
        options.ckpt,
        f"{checkpoint.step:,}",
        options.weights,
        size,
    )
    log.info(
        "reference  %s images, %s features of each", f"{len(data.images):,}", f"{dimensions:,}"
    )
    log.info(
        "halves     %.3f from one another, which no model can be expected to beat", bench.floor
    )
    if not others and not data.matches(checkpoint.fingerprint):
        log.warning(
            "warning: these are not the images that the checkpoint was trained on (their fingerprints differ)"
        )
    if options.n < dimensions:
        log.warning(
            "warning: n=%s images are fewer than their %s features: the distances are too large",
            options.n,
            dimensions,
        )


def write_comparison(
    folder: Path, bench: ComparisonInputs, found: Sequence[tuple[SettingResult, Bytes]]
) -> None:
    """Writes the table and the pictures, and names the setting to take."""
    points = [point for point, _ in found]
    best, cheap = min(points, key=lambda each: each.distance), cheapest_setting(points)
    told = f"{cheap.title}: {cheap.evaluations:g} evaluations, distance {cheap.distance:.3f}"
    log.info("cheapest   %s, within 5%% of the best (%s: %.3f)", told, best.title, best.distance)
    save_text(folder / "table.csv", tradeoff_csv(points))
    plot_tradeoff(folder / "pareto.png", points, bench.floor)
    save_png(
        folder / "contact.png", labelled_rows([(point.title, images) for point, images in found])
    )
    for name in ("table.csv", "pareto.png", "contact.png"):
        log.info("written    %s", folder / name)
