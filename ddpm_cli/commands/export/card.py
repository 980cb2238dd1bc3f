"""The card of a model: README.md with its data, recipe, figures, command and licence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.overrides import in_reading_order
from ddpm_cli.console import printable
from ddpm_cli.fine_tuning.initial_weights import initial_text
from ddpm_cli.foreign.model import UNKNOWN
from ddpm_cli.reports.reproduce import initial_overrides, recipe_overrides
from ddpm_cli.run_folder.evaluations import evaluation_rows
from ddpm_cli.run_folder.facts import read_facts

PROGRAM, PICTURE = "model.pt2", "samples.png"
TAGS = ["ddpm", "diffusion"]
TASK = "unconditional-image-generation"  # of the hub, which knows none by classes
HUB_LICENCES = {  # names that the hub knows; it files any other under `other`
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "wtfpl", "cc0-1.0"),
    *("cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
    *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "gpl-2.0", "gpl-3.0"),
    *("lgpl-2.1", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "openrail", "openrail++", "artistic-2.0"),
    *("creativeml-openrail-m", "bigscience-openrail-m", "bigscience-bloom-rail-1.0"),
}
LONGEST = 500  # characters of a fact from the run's folder
IMPORTED = "The weights were imported"


@dataclass(frozen=True)
class Contents:
    """What a folder holds, for its card.

    library: the program that reads it, by its name on the hub. use: how to read it, in Markdown.
    files: what each file is.
    """

    library: str
    use: str
    files: Mapping[str, str]


def card_text(
    name: str, checkpoint: Checkpoint, run: Path, contents: Contents, *, licence: str | None
) -> str:
    """The card of a checkpoint. run: the folder of its run, with its facts and evaluations."""
    parts = [
        front_matter(checkpoint, contents.library, licence),
        f"# {printable(name)}",
        model_text(checkpoint),
        *[f"![samples]({PICTURE})"] * (PICTURE in contents.files),
        "## Use",
        contents.use,
        "## Files",
        "\n".join(f"- `{each}`: {text}" for each, text in contents.files.items()),
        *[program_text(checkpoint)] * (PROGRAM in contents.files),
        *origin_text(checkpoint),
        "## Training data",
        data_text(checkpoint, run),
        "## Recipe",
        code(OmegaConf.to_yaml(checkpoint.config), "yaml"),
        "The command that trains it again; paths are cut to names:",
        code(public_command(checkpoint), "sh"),
        "## Figures",
        figures_text(checkpoint, run),
        "## Licence",
        licence_text(licence),
    ]
    return "\n\n".join(parts) + "\n"


def origin_text(checkpoint: Checkpoint) -> list[str]:
    """The section on reconstructed weights, and on the first weights if they were not drawn."""
    lines = [f"The weights are the {printable(checkpoint.average_text)}."] * bool(
        checkpoint.average
    )
    if checkpoint.init:
        lines.append(f"Training began with weights {printable(initial_text(checkpoint.init))}.")
    if checkpoint.origin:
        names = ("file", "source", "licence")
        file, source, licence = (printable(checkpoint.origin.get(each, UNKNOWN)) for each in names)
        what = "Training began with imported weights" if checkpoint.steps else IMPORTED
        lines.append(f"{what}: {file}. Source: {source}. Licence: {licence}.")
    return ["## Origin", "\n".join(lines)] if lines else []


def is_conditional(checkpoint: Checkpoint) -> bool:
    """Whether the model draws images of a class."""
    return bool(OmegaConf.select(checkpoint.config, "model.conditional", default=False))


def front_matter(checkpoint: Checkpoint, library: str, licence: str | None) -> str:
    """The fields of a card that the hub reads."""
    fields: dict[str, Any] = {"library_name": library}
    if is_conditional(checkpoint):
        fields["tags"] = [*TAGS, "class-conditional-image-generation"]
    else:
        fields |= {"tags": [*TAGS, TASK], "pipeline_tag": TASK}
    named = "" if licence is None else licence_yaml(licence)
    return f"---\n{yaml.safe_dump(fields, sort_keys=False)}{named}---"


def licence_yaml(licence: str) -> str:
    """The fields of a card for a licence: its name on the hub, or `other` and its name."""
    name = "-".join(licence.lower().split())
    if name in HUB_LICENCES:
        return yaml.safe_dump({"license": name})
    return yaml.safe_dump({"license": "other", "license_name": name})


def licence_text(licence: str | None) -> str:
    """The licence in words."""
    if licence is None:
        return "No licence is named: ask the owner before any use."
    return f"{licence.strip()}, as its owner says."


def model_text(checkpoint: Checkpoint) -> str:
    """The model in one sentence."""
    channels, height, width = checkpoint.shape
    count = sum(each.numel() for each in checkpoint.part("ema").values())
    classes = f"conditional on {len(checkpoint.classes)} classes, " * is_conditional(checkpoint)
    version = checkpoint.environment.get("ddpm-cli", "")
    training = (
        f"imported by ddpm-cli {printable(version)}"
        if checkpoint.origin and not checkpoint.steps
        else f"after {checkpoint.step:,} of {checkpoint.steps:,} steps of training "
        f"with ddpm-cli {printable(version)}"
    )
    return (
        f"A denoising diffusion model (DDPM) of images of {height} x {width} pixels in {channels} "
        f"channel{'s' * (channels > 1)}, {classes}{count:,} parameters, {training.rstrip()}."
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


def public_command(checkpoint: Checkpoint) -> str:
    """The command that trains again, without the user's folder of YAML files, or why none does."""
    try:
        overrides = in_reading_order(recipe_overrides(checkpoint))
        return Invocation(Path()).train_command([*overrides, *initial_overrides(checkpoint)])
    except ValueError as error:
        return f"(none: {error})"


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
    conditional = is_conditional(checkpoint)
    call = f"network(x_t, t{', label' * conditional})"
    lines = f"""import torch

network = torch.export.load("{PROGRAM}").module()
output = {call}"""
    label = " label is int64 [B], -1 for none." * conditional
    learned = "; the second half of its channels is the variance" * (
        model.get("variance") == "learned"
    )
    size = ", ".join(map(str, checkpoint.shape))
    return f"""{code(lines, "python")}

x_t is fp32 [B, {size}] for any B; t is fp32 [B], the paper's time less 1.{label}
The output is {model.get("predicts", "eps")}{learned}. The schedule stands in the recipe."""


def code(text: str, language: str) -> str:
    """A text as a block of code, which no line in it can end."""
    closed = text.strip().replace("```", "'''")
    return f"```{language}\n{closed}\n```"
