"""A training run: from a configuration to a folder with checkpoints, numbers and pictures."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
from omegaconf import DictConfig
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import bind, build, check, shared
from ddpm_cli.data import Batch, ImageSet, batches, prepared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.images import grid, to_bytes, to_float
from ddpm_cli.losses import Noised
from ddpm_cli.parallel import data_parallel, described, device_named
from ddpm_cli.runs import resume
from ddpm_cli.runs.journal import Journal
from ddpm_cli.runs.parts import denoiser_of, ending, parameters_in, process
from ddpm_cli.sampling import start, trajectory
from ddpm_cli.seeds import Purpose, words_at
from ddpm_cli.shapes import Picture
from ddpm_cli.training import Loss, Progress, Trainer, TrainState

GROUPS = ("model", "schedule", "data", "loss", "trainer", "sampler")
PREVIEWS = 16
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-train` takes beside its groups.

    seed: of everything random. resume: a checkpoint, or `auto` for the newest of the folder. trust: your own modules with targets.
    """

    _: KW_ONLY
    seed: int
    resume: str | None
    trust: list[str]


@dataclass(frozen=True)
class Run:
    """The parts of one training run."""

    cfg: DictConfig
    folder: Path
    trainer: Trainer
    state: TrainState
    loss: Loss
    data: ImageSet
    fingerprint: str
    steps: int
    journal: Journal

    def stream(self, start: int) -> Iterator[Batch]:
        """The batches from step `start` on."""
        return batches(self.data, batch_size=self.trainer.batch_size, seed=self.cfg.seed, flip=self.cfg.data.flip, start=start)

    @property
    def facts(self) -> dict[str, Any]:
        """What the run found out, for whoever reads its checkpoint."""
        return {"shape": list(self.data.images.shape[1:]), "classes": self.data.classes, "steps": self.steps}


def train(cfg: DictConfig, folder: Path, *, named: bool, again: str) -> bool:
    """Trains what `cfg` says in `folder`; False where the user stopped it.

    named: the user named the folder. again: the command that goes on after a stop.
    """
    check(cfg, Options, GROUPS)
    found = resume.wanted(cfg.resume, folder, named)
    content = checkpoints.load(found) if found else None
    run = assembled(cfg, folder, content)
    if found:
        log.info("resumed   step %s of %s", f"{run.state.step:,}", found)
    elif cfg.resume:
        log.info("resumed   nothing: no checkpoint in %s, so this starts at step 0", folder)
    show_data(run)
    with stop_requested() as stop, logging_redirect_tqdm():
        loop(run, stop)
    finish(run, stop.is_set(), again)
    return not stop.is_set()


def assembled(cfg: DictConfig, folder: Path, content: dict[str, Any] | None) -> Run:
    """Builds and checks every part, cheapest first, and says what they are; writes nothing before all is well."""
    diffusion, trainer = process(cfg), build(cfg, "trainer", bind(cfg, "trainer.optimizer"))
    device, preparation, loss = device_named(trainer.device), shared(cfg, "data"), bind(cfg, "loss")
    shared(cfg, "sampler").times(diffusion)
    torch.manual_seed(words_at(cfg.seed, Purpose.WEIGHTS, count=1)[0])
    denoiser = denoiser_of(cfg, diffusion, preparation.shape)
    rehearse(denoiser, loss, preparation.shape)
    source = build(cfg, "data")
    refuse_large_batch(trainer.batch_size, len(source.rows))
    data = prepared(source, preparation)
    network = denoiser.network.to(device)
    state = TrainState.fresh(replace(denoiser, network=data_parallel(network) if trainer.parallel == "dp" else network), trainer.optimizer)
    steps, fingerprint = trainer.length(len(data.images)), data.fingerprint
    if content:
        for change in resume.changes(content, cfg, fingerprint, steps):
            log.info("changed, so the rest is not what it would have been: %s", change)
        checkpoints.restore(state, content)
    describe(trainer, state, data, steps, device)
    return Run(cfg, folder, trainer, state, loss, data, fingerprint, steps, Journal.opened(folder, state.step))


def refuse_large_batch(batch_size: int, images: int) -> None:
    """Refuses a batch that would hold an image twice."""
    if batch_size > images:
        raise ValueError(f"trainer.batch_size must be at most {images}, the images there are, but is {batch_size}")


@torch.no_grad()
def rehearse(denoiser: Denoiser, loss: Loss, shape: tuple[int, ...]) -> None:
    """Lets one grey image through network and loss: what does not fit together is told before data are read."""
    grey = torch.zeros(1, *shape)
    loss(denoiser, Noised.at(denoiser.diffusion, grey, grey, torch.tensor([denoiser.diffusion.steps])))


def describe(trainer: Trainer, state: TrainState, data: ImageSet, steps: int, device: torch.device) -> None:
    """Says what will be trained, on what, for how long."""
    count, channels, height, width = data.images.shape
    lines = {
        "device": described(device),
        "data": f"{count:,} images of {height} x {width}, {channels} channel{'s' * (channels > 1)}, {len(data.classes) or 'no'} classes",
        "schedule": ending(state.denoiser.diffusion),
        "model": f"{parameters_in(state.denoiser.network):,} parameters, predicts {state.denoiser.predicts}",
        "length": f"{steps:,} steps of {trainer.batch_size} images, {steps * trainer.batch_size / count:.1f} epochs",
    }
    if trainer.epochs is not None:
        lines["length"] += f" (trainer.epochs={trainer.epochs} takes the place of trainer.steps)"
    if trainer.parallel == "dp":
        there = torch.cuda.device_count()
        lines["parallel"] = (
            f"DataParallel over {there} GPUs" if there > 1 else f"DataParallel, but {there} GPUs are visible: batches are not split"
        )
    for name, text in lines.items():
        log.info("%-9s %s", name, text)


def show_data(run: Run) -> None:
    """`data.png`: a batch as the network sees it; `forward.png`: eight images at ten levels of noise."""
    first = next(run.stream(0))
    run.journal.picture("data.png", grid(first.images[:64]), 0)
    run.journal.picture("forward.png", forward_picture(run.state.denoiser, first, run.cfg.seed), 0)


def forward_picture(denoiser: Denoiser, batch: Batch, seed: int, levels: int = 10) -> Picture:
    """Images (rows) at growing noise (columns), the clean image first."""
    x0, diffusion = to_float(batch.images[:8]), denoiser.diffusion
    eps = start(x0.shape[1:], seed, range(len(x0)))
    times = [0.0, *torch.linspace(1, diffusion.steps, levels - 1, dtype=torch.float64).round().tolist()]
    columns = torch.stack([diffusion.add_noise(x0, eps, t) for t in times], dim=1)
    return grid(to_bytes(columns.flatten(0, 1)), columns=levels)


def loop(run: Run, stop: Event) -> None:
    """Trains with a bar, numbers, pictures and checkpoints, until the end or a request to stop."""
    trainer, window, since = run.trainer, [], time.perf_counter()
    bar = tqdm(total=run.steps, initial=run.state.step, unit=" steps", dynamic_ncols=True)
    for progress in trainer.fit(run.state, run.stream(run.state.step), run.loss, steps=run.steps, seed=run.cfg.seed):
        window.append(progress)
        bar.update()
        if progress.step % trainer.log_every == 0:
            row = measured(window, time.perf_counter() - since, trainer.batch_size)
            run.journal.numbers(progress.step, row)
            epoch = len(run.data.images) / row["images_per_second"]
            bar.set_postfix_str(f"loss {row['loss']:.4f}, {row['images_per_second']:,.0f} images/s, {epoch:.1f} s/epoch")
            window, since = [], time.perf_counter()
        if progress.step % trainer.sample_every == 0 and progress.step < run.steps:
            show_samples(run)
        if progress.step % trainer.checkpoint_every == 0:
            save(run)
        if stop.is_set():
            break
    bar.close()


def measured(window: list[Progress], seconds: float, batch_size: int) -> dict[str, float]:
    """The row of numbers of the steps in `window`: means, and the last learning rate."""
    return {
        "loss": torch.stack([each.loss for each in window]).mean().item(),
        "grad_norm": torch.stack([each.grad_norm for each in window]).mean().item(),
        "lr": window[-1].lr,
        "images_per_second": len(window) * batch_size / seconds,
    }


def show_samples(run: Run) -> None:
    """A grid of the average's samples, from the same noise at every step of the run."""
    denoiser = replace(run.state.denoiser, network=run.state.average)
    shape, sampler, steps = run.data.images.shape[1:], bind(run.cfg, "sampler"), shared(run.cfg, "sampler")
    with torch.no_grad():
        *_, images = trajectory(denoiser, sampler, steps, shape=shape, seed=run.cfg.seed, indices=range(PREVIEWS))
    run.journal.picture(f"samples/step_{run.state.step:08d}.png", grid(to_bytes(images)), run.state.step)


def save(run: Run) -> Path:
    """Writes `step_*.pt`, makes it `last.pt` too, and drops the oldest beyond `keep_last`."""
    return checkpoints.keep(
        run.folder / "checkpoints", run.state, run.cfg, data=run.fingerprint, facts=run.facts, last=run.trainer.keep_last
    )


def finish(run: Run, stopped: bool, again: str) -> None:
    """The last checkpoint and pictures, and what to do next."""
    path = save(run)
    run.journal.tensorboard.close()
    if run.state.step < run.steps:
        log.info(
            "%s at step %s of %s; go on with:\n  %s", "stopped" if stopped else "ended", f"{run.state.step:,}", f"{run.steps:,}", again
        )
    elif run.steps:
        show_samples(run)
    log.info("run        %s\ncheckpoint %s", run.folder, path)


@contextmanager
def stop_requested() -> Iterator[Event]:
    """An event that Ctrl-C sets; a second Ctrl-C interrupts at once."""
    stop = Event()

    def request(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        log.info("stopping after this step; again to stop at once")

    before = signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
