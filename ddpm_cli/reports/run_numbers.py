"""The numbers on the page of a run: facts, curves, and tables of rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.even_indices import first_to_last
from ddpm_cli.pace.cadences import Cadences
from ddpm_cli.rendering.html import chart
from ddpm_cli.reports.speed import speed_text
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.run_folder.evaluations import evaluation_rows, protocol_warning
from ddpm_cli.run_folder.layout import INCIDENTS, METRICS
from ddpm_cli.run_folder.rows import json_rows
from ddpm_cli.training.verdict import Verdict

LISTED, EVALUATED = 20, 1000  # the most rows of a table, and of evaluations
EVALUATION = ("metric", "step", "value", "low", "high", "protocol_id")  # columns of a table
SKIPPED = ("step", "loss", "grad_norm", "weight_norm", "lr")  # columns of an incident


def run_facts(facts: Mapping[str, Any], checkpoint: Checkpoint, curves: Curves) -> dict[str, str]:
    """The facts of a run in plain words: its description, its last step, and the verdict."""
    return {
        "Network": str(facts.get("model", "")),
        "Training data": str(facts.get("data", "")),
        "Classes": ", ".join(checkpoint.classes),
        "Noise": str(facts.get("schedule", "")),
        "Length": str(facts.get("length", "")),
        "Done": f"{checkpoint.step:,} of {checkpoint.steps:,} steps",
        "Cadence": cadence_text(checkpoint),
        "Device": str(facts.get("device", "")),
        "Verdict": run_verdict(checkpoint, curves).summary(checkpoint.config.trainer.best),
    }


def outcome_text(facts: Mapping[str, Any], checkpoint: Checkpoint, curves: Curves) -> str:
    """One sentence: whether the run still learns, its steps, time, speed and device."""
    verdict, step, steps = run_verdict(checkpoint, curves), checkpoint.step, checkpoint.steps
    word = "Trained"
    if verdict.latest is not None:
        word = f"{verdict.words.capitalize()}: trained"
    length = f"{step:,} of {steps:,} steps" if step < steps else f"all {steps:,} steps"
    passes = re.search(r"[\d.,]+ epochs", str(facts.get("length", "")))
    if passes and step == steps:
        length += f" ({passes[0]})"
    device = str(facts.get("device", "")).partition(", ")[0]
    if speed := speed_text(curves, checkpoint.config.trainer.batch_size):
        length += f" in {speed}{f', on {device}' * bool(device)}"
    return f"{word} {length}."


def cadence_text(checkpoint: Checkpoint) -> str:
    """The actions of a run before its last step; "" if none, or in an old file."""
    measures = bool(checkpoint.config.trainer.get("measures"))
    cadences = Cadences(**{**asdict(Cadences()), **checkpoint.cadences})
    return cadences.text(checkpoint.steps, measures=measures) if checkpoint.cadences else ""


def run_verdict(checkpoint: Checkpoint, curves: Curves) -> Verdict:
    """The verdict in a checkpoint, with its latest losses; without losses if none is held out."""
    verdict = Verdict.from_state_dict(checkpoint.part("history.verdict"), checkpoint.step)
    rows = [
        row
        for row in curves.rows
        if {"held_out", "training"} <= row.keys() and row["step"] <= checkpoint.step
    ]
    if not rows or not len(verdict.held_out):
        return Verdict()
    verdict.latest = int(rows[-1]["step"]), rows[-1]["held_out"], rows[-1]["training"]
    return verdict


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
    return {"number_columns": ["step", *names], "rows": rows}


def pandas_lines(folder: Path) -> str:
    """Two lines of Python that read all numbers of a run."""
    path = str(folder.resolve() / METRICS)
    return f"import pandas\nnumbers = pandas.read_json({path!r}, lines=True)"


def evaluation_table(folder: Path) -> dict[str, Any]:
    """The numbers of `ddpm-eval` with their intervals and protocols."""
    known = {"step", "protocol_id"}
    rows = [row for row in evaluation_rows(folder) if known <= row.keys()][-EVALUATED:]
    last = {tuple(str(row[key]) for key in ("metric", "step", "protocol_id")): row for row in rows}
    return {
        "evaluations": [[row.get(key) for key in EVALUATION] for row in last.values()],
        "protocols": {str(row["protocol_id"]): row["protocol"] for row in last.values()},
        "protocol_warning": protocol_warning(rows),
    }


def incident_table(folder: Path) -> dict[str, Any]:
    """The last skipped steps, and the number of all skipped steps."""
    rows = [row for row in json_rows(folder / INCIDENTS) if "error" not in row]
    cells = [[row.get(key) for key in SKIPPED] for row in rows[-LISTED:]]
    return {"incidents": cells, "skipped": f"{len(rows):,}"}
