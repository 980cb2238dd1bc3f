#!/usr/bin/env python
"""Print the memory of ddpm-sample while it draws many images: it does not grow after the first.

Each line is the resident memory after so many images; the last line is the growth in all.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

UNIT = 2**20


def resident(process: int) -> float:
    """The resident memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 / UNIT if found else 0.0


def followed(process: subprocess.Popen[bytes], index: Path, every: int) -> list[float]:
    """Print and return the memory after every so many images in the index."""
    found: list[float] = []
    while process.poll() is None:
        lines = sum(1 for _ in index.open("rb")) - 1 if index.exists() else 0
        if lines >= every * (len(found) + 1):
            found.append(resident(process.pid))
            print(f"{lines:7,} images  {found[-1]:7.1f} MiB", flush=True)
        time.sleep(0.1)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ckpt", type=Path)
    parser.add_argument("--n", type=int, default=20000, help="images (default: 20000)")
    parser.add_argument(
        "--every", type=int, default=2000, help="images between two lines (default: 2000)"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        default=["sampler.steps=5", "batch=256", "png=true"],
        help="of ddpm-sample",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = [
            f"ckpt={options.ckpt}",
            f"n={options.n}",
            f"hydra.run.dir={folder}/out",
            *options.overrides,
        ]
        command = [sys.executable, "-m", "ddpm_cli", "sample", *given]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            found = followed(process, Path(folder, "out/index.csv"), options.every)
        print(
            f"grew by {found[-1] - found[0]:.1f} MiB from the first line to the last; "
            f"exit code {process.returncode}"
        )
