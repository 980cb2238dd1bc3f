"""The card of a model: README.md with its data, recipe, figures, command and licence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.console import printable
from ddpm_cli.reports.reproduce import train_command
from ddpm_cli.run_folder.evaluations import evaluation_rows
from ddpm_cli.run_folder.facts import read_facts

TAGS = ["ddpm", "diffusion", "unconditional-image-generation"]
HUB_LICENCES = {  # names that the hub knows; it files any other under `other`
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "wtfpl", "cc0-1.0"),
    *("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
    *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "gpl-2.0", "gpl-3.0"),
    *("lgpl-2.1", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "openrail", "openrail++", "artistic-2.0"),
    *("creativeml-openrail-m", "bigscience-openrail-m", "bigscience-bloom-rail-1.0"),
}
LONGEST = 500  # characters of a fact from the run's folder
FILES = {
    "model.safetensors": "the moving average (EMA) of the weights and the recipe: a checkpoint of "
    "ddpm-cli, format 5, without the state of its training",
    "samples.png": "samples that the run drew by the EMA",
    "model.pt2": "the network as a program of `torch.export`",
}


def card_text(
    name: str,
    checkpoint: Checkpoint,
    run: Path,
    files: Sequence[str],
    *,
    repository: str | None,
    licence: str | None,
) -> str:
    """The card of a checkpoint. run: the folder of its run, with its facts and evaluations.

    files: the files beside the card. repository: the model's OWNER/NAME on the hub, if known.
    """
    ckpt = "model.safetensors" if repository is None else f"hf://{repository}"
    parts = [
        front_matter(licence),
        f"# {printable(name)}",
        summary(checkpoint),
        *["![samples](samples.png)"] * ("samples.png" in files),
        "## Use",
        code(f"pip install ddpm-cli\nddpm-sample ckpt={ckpt} n=64", "sh"),
        "## Files",
        "\n".join(f"- `{each}`: {FILES[each]}" for each in files),
        *[program_text(checkpoint)] * ("model.pt2" in files),
        "## Training data",
        data_text(checkpoint, run),
        "## Recipe",
        code(OmegaConf.to_yaml(checkpoint.config), "yaml"),
        "The command that trains it again; paths are cut to names:",
        code(train_command(checkpoint), "sh"),
        "## Figures",
        figures_text(checkpoint, run),
        "## Licence",
        licence_text(licence),
    ]
    return "\n\n".join(parts) + "\n"


def front_matter(licence: str | None) -> str:
    """The fields of a card that the hub reads."""
    fields: dict[str, Any] = {"library_name": "ddpm-cli", "tags": TAGS}
    fields["pipeline_tag"] = "unconditional-image-generation"
    fields |= {} if licence is None else licence_fields(licence)
    return f"---\n{yaml.safe_dump(fields, sort_keys=False)}---"


def licence_fields(licence: str) -> dict[str, str]:
    """The fields of a card for a licence: its name on the hub, or `other` and its name."""
    known = licence.strip().lower()
    if known in HUB_LICENCES:
        return {"license": known}
    return {"license": "other", "license_name": "-".join(known.split())}


def licence_text(licence: str | None) -> str:
    """The licence in words."""
    if licence is None:
        return "No licence is named: ask the owner before any use."
    return f"{licence.strip()}, as its owner says."


def summary(checkpoint: Checkpoint) -> str:
    """The model in one sentence."""
    channels, height, width = checkpoint.shape
    count = sum(each.numel() for each in checkpoint.part("ema").values())
    version = checkpoint.environment.get("ddpm-cli", "")
    return (
        f"A denoising diffusion model (DDPM) of images of {height} x {width} pixels in {channels} "
        f"channel{'s' * (channels > 1)}, {count:,} parameters, after {checkpoint.step:,} of "
        f"{checkpoint.steps:,} steps of training with ddpm-cli {printable(version)}".rstrip()
        + "."
    )


def data_text(checkpoint: Checkpoint, run: Path) -> str:
    """The training images in words; the images themselves are never part of a model's folder."""
    config: Any = OmegaConf.select(checkpoint.config, "data") or {}
    facts = read_facts(run).get("data")
    known = f": {printable(facts)}" if isinstance(facts, str) and len(facts) <= LONGEST else ""
    source = str(config.get("_target_", "unknown")).rpartition(".")[2]
    name = config.get("name") or config.get("path")
    named = f" `{printable(str(name))}`" if isinstance(name, str) else ""
    classes = ", ".join(printable(each) for each in checkpoint.classes)
    lines = [
        f"Source: {source}{named}{known}. Fingerprint of the images: `{checkpoint.fingerprint}`.",
        *[f"Classes: {classes}."] * bool(classes),
        "The images are not part of this model.",
    ]
    return "\n".join(lines)


def figures_text(checkpoint: Checkpoint, run: Path) -> str:
    """The figures of `ddpm-eval` at the checkpoint's step, each with its protocol."""
    rows = {
        (row["metric"], row["protocol"]): row
        for row in evaluation_rows(run)
        if row.get("step") == checkpoint.step
    }
    if not rows:
        return "None were measured; `ddpm-eval` measures them."
    lines = ["| metric | value | 95% interval | protocol |", "|---|---|---|---|"]
    for (metric, protocol), row in rows.items():
        interval = f"{figure(row.get('low'))} to {figure(row.get('high'))}"
        cells = metric, figure(row["value"]), interval, protocol
        lines.append(
            f"| {' | '.join(printable(each).replace('|', chr(92) + '|') for each in cells)} |"
        )
    return "\n".join(lines)


def figure(value: Any) -> str:
    """A figure in four digits, or a dash."""
    return f"{value:.4g}" if isinstance(value, int | float) else "-"


def program_text(checkpoint: Checkpoint) -> str:
    """How to call the program."""
    model: Any = checkpoint.config.model
    size = ", ".join(map(str, checkpoint.shape))
    label = ", label)` with label int64 [B], -1 for none" if model.get("conditional") else ")`"
    variance = (
        "; the second half of its channels is the variance"
        if model.get("variance") == "learned"
        else ""
    )
    lines = [
        "import torch",
        'network = torch.export.load("model.pt2").module()',
        f"output = network(x_t, t{', label' * bool(model.get('conditional'))})",
    ]
    meaning = (
        f"`network(x_t, t{label} takes x_t [B, {size}] in fp32 for any B, and t [B] in fp32, the "
        f"paper's time less 1 (from 0). It returns {model.get('predicts', 'eps')}{variance}. The "
        "schedule stands in the recipe."
    )
    return f"{code(chr(10).join(lines), 'python')}\n\n{meaning}"


def code(text: str, language: str) -> str:
    """A text as a block of code, which no line in it can end."""
    return f"```{language}\n{text.strip().replace('```', chr(39) * 3)}\n```"
