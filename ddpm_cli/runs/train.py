"""A training run: from a configuration to a folder with checkpoints, numbers and pictures."""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import bind, bound, build, check, shared
from ddpm_cli.data import Batch, ImageSet, batches, prepared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.images import grid, save_text, to_bytes, to_float
from ddpm_cli.losses import Noised
from ddpm_cli.parallel import WRAPPERS, described, device_named
from ddpm_cli.runs import resume
from ddpm_cli.runs.journal import Journal
from ddpm_cli.runs.parts import denoiser_of, ending, process
from ddpm_cli.sampling import rehearse, start, trajectory
from ddpm_cli.seeds import Purpose, words_at
from ddpm_cli.shapes import Images
from ddpm_cli.training import Loss, Trainer, TrainState, tried

GROUPS = ("model", "schedule", "data", "loss", "trainer", "sampler")
PREVIEWS, NOISE_LEVELS = 16, 10
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

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, but is {self.seed}")


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

    def save(self) -> Path:
        """Writes a checkpoint that says what the run found out."""
        facts = {"shape": list(self.data.images.shape[1:]), "classes": self.data.classes, "steps": self.steps}
        folder, last = self.folder / "checkpoints", self.trainer.keep_last
        return checkpoints.keep(folder, self.state, self.cfg, data=self.fingerprint, facts=facts, last=last)


def train(cfg: DictConfig, folder: Path, *, named: bool, again: str, overrides: Sequence[str]) -> bool:
    """Trains what `cfg` says in `folder`; False where the user stopped it.

    named: the user named the folder. again: the command that goes on after a stop. overrides: what the command line said.
    """
    check(cfg, Options, GROUPS)
    bound(Options, cfg)()
    found = resume.wanted(cfg.resume, folder, named)
    run = assembled(cfg, folder, checkpoints.load(found) if found else None)
    record(folder / ".hydra", cfg, overrides)
    if cfg.resume:
        log.info("resumed   %s", f"step {run.state.step:,} of {found}" if found else f"nothing: {folder} holds no checkpoint; from step 0")
    show_data(run)
    with stop_requested() as stop, logging_redirect_tqdm():
        loop(run, stop)
    finish(run, stop.is_set(), again)
    return not stop.is_set()


def record(folder: Path, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Writes what was composed and what the command line said, in Hydra's own form."""
    save_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
    save_text(folder / "overrides.yaml", yaml.safe_dump(list(overrides)))


def assembled(cfg: DictConfig, folder: Path, content: dict[str, Any] | None) -> Run:
    """Builds and checks every part, cheapest first, and says what they are; writes nothing before all is well."""
    diffusion, trainer = process(cfg), build(cfg, "trainer", tried(bind(cfg, "trainer.optimizer")))
    device, preparation, loss = device_named(trainer.device), shared(cfg, "data"), bind(cfg, "loss")
    shared(cfg, "sampler").times(diffusion)
    torch.manual_seed(words_at(cfg.seed, Purpose.WEIGHTS)[0])
    denoiser = denoiser_of(cfg, diffusion, preparation.shape)
    try_parts(denoiser, bind(cfg, "sampler"), loss, preparation.shape)
    source = build(cfg, "data")
    if trainer.batch_size > len(source.rows):
        raise ValueError(f"trainer.batch_size must be at most {len(source.rows)}, the images there are, but is {trainer.batch_size}")
    data = prepared(source, preparation)
    network = WRAPPERS[trainer.parallel](denoiser.network.to(device))
    state = TrainState.fresh(replace(denoiser, network=network), trainer.optimizer)
    steps, fingerprint = trainer.length(len(data.images)), data.fingerprint
    if content:
        changes = resume.changes(content, cfg, fingerprint, steps)
        other = any(change.startswith("trainer.optimizer._target_") for change in changes)
        checkpoints.restore(state, {**content, "optimizer": {}} if other else content)
        for change in [*changes, *["the optimizer starts with nothing remembered"] * other]:
            log.info("changed, so the rest is not what it would have been: %s", change)
    describe(trainer, state, data, steps, device)
    return Run(cfg, folder, trainer, state, loss, data, fingerprint, steps, Journal.opened(folder, state.step))


@torch.no_grad()
def try_parts(denoiser: Denoiser, sampler: Callable[..., Iterator[Images]], loss: Loss, shape: tuple[int, ...]) -> None:
    """One grey image through sampler and loss: what they refuse is told before anything is prepared."""
    try:
        rehearse(denoiser, sampler, shape)
        grey = torch.zeros(1, *shape)
        loss(denoiser, Noised.at(denoiser.diffusion, grey, grey, torch.tensor([denoiser.diffusion.steps])))
    except (RuntimeError, TypeError, ArithmeticError, MemoryError) as error:
        raise ValueError(f"one image of {shape} does not go through this network, sampler and loss: {error}") from error


def describe(trainer: Trainer, state: TrainState, data: ImageSet, steps: int, device: torch.device) -> None:
    """Says what will be trained, on what, for how long."""
    count, channels, height, width = data.images.shape
    epochs = "" if trainer.epochs is None else f" (trainer.epochs={trainer.epochs} takes the place of trainer.steps)"
    log.info("device    %s", described(device, trainer.parallel))
    log.info("data      %s images, %s x %s, %s channels, %s classes", f"{count:,}", height, width, channels, len(data.classes) or "no")
    log.info("schedule  %s", ending(state.denoiser.diffusion))
    parameters = sum(each.numel() for each in state.denoiser.network.parameters())
    log.info("model     %s parameters, predicts %s", f"{parameters:,}", state.denoiser.predicts)
    log.info("length    %s steps of %s images, %.1f epochs%s", f"{steps:,}", trainer.batch_size, steps * trainer.batch_size / count, epochs)


def show_data(run: Run) -> None:
    """`data.png`: a batch as the network sees it; `forward.png`: eight images (rows) at growing noise, the clean image first."""
    first, diffusion = next(run.stream(0)), run.state.denoiser.diffusion
    run.journal.picture("data.png", grid(first.images[:64]), 0)
    x0 = to_float(first.images[:8])
    eps = start(x0.shape[1:], run.cfg.seed, range(len(x0)))
    times = [0, *torch.linspace(1, diffusion.steps, NOISE_LEVELS - 1).round().tolist()]
    columns = torch.stack([diffusion.add_noise(x0, eps, t) for t in times], dim=1)
    run.journal.picture("forward.png", grid(to_bytes(columns.flatten(0, 1)), columns=NOISE_LEVELS), 0)


def loop(run: Run, stop: Event) -> None:
    """Trains with a bar, numbers, pictures and checkpoints, until the end or a request to stop."""
    trainer, window, since = run.trainer, [], time.perf_counter()
    bar = tqdm(total=run.steps, initial=run.state.step, unit=" steps", dynamic_ncols=True)
    for progress in trainer.fit(run.state, run.stream(run.state.step), run.loss, steps=run.steps, seed=run.cfg.seed):
        window.append(torch.stack([progress.loss, progress.grad_norm]))
        bar.update()
        if progress.step % trainer.log_every == 0:
            loss, norm = torch.stack(window).mean(0).tolist()
            speed = len(window) * trainer.batch_size / (time.perf_counter() - since)
            run.journal.numbers(progress.step, {"loss": loss, "grad_norm": norm, "lr": progress.lr, "images_per_second": speed})
            bar.set_postfix_str(f"loss {loss:.4f}, {speed:,.0f} images/s, {len(run.data.images) / speed:.1f} s/epoch")
            window, since = [], time.perf_counter()
        if progress.step % trainer.sample_every == 0 and progress.step < run.steps:
            show_samples(run)
        if progress.step % trainer.checkpoint_every == 0 and progress.step < run.steps:
            run.save()
        if stop.is_set():
            break
    bar.close()


@torch.no_grad()
def show_samples(run: Run) -> None:
    """A grid of the average's samples, from the same noise at every step of the run."""
    denoiser = replace(run.state.denoiser, network=run.state.average)
    shape, sampler, spaced = run.data.images.shape[1:], bind(run.cfg, "sampler"), shared(run.cfg, "sampler")
    *_, images = trajectory(denoiser, sampler, spaced, shape=shape, seed=run.cfg.seed, indices=range(PREVIEWS))
    run.journal.picture(f"samples/step_{run.state.step:08d}.png", grid(to_bytes(images)), run.state.step)


def finish(run: Run, stopped: bool, again: str) -> None:
    """The last checkpoint and pictures, and what to do next."""
    path = run.save()
    if run.state.step < run.steps:
        word = "stopped" if stopped else "ended"
        log.info("%-9s at step %s of %s; go on with:\n  %s", word, f"{run.state.step:,}", f"{run.steps:,}", again)
    elif run.steps:
        show_samples(run)
    run.journal.tensorboard.close()
    log.info("run       %s\nsample    ddpm-sample ckpt=%s", run.folder, path)


@contextmanager
def stop_requested() -> Iterator[Event]:
    """An event that Ctrl-C sets; a second Ctrl-C interrupts at once."""
    stop = Event()

    def request(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()
        log.info("stopping after this step; again to stop at once")

    before = signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
