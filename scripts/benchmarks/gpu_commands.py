"""The commands of `gpu_check`: tiny runs on the packaged digits, in this process."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeAlias

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra

from ddpm_cli import cli
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.build import CONFIG_DIR

Check: TypeAlias = Callable[[str], str]  # (device) -> a figure; raises AssertionError

LIMIT = 120  # seconds of one check
STEPS = 8
TINY = (
    "model.network.dim=16",
    "trainer.batch_size=16",
    f"trainer.steps={STEPS}",
    "trainer.log_every=4",
    "trainer.evaluate_every=8",
    "trainer.sample_every=8",
    "trainer.checkpoint_every=4",
    "sampler.steps=4",
)
SAMPLERS = [path.stem for path in sorted((CONFIG_DIR / "sampler").glob("*.yaml"))]
LAST = "checkpoints/last.safetensors"


def run_check(check: Check, folder: Path, device: str) -> tuple[str, str]:
    """The fault of a check, and its figure; a check that hangs is a fault."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"no end after {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        with chdir(folder):
            return "", check(device)
    except Exception as error:  # whatever it is, the other checks go on
        return " ".join(f"{type(error).__name__}: {error}".split())[:300], ""
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(name: str, *arguments: str) -> str:
    """Run a command; return what it said. AssertionError where it fails or warns."""
    before, sys.argv = sys.argv, [f"ddpm-{name}", *arguments]
    os.environ.pop("HYDRA_FULL_ERROR", None)
    GlobalHydra.instance().clear()
    code: object = 0
    with TemporaryFile("w+", encoding="utf-8") as file:
        try:
            with redirect_stdout(file), redirect_stderr(file):
                getattr(cli, name)()
        except SystemExit as end:
            code = end.code
        finally:
            sys.argv = before
            for handler in logging.getLogger().handlers[:]:
                logging.getLogger().removeHandler(handler)
        file.seek(0)
        lines = [*file.read().splitlines(), *([code] if isinstance(code, str) else [])]
    assert not code, f"exit code {code}: {' / '.join(lines[-3:])}"
    warnings = [line for line in lines if "warning" in line.lower()]
    assert not warnings, warnings[0]
    return "\n".join(lines)


def train(folder: str, device: str, *options: str) -> Path:
    """Train a tiny run once; return its last checkpoint."""
    if not Path(folder, LAST).exists():
        command("train", *TINY, f"trainer.device={device}", *options, f"hydra.run.dir={folder}")
    return Path(folder, LAST)


def trained(name: str, *options: str) -> Check:
    """The check of a training run with these options."""

    def check(device: str) -> str:
        weights = Checkpoint.load(train(name, device, *options)).part("ema").values()
        assert all(bool(each.isfinite().all()) for each in weights), "weights are not finite"
        rows = [json.loads(line) for line in Path(name, "metrics.jsonl").read_text().splitlines()]
        return f"loss {rows[-1]['loss']:.3f}, {rows[-1]['images_per_second']:,.0f} images/s"

    return check


def sampled(name: str, *options: str) -> Check:
    """The check of ten images with these options."""

    def check(device: str) -> str:
        ckpt, folder = train("conditional", device, *CONDITIONAL), f"images-{name}"
        few = ("n=10", "batch=4", "sampler.steps=4", f"device={device}", f"hydra.run.dir={folder}")
        command("sample", f"ckpt={ckpt}", *few, *options)
        return ""

    return check


def on_the_checkpoint(name: str, *options: str) -> Check:
    """The check of another command on a checkpoint."""

    def check(device: str) -> str:
        ckpt = train("fp32", device)
        run = f"run={ckpt.parents[1]}" if name == "report" else f"ckpt={ckpt}"
        folder = () if name == "report" else (f"hydra.run.dir={name}-{len(options)}",)
        command(name, run, f"device={device}", *options, *folder)
        return ""

    return check


def equal_weights(one: Path, other: Path) -> None:
    """Assert that two checkpoints hold the same bits."""
    first, second = Checkpoint.load(one).tensors, Checkpoint.load(other).tensors
    names = [name for name in first if not torch.equal(first[name], second[name])]
    assert not names, f"{len(names)} of {len(first)} tensors differ, {names[0]} among them"


def deterministic_equal(device: str) -> str:
    """Two deterministic runs are equal bit for bit."""
    exact = ("trainer.deterministic=true", "trainer.precision=bf16", "model.network.dropout=0.1")
    equal_weights(train("exact-1", device, *exact), train("exact-2", device, *exact))
    return "equal bit for bit"


def resume_equal(device: str) -> str:
    """A deterministic run that was stopped and resumed equals one that was not."""
    exact = ("trainer.deterministic=true", "trainer.precision=bf16", "model.network.dropout=0.1")
    whole, half = train("exact-1", device, *exact), "half"
    train(half, device, *exact, "trainer.stop_at=5")
    both = (*TINY, *exact, f"trainer.device={device}", f"hydra.run.dir={half}", "resume=auto")
    command("train", *both)
    equal_weights(whole, Path(half, LAST))
    return "equal bit for bit"


def captured_equal(device: str) -> str:
    """A captured run equals a plain one."""
    exact = ("trainer.deterministic=true", "model.network.dropout=0.1")
    plain = train("plain", device, *exact, "trainer.graphs=false")
    equal_weights(plain, train("captured", device, *exact))
    return "equal bit for bit"


def across_devices(device: str) -> str:
    """A checkpoint goes from CPU to the device and back, and draws the same images on both."""
    ckpt = train("there", "cpu", "trainer.stop_at=4")
    for other in (device, "cpu"):
        end = "trainer.stop_at=6" if other == device and device != "cpu" else "trainer.stop_at=null"
        resumed = (*TINY, f"trainer.device={other}", end, "hydra.run.dir=there", "resume=auto")
        command("train", *resumed)
    images = []
    for other in ("cpu", device):
        out = f"drawn-{other}-{len(images)}"
        drawn = ("n=8", "npz=true", f"device={other}", f"hydra.run.dir={out}")
        command("sample", f"ckpt={ckpt}", *drawn)
        (path,) = Path(out).rglob("*.npz")
        (drawn_images,) = np.load(path).values()
        images.append(drawn_images.astype(float))
    apart = np.abs(images[0] - images[1])
    assert apart.mean() < 1, f"images differ by {apart.mean():.2f} of 255 on average"
    return f"images differ by {apart.mean():.3f} of 255 on average, {apart.max():.0f} at most"


CONDITIONAL = ("model.conditional=true", "loss=hybrid", "model.variance=learned")
CHECKS: dict[str, Check] = {
    "train fp32": trained("fp32"),
    "train bf16": trained("bf16", "trainer.precision=bf16"),
    "train fp16": trained("fp16", "trainer.precision=fp16"),
    "train graphs=false": trained("eager", "trainer.graphs=false"),
    "train microbatch=6": trained("microbatch", "trainer.microbatch=6"),
    "train recompute": trained("recompute", "trainer.activation_checkpointing=true"),
    "train ddp, one process": trained("ddp", "trainer=ddp", "trainer.processes=1"),
    "train dp": trained("dp", "trainer=dp"),
    "train workers=2": trained("workers", "trainer.workers=2"),
    "train conditional": trained("conditional", *CONDITIONAL),
    "train loss_aware": trained("aware", "train_times=loss_aware", "loss=min_snr"),
    "train convnext": trained("convnext", "model=convnext", "trainer.precision=bf16"),
    "deterministic equal": deterministic_equal,
    "resume equal": resume_equal,
    "captured equal": captured_equal,
    "CPU to device and back": across_devices,
    **{f"sample {each}": sampled(each, f"sampler={each}") for each in SAMPLERS},
    "sample label, guidance": sampled("guided", "label=3", "guidance=2", "precision=bf16"),
    "sample film, batch=auto": sampled("film", "film=true", "batch=auto"),
    "eval": on_the_checkpoint("evaluate", "samples=64"),
    "eval nll": on_the_checkpoint("evaluate", "metrics=[nll]", "n=4"),
    "compare": on_the_checkpoint("compare", "n=32", "samplers=[ddim,heun]", "steps=[2,4]"),
    "report": on_the_checkpoint("report"),
    "train compile": trained("compile", "trainer.compile=true", "trainer.precision=bf16"),
    "sample compile": sampled("compile", "compile=true"),
}
