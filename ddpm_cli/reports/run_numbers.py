"""The numbers on the page of a run: facts, curves, and tables of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.even_indices import first_to_last
from ddpm_cli.pace.cadences import Cadences
from ddpm_cli.rendering.html import chart
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.run_folder.evaluations import evaluation_rows, protocol_warning
from ddpm_cli.run_folder.layout import INCIDENTS
from ddpm_cli.run_folder.rows import json_rows
from ddpm_cli.training.verdict import Verdict

LISTED, EVALUATED = 20, 1000  # the most rows of a table, and of evaluations
METRICS = ("metric", "step", "value", "low", "high", "protocol_id")  # columns of an evaluation
SKIPPED = ("step", "loss", "grad_norm", "weight_norm", "lr")  # columns of an incident


def run_facts(facts: Mapping[str, Any], checkpoint: Checkpoint, curves: Curves) -> dict[str, str]:
    """The facts of a run: its description, its last step, its speed, and the verdict."""
    names = ("model", "data", "schedule", "length", "device")
    return {
        **{name: str(facts.get(name, "")) for name in names},
        "classes": ", ".join(checkpoint.classes),
        "cadences": cadence_text(checkpoint),
        "done": f"{checkpoint.step:,} of {checkpoint.steps:,} steps",
        "speed": speed_text(curves, checkpoint.config.trainer.batch_size),
        "learning": verdict_text(checkpoint, curves),
    }


def cadence_text(checkpoint: Checkpoint) -> str:
    """The actions of a run before its last step; "" if none, or in an old file."""
    measures = bool(checkpoint.config.trainer.get("measures"))
    cadences = Cadences(**{**asdict(Cadences()), **checkpoint.cadences})
    return cadences.text(checkpoint.steps, measures=measures) if checkpoint.cadences else ""


def speed_text(curves: Curves, batch: int) -> str:
    """Images a second, and the time of all steps at the measured speeds."""
    rows = [row for row in curves.rows if row.get("images_per_second", 0) > 0]
    counts = [after - before for before, after in pairwise([0, *(row["step"] for row in rows)])]
    seconds = sum(
        count * batch / row["images_per_second"] for count, row in zip(counts, rows, strict=True)
    )
    if not seconds > 0:
        return ""
    speed = sum(counts) * batch / seconds
    return f"{speed:,.0f} images/s, {seconds / 60:,.1f} minutes in steps"


def verdict_text(checkpoint: Checkpoint, curves: Curves) -> str:
    """The verdict in the run's own words; '' if no image is held out."""
    verdict = Verdict.from_state_dict(checkpoint.part("history.verdict"), checkpoint.step)
    rows = [
        row
        for row in curves.rows
        if {"held_out", "training"} <= row.keys() and row["step"] <= checkpoint.step
    ]
    if not rows or not len(verdict.held_out):
        return ""
    verdict.latest = int(rows[-1]["step"]), rows[-1]["held_out"], rows[-1]["training"]
    return verdict.summary(checkpoint.config.trainer.best)


def charts(curves: Curves) -> dict[str, Markup]:
    """Curves of the loss, of held-out images beside training, and of each metric of samples."""
    panels = [["loss"], ["held_out", "training"], *([name] for name in sample_metrics(curves))]
    drawings = {}
    for panel in panels:
        lines = {name: curves.points(name, 1) for name in panel}
        lines = {name: (x, y) for name, (x, y) in lines.items() if len(x) > 1}
        course = "; ".join(
            f"{name} from {y[0]:.4g} at step {x[0]:,.0f} to {y[-1]:.4g} at step {x[-1]:,.0f}"
            for name, (x, y) in lines.items()
        )
        if lines:
            points = {name: (x.tolist(), y.tolist()) for name, (x, y) in lines.items()}
            drawings[" and ".join(lines)] = chart(points, over="step", alt=course)
    return drawings


def sample_metrics(curves: Curves) -> list[str]:
    """The metrics of samples that the run measured during training."""
    return [name for name in curves.names if name.startswith(("fd_", "kid_"))]


def number_table(curves: Curves) -> dict[str, Sequence[Any]]:
    """Columns and rows of a table of some numbers of the run."""
    names = ["loss", "held_out", "training", *sample_metrics(curves), "lr", "images_per_second"]
    names = [name for name in names if name in curves.names]
    some = [curves.rows[place] for place in first_to_last(len(curves.rows), LISTED)]
    rows = [[int(row["step"]), *map(row.get, names)] for row in some]
    return {"columns": ["step", *names], "rows": rows}


def evaluation_table(folder: Path) -> dict[str, Any]:
    """The numbers of `ddpm-eval` with their intervals and protocols."""
    known = {"step", "protocol_id"}
    rows = [row for row in evaluation_rows(folder) if known <= row.keys()][-EVALUATED:]
    last = {tuple(str(row[key]) for key in ("metric", "step", "protocol_id")): row for row in rows}
    return {
        "evaluations": [[row.get(key) for key in METRICS] for row in last.values()],
        "protocols": {str(row["protocol_id"]): row["protocol"] for row in last.values()},
        "protocol_warning": protocol_warning(rows),
    }


def incident_table(folder: Path) -> dict[str, Any]:
    """The last skipped steps, and the number of all skipped steps."""
    rows = [row for row in json_rows(folder / INCIDENTS) if "error" not in row]
    cells = [[row.get(key) for key in SKIPPED] for row in rows[-LISTED:]]
    return {"incidents": cells, "skipped": f"{len(rows):,}"}
