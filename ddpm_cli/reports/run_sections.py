"""What stands on the card of a training run, section by section: facts of its folder, of its checkpoint and of its denoiser."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torchvision.transforms.v2.functional import to_pil_image

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.build import bind, group_options
from ddpm_cli.config.overrides import composing
from ddpm_cli.config.values import path_override
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.film import FRAMES, collect_states
from ddpm_cli.generation.trajectory import trajectory
from ddpm_cli.rendering.html import (
    Frame,
    Markup,
    chart,
    element,
    fitted,
    pairs,
    picture,
    slider,
    spread,
    table,
)
from ddpm_cli.rendering.tiles import grid
from ddpm_cli.reports.reproduce import train_command
from ddpm_cli.run_folder import facts, overrides, pictures
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.run_folder.evaluations import protocol_warning
from ddpm_cli.run_folder.rows import json_rows
from ddpm_cli.shapes import Picture
from ddpm_cli.training.verdict import Verdict

GRIDS, LISTED = 50, 20  # grids of samples, and rows of a table, at most
OF_SAMPLES, OF_FILM, OF_PICTURE = 4_000_000, 1_000_000, 700_000  # bytes that they take in the page
SEEN = {
    "data.png": "A batch of training images as the network sees them.",
    "forward.png": "Eight of them, a row each, under growing noise; the clean image is on the left.",
    "held_out.png": "Losses of held-out images: evaluations from left to right, times from the cleanest (above) to noise (below); "
    "dark where a time is as good as it ever was. Where it turns light again on the right, the network forgets.",
}
EVALUATIONS = "evaluations.jsonl"
METRICS = {
    "metric": "metric",
    "step": "step",
    "value": "value",
    "95% from": "low",
    "to": "high",
    "protocol": "protocol_id",
}
INCIDENTS = {
    "step": "step",
    "loss": "loss",
    "gradient": "grad_norm",
    "weights": "weight_norm",
    "learning rate": "lr",
}


def trained(folder: Path, checkpoint: Checkpoint, curves: Curves) -> dict[str, str]:
    """What the run said of itself when it began, how far it came, how quick it was, and the verdict on it."""
    words, steps = facts.log_facts(folder), checkpoint.steps
    found = {
        name: words.get(name, "") for name in ("model", "data", "schedule", "length", "device")
    }
    found["classes"] = ", ".join(checkpoint.classes)
    done = f"{checkpoint.step:,} of {steps:,} steps"
    return {
        **found,
        "done": done,
        "speed": speed(curves, checkpoint.config.trainer.batch_size),
        "learning": verdict(checkpoint, curves),
    }


def speed(curves: Curves, batch: int) -> str:
    """Images in a second, and the time that all steps took at the speeds that were measured."""
    measured = [row for row in curves.rows if row.get("images_per_second", 0) > 0]
    counts = [after - before for before, after in pairwise([0, *(row["step"] for row in measured)])]
    seconds = sum(
        count * batch / row["images_per_second"]
        for count, row in zip(counts, measured, strict=True)
    )
    return (
        f"{sum(counts) * batch / seconds:,.0f} images/s, {seconds / 60:,.1f} minutes in steps"
        if seconds > 0
        else ""
    )


def verdict(checkpoint: Checkpoint, curves: Curves) -> str:
    """The verdict in the run's own words, none where nothing is held out."""
    found = Verdict.recalled(checkpoint.verdict, checkpoint.step)
    judged = [
        row
        for row in curves.rows
        if {"held_out", "training"} <= row.keys() and row["step"] <= checkpoint.step
    ]
    if not judged or not len(found.held_out):
        return ""
    found.latest = int(judged[-1]["step"]), judged[-1]["held_out"], judged[-1]["training"]
    return found.told(checkpoint.config.trainer.best)


def samples(folder: Path) -> list[Markup]:
    """The grids of samples over the steps."""
    every = list(pictures.sample_grids(folder).items())
    found = [
        (step, pictures.read_png(path))
        for step, path in (every[place] for place in spread(len(every), GRIDS))
    ]
    kept = {f"step {step:,}": data for step, data in found if data is not None}
    return film_of(
        kept,
        "Samples at {}",
        "Training step",
        OF_SAMPLES,
        "From the average of the weights and the same noise.",
        plays=False,
    )


@torch.no_grad()
def film(checkpoint: Checkpoint, denoiser: Denoiser) -> list[Markup]:
    """How the first image comes about: x_t, and beside it the estimate of x_0."""
    cfg, shape = checkpoint.config, checkpoint.shape
    labels = torch.tensor([0]) if denoiser.conditional else None
    of = partial(
        trajectory,
        denoiser,
        bind(cfg, "sampler"),
        group_options(cfg, "sampler"),
        shape=shape,
        seed=cfg.seed,
        indices=[0],
    )
    noised, estimated = collect_states(lambda seen: of(labels=labels, seen=seen))
    columns, last = max(2, shape[0] if shape[0] != 3 else 0), len(noised) - 1
    drawn = {
        place: grid(torch.cat([noised[place], estimated[place]]), columns, tile=120)
        for place in spread(len(noised), FRAMES)
    }
    told = "One image on its way out of noise (first) and the running estimate of what it will be (second)."
    shown = {f"step {place} of {last}": png(each) for place, each in drawn.items()}
    return film_of(shown, "Image and estimate at {}", "Sampling step", OF_FILM, told, plays=True)


def film_of(
    pictures: Mapping[str, bytes], alt: str, label: str, room: int, told: str, *, plays: bool
) -> list[Markup]:
    """Pictures by where they stand in a slider, with words below them; nothing where there are none."""
    if not pictures:
        return []
    names = list(pictures)
    shown = [
        Frame(data, names[place], alt.format(names[place]))
        for place, data in fitted(list(pictures.values()), room).items()
    ]
    return [element("figure", slider(shown, label, plays=plays), element("figcaption", told))]


def png(image: Picture) -> bytes:
    """A picture as a file has it."""
    file = BytesIO()
    to_pil_image(image).save(file, "PNG")
    return file.getvalue()


def numbers(curves: Curves) -> list[Markup]:
    """The loss, what is held out beside training, whatever was measured, and a table of some rows."""
    if not curves.rows:
        return []
    measured = [name for name in curves.names if name.startswith(("fd_", "kid_"))]
    panels = [["loss"], ["held_out", "training"], *([name] for name in measured)]
    there = [[name for name in panel if len(curves.points(name, 1)[0]) > 1] for panel in panels]
    drawn = [
        element("figure", drawing(curves, panel), element("figcaption", " and ".join(panel)))
        for panel in there
        if panel
    ]
    columns = [
        name
        for name in ("loss", "held_out", "training", *measured, "lr", "images_per_second")
        if name in curves.names
    ]
    some = [curves.rows[place] for place in spread(len(curves.rows), LISTED)]
    cells = [[int(row["step"]), *(row.get(name) for name in columns)] for row in some]
    listed = table(["step", *columns], cells, caption="Numbers at some steps", sortable=True)
    return [
        element("div", *drawn, class_="charts"),
        element("details", element("summary", "The numbers in a table"), listed),
    ]


def drawing(curves: Curves, names: list[str]) -> Markup:
    """Metrics over the steps, and their course in words."""
    lines = {name: curves.points(name, 1) for name in names}
    ends = [
        f"{name} from {y[0]:.4g} at step {x[0]:,.0f} to {y[-1]:.4g} at step {x[-1]:,.0f}"
        for name, (x, y) in lines.items()
    ]
    return chart(
        {name: (x.tolist(), y.tolist()) for name, (x, y) in lines.items()},
        over="step",
        alt="; ".join(ends),
    )


def judged(folder: Path) -> list[Markup]:
    """What `ddpm-eval` found, each number with its interval and by which protocol it was found."""
    rows = [
        row
        for row in json_rows(folder / EVALUATIONS)
        if {"metric", "step", "protocol", "protocol_id"} <= row.keys()
    ]
    found = {tuple(str(row[key]) for key in ("metric", "step", "protocol_id")): row for row in rows}
    if not found:
        return []
    listed = listing(list(found.values()), METRICS, f"Metrics with 95% intervals, by {EVALUATIONS}")
    protocols = {str(row["protocol_id"]): str(row["protocol"]) for row in found.values()}
    told = [element("p", f"{each}.") for each in [protocol_warning(rows)] if each]
    return [*told, listed, element("p", "The protocols:"), pairs(protocols)]


def listing(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], caption: str) -> Markup:
    """Rows of a file in a table: what stands in them by the heads of its columns."""
    cells = [
        [
            each if isinstance(each, int | float) else str(each)
            for each in map(row.get, columns.values())
        ]
        for row in rows
    ]
    return table(list(columns), cells, caption=caption, sortable=True)


def seen(folder: Path) -> list[Markup]:
    """Pictures of the data, of the noise and of the held-out losses."""
    return [each for name, told in SEEN.items() for each in shown(folder / name, told, OF_PICTURE)]


def shown(path: Path, told: str, room: int) -> list[Markup]:
    """The picture in a file, of at most `room` bytes, with words below it; nothing where there is none that can be seen."""
    data = pictures.read_png(path)
    return (
        [element("figure", picture(fitted([data], room)[0], told), element("figcaption", told))]
        if data is not None
        else []
    )


def again(folder: Path, checkpoint: Checkpoint) -> list[Markup]:
    """The commands that train it again, go on and sample, and the recipe."""
    with composing():
        anew = train_command(checkpoint)
    kept = [
        each
        for each in overrides.typed_overrides(folder)
        if not each.startswith(("resume=", "trainer.stop_at="))
    ]
    commands = {
        "Train it again": anew,
        "Go on where it ended": shlex.join(
            ["ddpm-train", *kept, path_override("hydra.run.dir", folder), "resume=auto"]
        ),
        "Sample from it": shlex.join(
            ["ddpm-sample", path_override("ckpt", folder / "checkpoints/last.pt")]
        ),
    }
    shown = [
        each
        for told, line in commands.items()
        for each in (element("p", f"{told}:"), element("pre", element("code", line)))
    ]
    recipe = element("pre", element("code", OmegaConf.to_yaml(checkpoint.config)))
    return [*shown, element("details", element("summary", "The recipe"), recipe)]


def wrong(folder: Path) -> list[Markup]:
    """Warnings, and steps whose numbers were not finite."""
    warnings, steps = facts.log_warnings(folder), json_rows(folder / "incidents.jsonl")
    told = (
        element("ul", *[element("li", each) for each in warnings])
        if warnings
        else element("p", "There was no warning.")
    )
    if not steps:
        return [told, element("p", "The numbers of all steps were finite.")]
    caption = (
        f"The last of {len(steps):,} steps that were skipped, for their numbers were not finite"
    )
    return [told, listing(steps[-LISTED:], INCIDENTS, caption)]
