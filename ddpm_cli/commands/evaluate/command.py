"""`ddpm-eval`: the quality of a model, by its samples and by the likelihood of images."""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.evaluate.classification import classification_results
from ddpm_cli.commands.evaluate.compute import (
    EvaluationRun,
    build_evaluation,
    compute_numbers,
    draw_and_extract,
)
from ddpm_cli.commands.evaluate.generated import open_store
from ddpm_cli.commands.evaluate.inputs import (
    EvaluationInputs,
    likelihood_images,
    load_inputs,
    part_text,
)
from ddpm_cli.commands.evaluate.likelihood import measure_likelihood, method_text
from ddpm_cli.commands.evaluate.options import Options, refuse_idle_drawing
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.config.values import path_override
from ddpm_cli.console import fact, logging_to
from ddpm_cli.evaluation import metric_registry
from ddpm_cli.evaluation.extractor_config import feature_nodes
from ddpm_cli.evaluation.protocol import MetricResult, results_table, round_figure
from ddpm_cli.files import save_text
from ddpm_cli.generation.options import STEERING, GenerationOptions, drawing_groups, shared_options
from ddpm_cli.generation.store import PROVENANCE
from ddpm_cli.hardware import device_text, find_device, words_for_full_memory
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.metrics import Copies
from ddpm_cli.parallel import join_group
from ddpm_cli.parallel.launch import process_count, run_in_processes
from ddpm_cli.process.writer_lock import writer_lock
from ddpm_cli.run_folder.evaluations import append_evaluations

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig, invocation: Invocation) -> bool:
    """Measure a model and write the results; return False if the user stopped the command."""
    groups = [*drawing_groups(cfg), *["data"] * ("data" in cfg)]
    options = parse_options(
        cfg, Options, groups=groups, beside=shared_options("precision", *STEERING)
    )
    generation = bind_options(GenerationOptions, cfg)()
    refuse_idle_drawing(options, generation, invocation.overrides)
    folder, named = invocation.folder, invocation.folder_is_named
    cfg.metrics = metrics = metric_registry.full_names(options.metrics)
    options, nodes = replace(options, metrics=metrics), feature_nodes(metrics)
    args = OmegaConf.to_container(cfg), options, nodes, folder, torch.get_num_threads()
    count = process_count(options.processes, options.device)
    try:
        whole = run_in_processes(count, evaluate_in_process, *args, folder_is_named=named)
    except KeyboardInterrupt:
        whole = False
    if not whole and (folder / PROVENANCE).exists():
        again = shlex.quote(path_override("hydra.run.dir", folder))
        print(f"stopped    go on with the same command and {again}")
    return whole


@words_for_full_memory("choose a smaller batch, fewer samples, or device=cpu")
@torch.no_grad()
def evaluate_in_process(
    plain: dict[Any, Any], options: Options, nodes: Mapping[str, object], folder: Path, threads: int
) -> bool:
    """Do this process's share of the work. Every input is checked before the first measurement.

    The first process computes the numbers, in `threads` threads.
    """
    cfg = OmegaConf.create(plain)
    with (
        join_group(find_device(options.device)) as group,
        writer_lock(folder, "evaluation", first=group.rank == 0),
        writer_lock(folder, "images", first=group.rank == 0 and options.generated is None),
    ):
        with logging_to(None, group.rank == 0):
            inputs = load_inputs(cfg, options, folder, group)
            likely = likelihood_images(inputs) if "nll" in options.metrics else None
            run = None if options.only_nll else build_evaluation(cfg, inputs, nodes)
        with logging_to(folder / "eval.log", group.rank == 0):
            finished = open_store(run.generated, inputs) if run else set()
            if group.rank == 0:
                save_text(folder / "eval.yaml", OmegaConf.to_yaml(cfg))
                log_evaluation(inputs, likely, run, len(finished))
            results = measure_likelihood(inputs, likely) if likely else []
            features = draw_and_extract(run, finished) if run else {}
            if group.rank == 0 and run and run.written:
                run.written.write(features)
            if group.rank == 0 and options.samples:
                torch.set_num_threads(threads)  # sums depend on the number of threads
                numbers, copies = compute_numbers(run, features) if run else ([], {})
                if run and "cas" in options.metrics:
                    numbers += classification_results(inputs, run.generated)
                write_evaluation(inputs, [*results, *numbers], copies)
    return True


def log_evaluation(
    inputs: EvaluationInputs, likely: ImageSet | None, run: EvaluationRun | None, finished: int
) -> None:
    """Log what is measured, the settings, and the cost."""
    options, parts, checkpoint = inputs.options, inputs.parts, inputs.checkpoint
    fact("device", device_text(inputs.denoiser.device, processes=inputs.group.count))
    model = f"{checkpoint.step_text}, {checkpoint.weights_text(options.weights)} weights"
    fact("checkpoint", f"{checkpoint.source}: {model}")
    if run:
        generated, drawing = run.generated, inputs.generation
        if options.samples:
            fact("generated", f"{len(generated.images):,} images by {generated.sampler}")
        if generated.drawn and (drawing.label is not None or drawing.guide is not None):
            fact("label", generated.drawn.generator.summary)
        if finished:
            there = min(finished, options.samples)
            fact("resumed", f"{there:,} of {options.samples:,} images are there")
        fact("reference", reference_text(inputs))
        for resized in filter(None, [generated.resized, inputs.file and inputs.file.resized]):
            log.warning("warning: %s", resized)
    if likely:
        total = f"{len(parts['all'].images):,}"
        part_name = part_text(inputs, options.images)
        fact("images", f"{len(likely.images):,} of {total}, images={part_name}")
        fact("nll", method_text(inputs))
    if "all" in parts and not parts["all"].matches(checkpoint.fingerprint):
        copies = any(name.startswith("copies") for name in options.metrics)
        log.warning(
            "warning: these are not the images that the checkpoint was trained on "
            "(their fingerprints differ)%s",
            "; copies of the true training images cannot be detected" * copies,
        )


def reference_text(inputs: EvaluationInputs) -> str:
    """The images that the generated images are compared with, in words."""
    if inputs.file is not None:
        return inputs.file.summary()
    parts, part, label = inputs.parts, inputs.options.reference, inputs.generation.label
    only = f", label={label} alone" * (inputs.reference != part)
    count, total = len(parts[inputs.reference].images), len(parts["all"].images)
    return f"{count:,} of {total:,} images, reference={part_text(inputs, part)}{only}"


def write_evaluation(
    inputs: EvaluationInputs, results: Sequence[MetricResult], copies: Mapping[str, Copies]
) -> None:
    """Log the numbers in a table, and write the table.

    The numbers also go into the folder of the checkpoint's run, unless the images are of a folder.
    """
    for line in ["", *results_table(results), "", *(each.summary() for each in copies.values())]:
        log.info("%s", line)
    checkpoint, folder = inputs.checkpoint, inputs.folder
    rows = [result.row(checkpoint.step) for result in results]
    content = {
        "ckpt": checkpoint.source,
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
        append_evaluations(inputs.checkpoint.path.resolve(), rows)
