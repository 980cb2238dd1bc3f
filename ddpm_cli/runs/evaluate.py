"""What a trained model is worth: how likely images are under it."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import at_least, bind, bound, build, check, shared
from ddpm_cli.data import ImageSet, prepared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.images import save_text, to_float
from ddpm_cli.likelihood import even_levels, flow, keyed, prior, rates, terms
from ddpm_cli.losses import normal_cdf, tanh_cdf
from ddpm_cli.parallel import described
from ddpm_cli.runs.figure import save_figure
from ddpm_cli.runs.lines import said
from ddpm_cli.runs.opening import check_labels
from ddpm_cli.runs.parts import restored
from ddpm_cli.samplers import labelled
from ddpm_cli.shapes import Images, PerImage, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CDF = {"exact": normal_cdf, "tanh": tanh_cdf}
COLUMNS = ("t", "bits", "mse", "rate", "distortion")
Found: TypeAlias = tuple[PerImage, dict[str, float], list[tuple[float, ...]]]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-eval` takes beside its data.

    nll: the variational bound, or the probability flow in nll_steps steps. nll_cdf: of the decoder. images: the part of the data; n of
    them, or all (null). batch: images at a time, without effect. seed: of the noise. weights: the average (ema) or the last (raw).
    """

    _: KW_ONLY
    ckpt: str
    metrics: list[str]
    nll: Literal["bound", "ode"]
    nll_cdf: Literal["exact", "tanh"]
    nll_steps: int
    images: Literal["held_out", "training", "all"]
    n: int | None
    batch: int
    seed: int
    weights: Literal["ema", "raw"]
    device: str
    trust: list[str]

    def __post_init__(self) -> None:
        at_least(self, nll_steps=1, batch=1, seed=0)
        if not self.metrics or not METRICS.keys() >= set(self.metrics):
            raise ValueError(f"metrics must be a list of {', '.join(METRICS)}, but is {self.metrics}")


@dataclass(frozen=True)
class Subject:
    """What is measured, on which images, and where it is written."""

    options: Options
    denoiser: Denoiser
    data: ImageSet
    folder: Path


@torch.no_grad()
def evaluate(cfg: DictConfig, folder: Path) -> None:
    """Measures what `cfg` names and writes it into `folder`; all is checked before anything is measured."""
    check(cfg, ["data"] * ("data" in cfg), Options)
    options = bound(Options, cfg)()
    content = checkpoints.load(Path(options.ckpt).expanduser())
    denoiser = restored(content, weights=options.weights, device=options.device, trust=options.trust)
    if options.nll == "ode":
        even_levels(denoiser.diffusion, options.nll_steps)
    with said(None, aloud=True):
        data, holdout = whole(cfg, content, content["facts"]["classes"] if denoiser.conditional else None)
    subject = Subject(options, denoiser, chosen(data, holdout, options), folder)
    with said(folder / "eval.log", aloud=True):
        describe(subject, content, data)
        save_text(folder / "eval.yaml", OmegaConf.to_yaml(cfg))
        for name in options.metrics:
            METRICS[name](subject)


def whole(cfg: DictConfig, content: Mapping[str, Any], classes: Sequence[str] | None) -> tuple[ImageSet, float]:
    """The command line's data or the packaged digits, for no file is opened at a checkpoint's word; and the share held out of them."""
    recipe, shape = content["config"], list(content["facts"]["shape"])
    if "data" not in cfg and OmegaConf.select(recipe, "data._target_") != "ddpm_cli.data.digits":
        raise ValueError("data=... must name the images: only the packaged digits are taken at a checkpoint's word")
    source, trained = cfg if "data" in cfg else recipe, OmegaConf.select(recipe, "data.holdout", default=0.0)
    bind(source, "data")
    preparation = shared(source, "data")
    if list(preparation.shape) != shape:
        raise ValueError(f"data: images must be of {shape}, as the checkpoint's, but are of {list(preparation.shape)}")
    if preparation.holdout != trained and cfg.images != "all":
        raise ValueError(f"data.holdout must be {trained}, as in training, but is {preparation.holdout}; images=all needs none")
    kept = preparation.cache if "data" in cfg else "disk"  # nothing is written where a checkpoint says
    data = prepared(build(source, "data"), replace(preparation, cache=kept))
    if classes is not None:
        if data.classes != list(classes):
            raise ValueError(f"data: classes must be the checkpoint's, {', '.join(classes)}, but are {', '.join(data.classes) or 'none'}")
        check_labels(data)
    return data, preparation.holdout


def chosen(data: ImageSet, holdout: float, options: Options) -> ImageSet:
    """The images that are asked for, n of them spread evenly, with their places in the whole set."""
    training, held_out = data.parted(holdout)
    part = {"training": training.places, "held_out": held_out.places, "all": torch.arange(len(data.images))}[options.images]
    assert part is not None
    n = len(part) if options.n is None else options.n
    if len(part) < 2:
        raise ValueError(f"images={options.images} must be at least 2, but there are {len(part)} (data.holdout={holdout}); or images=all")
    if not 2 <= n <= len(part):
        raise ValueError(f"n must be between 2 and {len(part)}, the images there are (images={options.images}), but is {n}")
    return data.chosen(part[torch.arange(n) * len(part) // n])


def describe(subject: Subject, content: Mapping[str, Any], data: ImageSet) -> None:
    """Says what is measured, with what, and what that costs."""
    options, steps = subject.options, subject.denoiser.diffusion.steps
    log.info("device     %s", described(subject.denoiser.device))
    log.info("checkpoint %s: step %s, %s weights", options.ckpt, f"{content['step']:,}", options.weights)
    log.info("images     %s of %s, images=%s", f"{len(subject.data.images):,}", f"{len(data.images):,}", options.images)
    way = {"bound": f"variational bound, {steps:,}", "ode": f"probability flow, {2 * options.nll_steps + 1:,}"}[options.nll]
    log.info("nll        %s evaluations an image; the decoder's normal distribution is %s", way, options.nll_cdf)
    if not data.matches(content["data"]):
        log.warning("warning: these are not the images that the checkpoint was trained on (their fingerprints differ)")


def nll(subject: Subject) -> None:
    """Measures the likelihood, says it and writes it; by the bound also over time."""
    options, folder = subject.options, subject.folder
    bits, parts, rows = NLL[options.nll](subject)
    if not bits.isfinite().all():
        raise ValueError(f"nll={options.nll} must be finite, but is not for {int((~bits.isfinite()).sum())} of {len(bits)} images")
    mean, half = float(bits.mean()), 1.96 * float(bits.std()) / math.sqrt(len(bits))
    told = ", ".join(f"{name} {value:.4f}" for name, value in parts.items()) or f"{options.nll_steps} steps of Heun's method"
    log.info("nll        %.3f +- %.3f bits per dimension (95%%, %s images; %s)", mean, half, f"{len(bits):,}", told)
    found = {"bits_per_dimension": mean, "interval_95": [mean - half, mean + half], **parts, **asdict(options), "n": len(bits)}
    save_text(folder / "nll.json", json.dumps(found, indent=2) + "\n")
    if rows:
        save_text(folder / "nll_per_time.csv", "".join(",".join(map(str, row)) + "\n" for row in [COLUMNS, *rows]))
        save_figure(folder / "nll.png", (11, 4.5), lambda figure: show(figure, rows))
    for name in ["nll.json", *["nll_per_time.csv", "nll.png"] * bool(rows)]:
        log.info("written    %s", folder / name)


def by_bound(subject: Subject) -> Found:
    """Bits by L_T and one draw of every L_t; their parts; a row for every time."""
    diffusion, cdf, ends, bits, sums = subject.denoiser.diffusion, CDF[subject.options.nll_cdf], [], [], []
    found = tables(subject, diffusion.steps, lambda denoise, x0, noise: (each[1:] for each in terms(denoise, diffusion, x0, noise, cdf)))
    for x0, table in found:
        ends.append(prior(diffusion, x0).cpu().double())
        bits.append(ends[-1] + table[:, 0].sum(0))
        sums.append(table.sum(2))
    end, (each, errors) = float(torch.cat(ends).mean()), (torch.stack(sums).sum(0) / len(subject.data.images)).T
    columns = (each, errors, rates(end, each), 127.5 * errors.sqrt())
    rows = list(zip(range(1, diffusion.steps + 1), *(column.tolist() for column in columns), strict=True))
    return torch.cat(bits), {"L_T": end, "L_t": float(each[1:].sum()), "decoder": float(each[0])}, rows


def by_flow(subject: Subject) -> Found:
    """Bits by the probability flow, which has neither parts nor terms."""
    diffusion, cdf, steps = subject.denoiser.diffusion, CDF[subject.options.nll_cdf], subject.options.nll_steps
    times = even_levels(diffusion, steps)
    found = tables(subject, steps, lambda denoise, x0, noise: ((bits,) for bits in flow(denoise, diffusion, x0, noise, cdf, times)))
    return torch.cat([table[-1, 0] for _, table in found]), {}, []


def tables(subject: Subject, steps: int, run: Callable[..., Iterator[tuple[PerImage, ...]]]) -> Iterator[tuple[Images, Table]]:
    """Batch after batch the images, and what every step of a run finds of each; moves a bar."""
    denoiser, data, seed = subject.denoiser, subject.data, subject.options.seed
    device = denoiser.device
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} images [{elapsed}<{remaining}, {rate_fmt}]"
    assert data.places is not None
    with tqdm(total=steps * len(data.images), unit=" images", unit_scale=1 / steps, dynamic_ncols=True, bar_format=form) as bar:
        for few in torch.split(torch.arange(len(data.images)), subject.options.batch):
            x0, found = to_float(data.images[few].to(device)), []
            known = labelled(denoiser, data.labels[few].to(device)) if denoiser.conditional and data.labels is not None else denoiser
            noise = keyed(x0, seed, data.places[few].tolist(), denoiser.diffusion.steps)
            for values in run(known, x0, noise):
                found.append(torch.stack(values))
                bar.update(len(x0))
            yield x0, torch.stack(found).cpu().double()


def show(figure: "Figure", rows: Sequence[tuple[float, ...]]) -> None:
    """Draws L_t over t, and the distortion over the rate."""
    t, bits, _, rate, distortion = zip(*rows, strict=True)
    left, right = figure.subplots(1, 2)
    left.plot(t, bits)
    left.set(yscale="log", xlabel="t", ylabel="L_t (bits per dimension)")
    right.plot(rate, distortion)
    right.set(xlabel="rate (bits per dimension)", ylabel="distortion (root mean squared error of 0..255)")


NLL = {"bound": by_bound, "ode": by_flow}
METRICS = {"nll": nll}
