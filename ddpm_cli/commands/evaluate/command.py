"""What a trained model is worth: what its samples are beside the data, and how likely images are under it."""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.evaluate.compute import (
    EvaluationRun,
    build_evaluation,
    collect_features,
    compute_numbers,
    generated_lines,
)
from ddpm_cli.commands.evaluate.generated import open_store, sampling_config
from ddpm_cli.commands.evaluate.inputs import EvaluationInputs, likelihood_images, load_inputs
from ddpm_cli.commands.evaluate.likelihood import measure_likelihood, method_text
from ddpm_cli.commands.evaluate.options import Options
from ddpm_cli.commands.evaluate.results import write_evaluation
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.config.values import path_override
from ddpm_cli.console import logging_to
from ddpm_cli.data import ImageSet
from ddpm_cli.evaluation import metric_names
from ddpm_cli.files import save_text
from ddpm_cli.parallel import device_text, find_device, join_group
from ddpm_cli.parallel.launch import check_folder_is_named, process_count, run_in_processes

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig, folder: Path, *, named: bool) -> bool:
    """Measures what `cfg` names and writes it into `folder`, in as many processes as it says; False where the user stopped it."""
    check_config(cfg, ["sampler", *["data"] * ("data" in cfg)], Options)
    options = bind_options(Options, cfg)()
    check_folder_is_named(named)
    cfg.metrics = metric_names.full_names(options.metrics)
    args = (
        OmegaConf.to_container(cfg),
        OmegaConf.to_container(sampling_config(cfg)),
        metric_names.feature_nodes(cfg.metrics),
        folder,
        torch.get_num_threads(),
    )
    try:
        whole = run_in_processes(
            process_count(options.processes, options.device), evaluate_in_process, *args
        )
    except KeyboardInterrupt:
        whole = False
    if not whole and (folder / "samples.json").exists():
        print(
            f"stopped    go on with the same command and {shlex.quote(path_override('hydra.run.dir', folder))}"
        )
    return whole


@torch.no_grad()
def evaluate_in_process(
    plain_cfg: dict[Any, Any],
    asked: dict[Any, Any],
    nodes: Mapping[str, object],
    folder: Path,
    threads: int,
) -> bool:
    """Does this process's share; all is checked before anything is measured. The first one computes the figures, in so many threads."""
    cfg = OmegaConf.create(plain_cfg)
    options = bind_options(Options, cfg)()
    with join_group(find_device(options.device)) as group:
        with logging_to(None, group.is_first):
            subject = load_inputs(cfg, options, folder, group)
            likely = likelihood_images(subject) if "nll" in options.metrics else None
            bench = build_evaluation(subject, OmegaConf.create(asked), nodes) if nodes else None
        with logging_to(folder / "eval.log", group.is_first):
            done = open_store(subject, bench.images) if bench else set()
            if group.is_first:
                save_text(folder / "eval.yaml", OmegaConf.to_yaml(cfg))
                log_evaluation(subject, likely, bench, len(done))
            found = measure_likelihood(subject, likely) if likely else []
            known = collect_features(bench, done) if bench else {}
            if group.is_first:
                torch.set_num_threads(threads)  # on which sums depend
                numbers, copies = compute_numbers(bench, known) if bench else ([], {})
                write_evaluation(subject, [*found, *numbers], copies)
    return True


def log_evaluation(
    subject: EvaluationInputs, likely: ImageSet | None, bench: EvaluationRun | None, done: int
) -> None:
    """Says what is measured, with what, and what that costs."""
    options, every = subject.options, subject.parts["all"]
    log.info("device     %s", device_text(subject.denoiser.device, group=subject.group))
    log.info(
        "checkpoint %s: step %s, %s weights", options.ckpt, f"{subject.step:,}", options.weights
    )
    for line in generated_lines(bench, done) if bench else ():
        log.info("%s", line)
    if likely:
        log.info(
            "images     %s of %s, images=%s",
            f"{len(likely.images):,}",
            f"{len(every.images):,}",
            options.images,
        )
        log.info("nll        %s", method_text(subject))
    untold = (
        "; whether those were copied is not found out"
        if any(name.startswith("copies") for name in options.metrics)
        else ""
    )
    if not every.matches(subject.checkpoint.fingerprint):
        log.warning(
            "warning: these are not the images that the checkpoint was trained on (their fingerprints differ)%s",
            untold,
        )
