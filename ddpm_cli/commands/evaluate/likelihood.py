"""How likely images are under a model: measured by either way, said, written and drawn."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.data import ImageSet
from ddpm_cli.evaluation.bits_per_dim import (
    bound_rates,
    bound_terms,
    even_levels,
    flow_bits,
    noise_at_times,
    prior_bits,
)
from ddpm_cli.evaluation.protocol import MetricResult, Protocol
from ddpm_cli.files import save_text
from ddpm_cli.images import to_float
from ddpm_cli.losses import normal_cdf, tanh_cdf
from ddpm_cli.metrics import Number
from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.samplers import with_label
from ddpm_cli.shapes import Images, PerImage, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CDF = {"exact": normal_cdf, "tanh": tanh_cdf}
COLUMNS = ("t", "bits", "mse", "rate", "distortion")
Found: TypeAlias = tuple[PerImage, dict[str, float], list[tuple[float, ...]]]
log = logging.getLogger(__name__)


def method_text(subject: EvaluationInputs) -> str:
    """How the likelihood is found, and what that costs."""
    options, steps = subject.options, subject.denoiser.diffusion.steps
    told = {
        "bound": f"variational bound, {steps:,}",
        "ode": f"probability flow, {2 * options.nll_steps + 1:,}",
    }[options.nll]
    return f"{told} evaluations an image; the decoder's normal distribution is {options.nll_cdf}"


def measure_likelihood(subject: EvaluationInputs, data: ImageSet) -> list[MetricResult]:
    """Measures the likelihood, says it and writes it; by the bound also over time."""
    options, folder = subject.options, subject.folder
    if (measured := NLL[options.nll](subject, data)) is None:
        return []
    bits, parts, rows = measured
    if not bits.isfinite().all():
        raise ValueError(
            f"nll={options.nll} must be finite, but is not for {int((~bits.isfinite()).sum())} of {len(bits)} images"
        )
    mean, half = float(bits.mean()), 1.96 * float(bits.std()) / math.sqrt(len(bits))
    told = (
        ", ".join(f"{name} {value:.4f}" for name, value in parts.items())
        or f"{options.nll_steps} steps of Heun's method"
    )
    log.info(
        "nll        %.3f +- %.3f bits per dimension (95%%, %s images; %s)",
        mean,
        half,
        f"{len(bits):,}",
        told,
    )
    found = {
        "bits_per_dimension": mean,
        "interval_95": [mean - half, mean + half],
        **parts,
        **asdict(options),
        "n": len(bits),
    }
    write_likelihood(folder, found, rows)
    return [
        MetricResult(
            "nll", Number(mean, mean - half, mean + half), likelihood_protocol(subject, data)
        )
    ]


def likelihood_protocol(subject: EvaluationInputs, data: ImageSet) -> Protocol:
    """How the likelihood came about."""
    options, count = subject.options, len(data.images)
    by = f"{options.nll} {options.nll_cdf}" + f" {options.nll_steps} steps" * (options.nll == "ode")
    images = f"{data.fingerprint[:10]} {count:,} {options.images}"
    version = checkpoints.environment()["ddpm-cli"]
    return Protocol(
        "nll", by, images, count, "", "", options.seed, options.weights, "fp32", version
    )


def write_likelihood(
    folder: Path, found: dict[str, object], rows: Sequence[tuple[float, ...]]
) -> None:
    """Writes the number, and over time what the bound has."""
    save_text(folder / "nll.json", json.dumps(found, indent=2) + "\n")
    if rows:
        save_text(
            folder / "nll_per_time.csv",
            "".join(",".join(map(str, row)) + "\n" for row in [COLUMNS, *rows]),
        )
        save_figure(folder / "nll.png", (11, 4.5), lambda figure: draw_likelihood(figure, rows))
    for name in ["nll.json", *["nll_per_time.csv", "nll.png"] * bool(rows)]:
        log.info("written    %s", folder / name)


def by_bound(subject: EvaluationInputs, data: ImageSet) -> Found | None:
    """Bits by L_T and one draw of every L_t; their parts; a row for every time; for the first process."""
    diffusion, cdf = subject.denoiser.diffusion, CDF[subject.options.nll_cdf]
    found = values_per_step(
        subject,
        data,
        diffusion.steps,
        lambda denoise, x0, noise: (
            each[1:] for each in bound_terms(denoise, diffusion, x0, noise, cdf)
        ),
    )
    mine = {
        place: (prior_bits(diffusion, x0).cpu().double(), table[:, 0].sum(0), table.sum(2))
        for place, x0, table in found
    }
    every = subject.group.gather_sorted(mine)
    if not subject.group.is_first:
        return None
    ends, bits, sums = zip(*every, strict=True)
    end, (each, errors) = (
        float(torch.cat(ends).mean()),
        (torch.stack(sums).sum(0) / len(data.images)).T,
    )
    columns = (each, errors, bound_rates(end, each), 127.5 * errors.sqrt())
    rows = list(
        zip(range(1, diffusion.steps + 1), *(column.tolist() for column in columns), strict=True)
    )
    return (
        torch.cat(ends) + torch.cat(bits),
        {"L_T": end, "L_t": float(each[1:].sum()), "decoder": float(each[0])},
        rows,
    )


def by_flow(subject: EvaluationInputs, data: ImageSet) -> Found | None:
    """Bits by the probability flow, which has neither parts nor terms; for the first process."""
    diffusion, cdf, steps = (
        subject.denoiser.diffusion,
        CDF[subject.options.nll_cdf],
        subject.options.nll_steps,
    )
    times = even_levels(diffusion, steps)
    found = values_per_step(
        subject,
        data,
        steps,
        lambda denoise, x0, noise: (
            (bits,) for bits in flow_bits(denoise, diffusion, x0, noise, cdf, times)
        ),
    )
    every = subject.group.gather_sorted({place: table[-1, 0] for place, _, table in found})
    return (torch.cat(every), {}, []) if subject.group.is_first else None


def values_per_step(
    subject: EvaluationInputs,
    data: ImageSet,
    steps: int,
    run: Callable[..., Iterator[tuple[PerImage, ...]]],
) -> Iterator[tuple[int, Images, Table]]:
    """Of this process's batches, one after another, the number, the images, and what every step of a run finds of each; moves a bar."""
    denoiser, options, group = subject.denoiser, subject.options, subject.group
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} images [{elapsed}<{remaining}, {rate_fmt}]"
    batches = list(enumerate(torch.split(torch.arange(len(data.images)), options.batch)))[
        group.rank :: group.count
    ]
    assert data.places is not None
    whole = steps * sum(len(few) for _, few in batches)
    with tqdm(
        total=whole,
        unit_scale=1 / steps,
        dynamic_ncols=True,
        bar_format=form,
        disable=not group.is_first,
    ) as bar:
        for place, few in batches:
            x0, found = to_float(data.images[few].to(denoiser.device)), []
            labels = None if data.labels is None else data.labels[few].to(denoiser.device)
            known = (
                denoiser
                if labels is None or not denoiser.conditional
                else with_label(denoiser, labels)
            )
            noise = noise_at_times(
                x0, options.seed, data.places[few].tolist(), denoiser.diffusion.steps
            )
            for values in run(known, x0, noise):
                found.append(torch.stack(values))
                bar.update(len(x0))
            yield place, x0, torch.stack(found).cpu().double()


def draw_likelihood(figure: "Figure", rows: Sequence[tuple[float, ...]]) -> None:
    """Draws L_t over t, and the distortion over the rate."""
    t, bits, _, rate, distortion = zip(*rows, strict=True)
    left, right = figure.subplots(1, 2)
    left.plot(t, bits)
    left.set(yscale="log", xlabel="t", ylabel="L_t (bits per dimension)")
    right.plot(rate, distortion)
    right.set(
        xlabel="rate (bits per dimension)", ylabel="distortion (root mean squared error of 0..255)"
    )


NLL = {"bound": by_bound, "ode": by_flow}
