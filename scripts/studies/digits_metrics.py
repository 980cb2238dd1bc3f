#!/usr/bin/env python
"""Evaluate a checkpoint of the digits by `ddpm-eval`, and show that the metrics are right.

They are the same from two processes, and after a kill and a resume. The model does not copy, a
model overfitted on 20 digits does. All training images count as copies, of held-out images about
as many as by definition.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ddpm_cli.data import Preparation, digits
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.rendering.tiles import save_png

METRICS = "metrics=[fd_pixels,fd_lite0,prc_lite0,prc_pixels,copies_pixels,copies_lite0]"
FEW = ["data=arrays", "data.size=8", "data.channels=1", "data.flip=false", "data.holdout=0"]
OVERFITTED = [
    *FEW,
    "trainer.steps=600",
    "trainer.batch_size=20",
    "trainer.warmup=20",
    "trainer.optimizer.lr=2e-3",
    "trainer.ema=0.99",
]


def run(command: str, *options: str) -> tuple[str, str]:
    """Run a command; return its seconds, with those of cores, and its output."""
    began, before = time.perf_counter(), cores()
    done = subprocess.run(
        [sys.executable, "-m", "ddpm_cli", command, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return f"{time.perf_counter() - began:.0f} s ({cores() - before:.0f} s of cores)", done.stdout


def cores() -> float:
    """The seconds of cores that commands took so far."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def judged(folder: Path, *options: str, metrics: str = METRICS) -> dict[str, Any]:
    """Run `ddpm-eval`, print its output and return its eval.json."""
    seconds, out = run("eval", metrics, *options, f"hydra.run.dir={folder}")
    print(
        out[
            out.index("metric ") if metrics == METRICS else out.index("copies:") : out.rindex(
                "written"
            )
        ].strip()
    )
    print(f"{seconds}\n", flush=True)
    return json.loads((folder / "eval.json").read_text())


def kill(folder: Path, *options: str) -> int:
    """Kill an evaluation once it has drawn some images; return how many."""
    command = [
        sys.executable,
        "-m",
        "ddpm_cli",
        "eval",
        METRICS,
        *options,
        f"hydra.run.dir={folder}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(folder.glob("npz/*.npz"))) < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return 64 * len(list(folder.glob("npz/*.npz")))


def saved(images: ImageSet, folder: Path) -> Path:
    """Write images as files into a folder."""
    for index, image in enumerate(images.all_images()):
        save_png(folder / f"{index:04d}.png", image)
    return folder


def main(ckpt: Path, there: Path) -> None:
    """Print all of it."""
    own = [f"ckpt={ckpt}", f"data.cache={there}/cache", "data=digits"]
    print("one process")
    one = judged(there / "one", *own)
    print("two processes")
    two = judged(
        there / "two", *own[:1], "processes=2", f"data.cache={there}/other cache", "data=digits"
    )
    print(f"killed after {kill(there / 'killed', *own)} images, and resumed")
    resumed = judged(there / "killed", *own)
    print(f"the same to the last digit: {one == two == resumed}\n")
    training, held_out = load_image_set(
        digits(), Preparation(size=8, channels=1, flip=False)
    ).split(0.05)
    others(own, training, held_out, there)
    np.save(there / "few.npy", training.all_images()[:20, 0].numpy())
    seconds, _ = run(
        "train", *OVERFITTED, f"data.path={there}/few.npy", f"hydra.run.dir={there}/overfitted"
    )
    print(f"a model overfitted on 20 digits in {seconds}")
    few = [
        f"ckpt={there}/overfitted/checkpoints/last.safetensors",
        *FEW,
        f"data.path={there}/few.npy",
    ]
    judged(there / "copies", *few, "samples=256", metrics="metrics=[copies_pixels]")


def others(own: Sequence[str], training: ImageSet, held_out: ImageSet, there: Path) -> None:
    """Evaluate training images and held-out images as if they were samples."""
    for name, images in {"training": training, "held-out": held_out}.items():
        print(f"{name} images as if they were samples")
        judged(
            there / f"as {name}",
            *own,
            f"generated={saved(images, there / name)}",
            metrics="metrics=[copies_pixels,copies_lite0]",
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ckpt", type=Path, help="a checkpoint of ddpm-train on the digits")
    with TemporaryDirectory() as folder:
        main(parser.parse_args().ckpt.resolve(), Path(folder))
