"""The results of `ddpm-eval`: on the screen, in its folder, and in the folder of the run."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.console import fact
from ddpm_cli.evaluation.protocol import MetricResult, results_table, round_figure
from ddpm_cli.files import save_text
from ddpm_cli.metrics import Copies
from ddpm_cli.run_folder.evaluations import append_evaluations

log = logging.getLogger(__name__)


def write_evaluation(
    inputs: EvaluationInputs, results: Sequence[MetricResult], copies: Mapping[str, Copies]
) -> None:
    """Log the numbers in a table and write them.

    The folder of the run gets the numbers of images that its checkpoint has drawn.
    """
    for line in ["", *results_table(results), "", *(each.summary() for each in copies.values())]:
        log.info("%s", line)
    checkpoint, folder = inputs.checkpoint, inputs.folder
    rows = [result.row(checkpoint.step) for result in results]
    content = {
        "ckpt": inputs.options.ckpt,
        "step": checkpoint.step,
        "numbers": rows,
        "protocols": {
            each.protocol.id: {"text": each.protocol.text, **vars(each.protocol)}
            for each in results
        },
        "copies": {
            metric: {
                "threshold": round_figure(each.threshold),
                "nominal": round_figure(each.nominal),
                "told": each.summary(),
            }
            for metric, each in copies.items()
        },
    }
    save_text(folder / "eval.json", json.dumps(content, indent=2) + "\n")
    fact("written", folder / "eval.json")
    if inputs.options.generated is None:
        append_evaluations(Path(inputs.options.ckpt).expanduser().resolve(), rows)
