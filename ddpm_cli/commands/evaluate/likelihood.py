"""Measure the likelihood of images under a model by either method; log, write and draw it."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from tqdm import tqdm

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.commands.evaluate.options import Options
from ddpm_cli.console import fact
from ddpm_cli.evaluation.bits_per_dim import (
    NoiseAt,
    bound_rates,
    bound_terms,
    even_levels,
    flow_bits,
    noise_at_times,
    prior_bits,
)
from ddpm_cli.evaluation.protocol import MetricResult, Protocol
from ddpm_cli.files import csv_text, save_text
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.images import to_float
from ddpm_cli.losses import normal_cdf, tanh_cdf
from ddpm_cli.metrics import Number
from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.samplers import Denoise, with_label
from ddpm_cli.shapes import Images, PerImage, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CDF = {"exact": normal_cdf, "tanh": tanh_cdf}
BYTE = 8  # bits
COLUMNS = ("t", "bits", "mse", "rate", "distortion")
BAR = "{l_bar}{bar}| {n:.0f}/{total:.0f} images [{elapsed}<{remaining}, {rate_fmt}]"
Likelihood: TypeAlias = tuple[PerImage, dict[str, float], list[tuple[float, ...]]]
log = logging.getLogger(__name__)


def method_text(inputs: EvaluationInputs) -> str:
    """The method of the likelihood, and its cost."""
    options, steps = inputs.options, inputs.denoiser.diffusion.steps
    method = {
        "bound": f"variational bound, {steps:,}",
        "ode": f"probability flow, {2 * options.nll_steps + 1:,}",
    }[options.nll]
    return f"{method} evaluations an image; the decoder's normal distribution is {options.nll_cdf}"


def measure_likelihood(inputs: EvaluationInputs, data: ImageSet) -> list[MetricResult]:
    """Measure the likelihood, log it and write it; the bound also gives rows over time."""
    options = inputs.options
    if (measured := NLL[options.nll](inputs, data)) is None:
        return []
    bits, parts, rows = measured
    if wrong := int((~bits.isfinite()).sum()):
        raise ValueError(
            f"nll={options.nll} must be finite, but is not for {wrong} of {len(bits)} images"
        )
    mean, half = float(bits.mean()), 1.96 * float(bits.std()) / math.sqrt(len(bits))
    details = ", ".join(f"{name} {value:.4f}" for name, value in parts.items())
    details = details or f"{options.nll_steps} steps of Heun's method"
    interval = f"{mean:.3f} +- {half:.3f} bits per dimension"
    fact("nll", f"{interval} (95%, {len(bits):,} images; {details})")
    is_flow = options.nll == "ode"
    if mean > BYTE:
        fewer = "a model that has learned takes fewer" + ", and so do more nll_steps" * is_flow
        log.warning("warning: the plain bytes take %d bits per dimension; %s", BYTE, fewer)
    content = {
        "bits_per_dimension": mean,
        "interval_95": [mean - half, mean + half],
        **parts,
        **asdict(options),
        "n": len(bits),
    }
    write_likelihood(inputs.folder, content, rows)
    protocol = likelihood_protocol(options, data, inputs.checkpoint)
    return [MetricResult("nll", Number(mean, mean - half, mean + half), protocol)]


def likelihood_protocol(options: Options, data: ImageSet, checkpoint: Checkpoint) -> Protocol:
    """The protocol of the likelihood."""
    count, steps = len(data.images), f" {options.nll_steps} steps" * (options.nll == "ode")
    return Protocol(
        metric="nll",
        by=f"{options.nll} {options.nll_cdf}{steps}",
        images=f"{data.fingerprint[:10]} {count:,} {options.images}",
        n=count,
        sampler="",
        steering="",
        seed=options.seed,
        weights=checkpoint.weights_text(options.weights),
        precision="fp32",
    )


def write_likelihood(
    folder: Path, content: Mapping[str, object], rows: Sequence[tuple[float, ...]]
) -> None:
    """Write the number, and the rows over time if there are any."""
    save_text(folder / "nll.json", json.dumps(content, indent=2) + "\n")
    fact("written", folder / "nll.json")
    if rows:
        table, plot = folder / "nll_per_time.csv", folder / "nll.png"
        save_text(table, csv_text([COLUMNS, *rows]))
        save_figure(plot, (11, 4.5), lambda figure: draw_likelihood(figure, rows))
        fact("written", table)
        fact("written", plot)


def by_bound(inputs: EvaluationInputs, data: ImageSet) -> Likelihood | None:
    """The bits from L_T and one draw of every L_t, the bits' parts, and a row for every time.

    Every process but the first returns None.
    """
    diffusion, cdf = inputs.denoiser.diffusion, CDF[inputs.options.nll_cdf]

    def terms(denoise: Denoise, x0: Images, noise: NoiseAt) -> Iterator[tuple[PerImage, ...]]:
        return (each[1:] for each in bound_terms(denoise, diffusion, x0, noise, cdf))

    mine = {
        place: (prior_bits(diffusion, x0).cpu().double(), table[:, 0].sum(0), table.sum(2))
        for place, x0, table in values_per_step(inputs, data, diffusion.steps, terms)
    }
    every = inputs.group.gather_sorted(mine)
    if inputs.group.rank > 0:
        return None
    ends, bits, sums = zip(*every, strict=True)
    end, means = float(torch.cat(ends).mean()), torch.stack(sums).sum(0) / len(data.images)
    bits_at, errors = means.T
    columns = (bits_at, errors, bound_rates(end, bits_at), 127.5 * errors.sqrt())
    times, values = range(1, diffusion.steps + 1), (column.tolist() for column in columns)
    parts = {"L_T": end, "L_t": float(bits_at[1:].sum()), "decoder": float(bits_at[0])}
    return torch.cat(ends) + torch.cat(bits), parts, list(zip(times, *values, strict=True))


def by_flow(inputs: EvaluationInputs, data: ImageSet) -> Likelihood | None:
    """The bits by the probability flow, without parts or rows; None but in the first process."""
    options, diffusion = inputs.options, inputs.denoiser.diffusion
    cdf, times = CDF[options.nll_cdf], even_levels(diffusion, options.nll_steps)

    def states(denoise: Denoise, x0: Images, noise: NoiseAt) -> Iterator[tuple[PerImage, ...]]:
        return ((bits,) for bits in flow_bits(denoise, diffusion, x0, noise, cdf, times))

    values = values_per_step(inputs, data, options.nll_steps, states)
    every = inputs.group.gather_sorted({place: table[-1, 0] for place, _, table in values})
    return (torch.cat(every), {}, []) if inputs.group.rank == 0 else None


def values_per_step(
    inputs: EvaluationInputs,
    data: ImageSet,
    steps: int,
    run: Callable[[Denoise, Images, NoiseAt], Iterator[tuple[PerImage, ...]]],
) -> Iterator[tuple[int, Images, Table]]:
    """Yield the number, the images, and the values at every step of each batch of this process.

    run: a function that yields the values of a batch step by step. A bar shows the progress.
    """
    denoiser, options, group = inputs.denoiser, inputs.options, inputs.group
    every = torch.split(torch.arange(len(data.images)), options.batch)
    batches = list(enumerate(every))[group.rank :: group.count]
    assert data.places is not None
    with tqdm(
        total=steps * sum(len(indices) for _, indices in batches),
        unit_scale=1 / steps,
        dynamic_ncols=True,
        bar_format=BAR,
        disable=group.rank > 0,
    ) as bar:
        for place, indices in batches:
            x0, table = to_float(data.images[indices].to(denoiser.device)), []
            denoise: Denoise = denoiser
            if data.labels is not None and denoiser.conditional:
                denoise = with_label(denoiser, data.labels[indices].to(denoiser.device))
            noise = noise_at_times(x0, options.seed, data.places[indices].to(denoiser.device))
            for values in run(denoise, x0, noise):
                table.append(torch.stack(values))
                bar.update(len(x0))
            yield place, x0, torch.stack(table).cpu().double()


def draw_likelihood(figure: "Figure", rows: Sequence[tuple[float, ...]]) -> None:
    """Draw L_t over t, and distortion over rate."""
    t, bits, _, rate, distortion = zip(*rows, strict=True)
    left, right = figure.subplots(1, 2)
    left.plot(t, bits)
    left.set(yscale="log", xlabel="t", ylabel="L_t (bits per dimension)")
    right.plot(rate, distortion)
    right.set(
        xlabel="rate (bits per dimension)", ylabel="distortion (root mean squared error of 0..255)"
    )


NLL = {"bound": by_bound, "ode": by_flow}
