"""What a trained model is worth: what its samples are beside the data, and how likely images are under it."""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.evaluate.compute import Bench, judged, looked_at, ready, told_of
from ddpm_cli.commands.evaluate.generated import begun, recipe
from ddpm_cli.commands.evaluate.inputs import Subject, chosen, opened
from ddpm_cli.commands.evaluate.likelihood import nll, way
from ddpm_cli.commands.evaluate.options import Options
from ddpm_cli.commands.evaluate.results import write
from ddpm_cli.config.build import bound
from ddpm_cli.config.schema import check
from ddpm_cli.config.values import located
from ddpm_cli.console import said
from ddpm_cli.data import ImageSet
from ddpm_cli.evaluation import metric_names
from ddpm_cli.files import save_text
from ddpm_cli.parallel import described, device_named, joined
from ddpm_cli.parallel.launch import check_named, processes, spread

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig, folder: Path, *, named: bool) -> bool:
    """Measures what `cfg` names and writes it into `folder`, in as many processes as it says; False where the user stopped it."""
    check(cfg, ["sampler", *["data"] * ("data" in cfg)], Options)
    options = bound(Options, cfg)()
    check_named(named)
    cfg.metrics = metric_names.by_name(options.metrics)
    args = (
        OmegaConf.to_container(cfg),
        OmegaConf.to_container(recipe(cfg)),
        metric_names.nodes(cfg.metrics),
        folder,
        torch.get_num_threads(),
    )
    try:
        whole = spread(processes(options.processes, options.device), evaluate_here, *args)
    except KeyboardInterrupt:
        whole = False
    if not whole and (folder / "samples.json").exists():
        print(f"stopped    go on with the same command and {shlex.quote(located('hydra.run.dir', folder))}")
    return whole


@torch.no_grad()
def evaluate_here(plain_cfg: dict[Any, Any], asked: dict[Any, Any], nodes: Mapping[str, object], folder: Path, threads: int) -> bool:
    """Does this process's share; all is checked before anything is measured. The first one computes the figures, in so many threads."""
    cfg = OmegaConf.create(plain_cfg)
    options = bound(Options, cfg)()
    with joined(device_named(options.device)) as ranks:
        with said(None, ranks.first):
            subject = opened(cfg, options, folder, ranks)
            likely = chosen(subject) if "nll" in options.metrics else None
            bench = ready(subject, OmegaConf.create(asked), nodes) if nodes else None
        with said(folder / "eval.log", ranks.first):
            done = begun(subject, bench.images) if bench else set()
            if ranks.first:
                save_text(folder / "eval.yaml", OmegaConf.to_yaml(cfg))
                describe(subject, likely, bench, len(done))
            found = nll(subject, likely) if likely else []
            known = looked_at(bench, done) if bench else {}
            if ranks.first:
                torch.set_num_threads(threads)  # on which sums depend
                numbers, copies = judged(bench, known) if bench else ([], {})
                write(subject, [*found, *numbers], copies)
    return True


def describe(subject: Subject, likely: ImageSet | None, bench: Bench | None, done: int) -> None:
    """Says what is measured, with what, and what that costs."""
    options, every = subject.options, subject.parts["all"]
    log.info("device     %s", described(subject.denoiser.device, ranks=subject.ranks))
    log.info("checkpoint %s: step %s, %s weights", options.ckpt, f"{subject.step:,}", options.weights)
    for line in told_of(bench, done) if bench else ():
        log.info("%s", line)
    if likely:
        log.info("images     %s of %s, images=%s", f"{len(likely.images):,}", f"{len(every.images):,}", options.images)
        log.info("nll        %s", way(subject))
    untold = "; whether those were copied is not found out" if any(name.startswith("copies") for name in options.metrics) else ""
    if not every.matches(subject.content["data"]):
        log.warning("warning: these are not the images that the checkpoint was trained on (their fingerprints differ)%s", untold)
