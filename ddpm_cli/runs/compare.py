"""Cost against quality: the same images drawn with many samplers and numbers of steps, measured against the data."""

import csv
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from torch import nn
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import at_least, bind, bound, build, check, shared
from ddpm_cli.data import ImageSet, prepared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.files import save_text
from ddpm_cli.images import labelled, save_png, to_bytes
from ddpm_cli.metrics import Moments, extracted, frechet_distance, moments
from ddpm_cli.parallel import described
from ddpm_cli.runs.lines import said
from ddpm_cli.runs.overrides import choices
from ddpm_cli.runs.pareto import Measured, cheapest, plot, titled
from ddpm_cli.runs.parts import restored
from ddpm_cli.samplers import Grid
from ddpm_cli.sampling import trajectory
from ddpm_cli.shapes import Bytes, Features, Images

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-compare` takes beside its features.

    ckpt: the checkpoint. samplers: choices of the group. steps: each a number or `all`. n: images, the same ones for every
    setting. batch: images at a time, without effect on them. seed: image i is a function of it and i. weights: the average (ema)
    or the last (raw). device: auto, cpu, cuda, cuda:N or mps. columns: of the contact sheet. trust: your own modules with targets.
    """

    _: KW_ONLY
    ckpt: str
    samplers: list[str]
    steps: list[int | Literal["all"]]
    n: int
    batch: int
    seed: int
    weights: Literal["ema", "raw"]
    device: str
    columns: int
    trust: list[str]

    def __post_init__(self) -> None:
        at_least(self, n=2, batch=1, seed=0, columns=1)
        if not self.samplers or not self.steps:
            raise ValueError("samplers and steps must each name at least one: nothing would be compared")


@dataclass(frozen=True)
class Setting:
    """A sampler with its options and its times."""

    name: str
    steps: int
    sampler: Callable[..., Iterator[Images]]
    grid: Grid


@dataclass(frozen=True)
class Bench:
    """What all settings are measured with: the model, the features, and those of the reference."""

    options: Options
    denoiser: Denoiser
    shape: Sequence[int]
    extract: Callable[[Bytes], Features]
    reference: Moments
    floor: float


@torch.no_grad()
def compare(cfg: DictConfig, folder: Path) -> None:
    """Measures every setting that `cfg` names and writes what was found into `folder`; all is checked before anything is drawn."""
    check(cfg, ["features", *["data"] * ("data" in cfg)], Options)
    options = bound(Options, cfg)()
    check_names(options.samplers)
    content = checkpoints.load(Path(options.ckpt).expanduser())
    shape = content["facts"]["shape"]
    denoiser = restored(content, weights=options.weights, device=options.device, trust=options.trust)
    settings = list(ready(options, denoiser, shape))
    extract = build(cfg, "features", denoiser.device).extract
    extract(torch.zeros(1, *shape, dtype=torch.uint8))
    with said(None, aloud=True):
        data = reference(cfg, content["config"], options.trust, shape)
    features = extracted(extract, data.images)
    bench = Bench(options, denoiser, shape, extract, moments(features), between_halves(features))
    with said(folder / "compare.log", aloud=True):
        describe(bench, content, data, "data" in cfg)
        save_text(folder / "compare.yaml", OmegaConf.to_yaml(cfg))
        write(folder, bench, list(measured(settings, bench)))


def check_names(samplers: Sequence[str]) -> None:
    """Refuses a name that no YAML file of the group has."""
    known = choices("sampler")
    for name in samplers:
        if name not in known:
            raise ValueError(f"samplers must be among {', '.join(known)}, but {name!r} is not")


def ready(options: Options, denoiser: Denoiser, shape: Sequence[int]) -> Iterator[Setting]:
    """Every setting, checked and tried out by one step on one image."""
    for name in options.samplers:
        cfg = compose("sample", [f"sampler={name}"])
        OmegaConf.set_struct(cfg, False)
        cfg.trust = options.trust
        for steps in options.steps:
            cfg.sampler.steps = steps
            try:
                sampler, grid = bind(cfg, "sampler"), shared(cfg, "sampler")
                list(islice(trajectory(denoiser, sampler, grid, shape=shape, seed=options.seed, indices=[0]), 2))
            except ValueError as error:
                raise ValueError(f"{name} with steps={steps}: {error}") from error
            yield Setting(name, len(grid.times(denoiser.diffusion)) - 1, sampler, grid)


def reference(cfg: DictConfig, recipe: DictConfig, trust: list[str], shape: Sequence[int]) -> ImageSet:
    """The images to measure against: the command line's, else those of the checkpoint's recipe."""
    own = "data" in cfg
    cfg = cfg if own else recipe.copy()
    cfg.trust = trust
    try:
        bind(cfg, "data")
        preparation = shared(cfg, "data")
        if list(preparation.shape) != list(shape):
            raise ValueError(f"they are of {sized(preparation.shape)}, the checkpoint's of {sized(shape)}")
        kept = preparation.cache if own else "disk"  # nothing is written where a checkpoint says
        data = prepared(build(cfg, "data"), replace(preparation, cache=kept))
        if len(data.images) < 4:
            raise ValueError(f"two halves take at least 4, but there are {len(data.images)}")
        return data
    except (ValueError, OSError) as error:
        raise ValueError(f"no images to measure against ({error}); data=... names others") from error


def sized(shape: Sequence[int]) -> str:
    """Channels, height and width in words."""
    return "x".join(map(str, shape))


def between_halves(features: Features) -> float:
    """The distance between two random halves of the reference."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    one, other = features[order].tensor_split(2)
    return frechet_distance(moments(one), moments(other))


def describe(bench: Bench, content: dict[str, Any], data: ImageSet, others: bool) -> None:
    """Says what is compared, and what makes the distances mean less."""
    options, dimensions = bench.options, len(bench.reference.mean)
    log.info("device     %s", described(bench.denoiser.device))
    size = sized(bench.shape)
    log.info("checkpoint %s: step %s, %s weights, images of %s", options.ckpt, f"{content['step']:,}", options.weights, size)
    log.info("reference  %s images, %s features of each", f"{len(data.images):,}", f"{dimensions:,}")
    log.info("halves     %.3f from one another, which no model can be expected to beat", bench.floor)
    if not others and not data.matches(content["data"]):
        log.warning("warning: these are not the images that the checkpoint was trained on (their fingerprints differ)")
    if options.n < dimensions:
        log.warning("warning: n=%s images are fewer than their %s features: the distances are too large", options.n, dimensions)


def measured(settings: Sequence[Setting], bench: Bench) -> Iterator[tuple[Measured, Bytes]]:
    """What each setting cost and what came of it, said as it is found, with the images for the contact sheet."""
    width, batches = max(map(len, ["sampler", *bench.options.samplers])), -(-bench.options.n // bench.options.batch)
    log.info("%s", f"{'sampler':<{width}}  steps  evaluations  seconds  distance")
    with tqdm(total=batches * sum(each.steps for each in settings), unit=" steps", dynamic_ncols=True) as bar:
        for setting in settings:
            bar.set_description(titled(setting.name, setting.steps))
            found, images = measure(setting, bench, bar)
            numbers = f"{found.steps:>5}  {found.evaluations:>11g}  {found.seconds:>7.1f}  {found.distance:>8.3f}"
            log.info("%s", f"{found.sampler:<{width}}  {numbers}")
            yield found, images[: bench.options.columns]


def measure(setting: Setting, bench: Bench, bar: "tqdm[Any]") -> tuple[Measured, Bytes]:
    """Draws with one setting and measures; the seconds are those of drawing alone."""
    with counted(bench.denoiser.network) as sizes:
        began = time.perf_counter()
        images = torch.cat(list(drawn(setting, bench, bar)))
        seconds = time.perf_counter() - began
    distance = frechet_distance(bench.reference, moments(extracted(bench.extract, images)))
    return Measured(setting.name, setting.steps, sum(sizes) / len(images), seconds, distance), images


@contextmanager
def counted(network: nn.Module) -> Iterator[list[int]]:
    """Notes the size of every batch that goes through a network meanwhile."""
    sizes: list[int] = []
    hook = network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    try:
        yield sizes
    finally:
        hook.remove()


def drawn(setting: Setting, bench: Bench, bar: "tqdm[Any]") -> Iterator[Bytes]:
    """The images of one setting, batch by batch."""
    seed, every = bench.options.seed, range(bench.options.n)
    for first in every[:: bench.options.batch]:
        indices = every[first : first + bench.options.batch]
        states = trajectory(bench.denoiser, setting.sampler, setting.grid, shape=bench.shape, seed=seed, indices=indices)
        for place, images in enumerate(states):
            bar.update(place > 0)
        yield to_bytes(images).cpu()


def write(folder: Path, bench: Bench, found: Sequence[tuple[Measured, Bytes]]) -> None:
    """Writes the table and the pictures, and names the setting to take."""
    points = [point for point, _ in found]
    best, cheap = min(points, key=lambda each: each.distance), cheapest(points)
    told = f"{cheap.title}: {cheap.evaluations:g} evaluations, distance {cheap.distance:.3f}"
    log.info("cheapest   %s, within 5%% of the best (%s: %.3f)", told, best.title, best.distance)
    save_text(folder / "table.csv", table(points))
    plot(folder / "pareto.png", points, bench.floor)
    save_png(folder / "contact.png", labelled([(point.title, images) for point, images in found]))
    for name in ("table.csv", "pareto.png", "contact.png"):
        log.info("written    %s", folder / name)


def table(points: Sequence[Measured]) -> str:
    """The settings as CSV, a row each."""
    text = StringIO()
    rows = csv.DictWriter(text, list(Measured.__annotations__), lineterminator="\n")
    rows.writeheader()
    rows.writerows(vars(point) for point in points)
    return text.getvalue()
