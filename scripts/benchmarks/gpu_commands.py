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
EXACT = ("trainer.deterministic=true", "model.network.dropout=0.1", "trainer.precision=bf16")
SAMPLERS = [path.stem for path in sorted((CONFIG_DIR / "sampler").glob("*.yaml"))]
LAST = "checkpoints/last.safetensors"


def run_check(check: Check, folder: Path, device: str) -> tuple[str, str]:
    """Run a check in `folder`; return its fault and its figure. A check that hangs is a fault."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"no end after {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        with chdir(folder):
            return "", check(device)
    except Exception as error:  # any error is a fault of this check; the others go on
        return " ".join(f"{type(error).__name__}: {error}".split())[:300], ""
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_command(name: str, *arguments: str) -> str:
    """Run a command; return its output. Raises AssertionError if it fails or warns."""
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
        run_command("train", *TINY, f"trainer.device={device}", *options, f"hydra.run.dir={folder}")
    return Path(folder, LAST)


def training_check(name: str, *options: str) -> Check:
    """The check of a training run with these options."""

    def check(device: str) -> str:
        weights = Checkpoint.load(train(name, device, *options)).part("ema").values()
        assert all(bool(each.isfinite().all()) for each in weights), "weights are not finite"
        rows = [json.loads(line) for line in Path(name, "metrics.jsonl").read_text().splitlines()]
        return f"loss {rows[-1]['loss']:.3f}, {rows[-1]['images_per_second']:,.0f} images/s"

    return check


def sampling_check(name: str, *options: str) -> Check:
    """The check of ten images with these options."""

    def check(device: str) -> str:
        ckpt, folder = train("conditional", device, *CONDITIONAL), f"images-{name}"
        few = ("n=10", "batch=4", "sampler.steps=4", f"device={device}", f"hydra.run.dir={folder}")
        run_command("sample", f"ckpt={ckpt}", *few, *options)
        return ""

    return check


def checkpoint_check(name: str, *options: str) -> Check:
    """The check of another command on a checkpoint."""

    def check(device: str) -> str:
        ckpt = train("fp32", device)
        run = f"run={ckpt.parents[1]}" if name == "report" else f"ckpt={ckpt}"
        folder = () if name == "report" else (f"hydra.run.dir={name}-{len(options)}",)
        run_command(name, run, f"device={device}", *options, *folder)
        return ""

    return check


def assert_equal_weights(one: Path, other: Path) -> None:
    """Assert that two checkpoints hold the same bits."""
    first, second = Checkpoint.load(one).tensors, Checkpoint.load(other).tensors
    names = [name for name in first if not torch.equal(first[name], second[name])]
    assert not names, f"{len(names)} of {len(first)} tensors differ, {names[0]} among them"


def check_determinism(device: str) -> str:
    """Two deterministic runs are equal bit for bit."""
    assert_equal_weights(train("exact-1", device, *EXACT), train("exact-2", device, *EXACT))
    return "equal bit for bit"


def check_resume(device: str) -> str:
    """A deterministic run that was stopped and resumed equals one that was not."""
    whole, half = train("exact-1", device, *EXACT), "half"
    train(half, device, *EXACT, "trainer.stop_at=5")
    both = (*TINY, *EXACT, f"trainer.device={device}", f"hydra.run.dir={half}", "resume=auto")
    run_command("train", *both)
    assert_equal_weights(whole, Path(half, LAST))
    return "equal bit for bit"


def check_capture(device: str) -> str:
    """A captured run equals a plain one."""
    plain = train("plain", device, *EXACT[:2], "trainer.graphs=false")
    assert_equal_weights(plain, train("captured", device, *EXACT[:2]))
    return "equal bit for bit"


def check_devices(device: str) -> str:
    """A checkpoint goes from CPU to the device and back, and draws the same images on both."""
    ckpt = train("there", "cpu", "trainer.stop_at=4")
    for other in (device, "cpu"):
        end = "trainer.stop_at=6" if other == device and device != "cpu" else "trainer.stop_at=null"
        resumed = (*TINY, f"trainer.device={other}", end, "hydra.run.dir=there", "resume=auto")
        run_command("train", *resumed)
    images = []
    for other in ("cpu", device):
        out = f"drawn-{other}-{len(images)}"
        drawn = ("n=8", "npz=true", f"device={other}", f"hydra.run.dir={out}")
        run_command("sample", f"ckpt={ckpt}", *drawn)
        (path,) = Path(out).rglob("*.npz")
        (drawn_images,) = np.load(path).values()
        images.append(drawn_images.astype(float))
    apart = np.abs(images[0] - images[1])
    assert apart.mean() < 1, f"images differ by {apart.mean():.2f} of 255 on average"
    return f"images differ by {apart.mean():.3f} of 255 on average, {apart.max():.0f} at most"


CONDITIONAL = ("model.conditional=true", "loss=hybrid", "model.variance=learned")
CHECKS: dict[str, Check] = {
    "train fp32": training_check("fp32"),
    "train bf16": training_check("bf16", "trainer.precision=bf16"),
    "train fp16": training_check("fp16", "trainer.precision=fp16"),
    "train graphs=false": training_check("eager", "trainer.graphs=false"),
    "train microbatch=6": training_check("microbatch", "trainer.microbatch=6"),
    "train recompute": training_check("recompute", "trainer.activation_checkpointing=true"),
    "train ddp, one process": training_check("ddp", "trainer=ddp", "trainer.processes=1"),
    "train dp": training_check("dp", "trainer=dp"),
    "train workers=2": training_check("workers", "trainer.workers=2"),
    "train conditional": training_check("conditional", *CONDITIONAL),
    "train loss_aware": training_check("aware", "train_times=loss_aware", "loss=min_snr"),
    "train convnext": training_check("convnext", "model=convnext", "trainer.precision=bf16"),
    "deterministic equal": check_determinism,
    "resume equal": check_resume,
    "captured equal": check_capture,
    "CPU to device and back": check_devices,
    **{f"sample {each}": sampling_check(each, f"sampler={each}") for each in SAMPLERS},
    "sample label, guidance": sampling_check("guided", "label=3", "guidance=2", "precision=bf16"),
    "sample film, batch=auto": sampling_check("film", "film=true", "batch=auto"),
    "eval": checkpoint_check("evaluate", "samples=64"),
    "eval nll": checkpoint_check("evaluate", "metrics=[nll]", "n=4"),
    "compare": checkpoint_check("compare", "n=32", "samplers=[ddim,heun]", "steps=[2,4]"),
    "report": checkpoint_check("report"),
    "train compile": training_check("compile", "trainer.compile=true", "trainer.precision=bf16"),
    "sample compile": sampling_check("compile", "compile=true"),
}
