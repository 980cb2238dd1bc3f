"""What `ddpm-eval` has found: told on the screen, written into its folder, and noted in that of the run."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.evaluation.protocol import MetricResult, results_table, round_figure
from ddpm_cli.files import save_text
from ddpm_cli.metrics import Copies
from ddpm_cli.run_folder.logger import append_text

log = logging.getLogger(__name__)


def write_evaluation(
    subject: EvaluationInputs, found: Sequence[MetricResult], copies: Mapping[str, Copies]
) -> None:
    """Tells the numbers in a table and writes them; those of images that the checkpoint has drawn are noted in its run's folder too."""
    for line in ["", *results_table(found), "", *(each.summary() for each in copies.values())]:
        log.info("%s", line)
    rows = [each.row(subject.step) for each in found]
    told = {
        by: {
            "threshold": round_figure(each.threshold),
            "nominal": round_figure(each.nominal),
            "told": each.summary(),
        }
        for by, each in copies.items()
    }
    protocols = {
        each.protocol.id: {"text": each.protocol.text, **asdict(each.protocol)} for each in found
    }
    content = {
        "ckpt": subject.options.ckpt,
        "step": subject.step,
        "numbers": rows,
        "protocols": protocols,
        "copies": told,
    }
    save_text(subject.folder / "eval.json", json.dumps(content, indent=2) + "\n")
    log.info("written    %s", subject.folder / "eval.json")
    checkpoint = Path(subject.options.ckpt).expanduser().resolve()
    run = checkpoint.parents[1] if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    if subject.options.generated is None and (run / ".hydra").is_dir():
        append_evaluations(run / "evaluations.jsonl", rows)


def append_evaluations(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Adds rows that are not there yet to a file of rows, below half a row too; a run's folder that takes none ends no evaluation badly."""
    try:
        there = path.read_text(errors="replace") if path.exists() else ""
        new = "".join(
            f"{line}\n" for line in map(json.dumps, rows) if line not in there.splitlines()
        )
        append_text(path, "\n" * (bool(there) and not there.endswith("\n")) + new)
    except OSError as error:
        log.warning(
            "warning: cannot write into %s: %s; the numbers stand in eval.json alone",
            path,
            error.strerror or error,
        )
