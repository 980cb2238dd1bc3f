#!/usr/bin/env python
"""Compare a checkpoint's file with the same content written by `torch.save`.

It prints the bytes on the disk, the seconds to write and flush, and for a sampling run and a resume
the seconds to read and the memory that a process gains. The baseline reads as formats 1 to 4 did:
the whole file by `torch.load`, and for a resume a step of a second optimizer on zeros to check the
state. Each reading is in a process of its own; the file is in the page cache.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from baseline import Task, state_of
from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint, write_checkpoint
from ddpm_cli.parallel import load_network
from ddpm_cli.training import TrainState
from ddpm_cli.training.snapshot import restore_snapshot, take_snapshot

NEW, OLD = "new.safetensors", "old.pt"
FIELDS = {"fingerprint": "", "shape": [3, 16, 16], "classes": [], "steps": 10**6}


def state(dim: int) -> TrainState:
    """A state with moments, of a network of this width."""
    fresh = state_of(Task(dim, (1, 2, 4), 16, 1))
    for parameter in fresh.parameters:
        parameter.grad = torch.zeros_like(parameter)
    fresh.optimizer.step()
    return fresh


def memory() -> dict[str, float]:
    """The resident memory of this process in MiB: its own, and pages of mapped files."""
    text = Path("/proc/self/status").read_text()
    sizes = {kind: re.search(rf"Rss{kind}:\s+(\d+) kB", text) for kind in ("Anon", "File")}
    return {kind: int(found[1]) / 1024 for kind, found in sizes.items() if found}


def sample_old(dim: int) -> Callable[[], object]:
    """Read the EMA of a file of `torch.save`."""
    network = state_of(Task(dim, (1, 2, 4), 16, 1)).ema
    return lambda: (content := torch.load(OLD), network.load_state_dict(content["ema"]))


def sample_new(dim: int) -> Callable[[], object]:
    """Read the EMA of a checkpoint."""
    network = state_of(Task(dim, (1, 2, 4), 16, 1)).ema
    return lambda: (
        checkpoint := Checkpoint.load(Path(NEW), ["ema"]),
        load_network(network, checkpoint.part("ema")),
    )


def resume_old(dim: int) -> Callable[[], object]:
    """Resume from a file of `torch.save`, with a step of a second optimizer on zeros."""
    fresh = state(dim)

    def resume() -> object:
        content = torch.load(OLD)
        fresh.denoiser.network.load_state_dict(content["network"])
        fresh.ema.load_state_dict(content["ema"])
        zeros = [torch.nn.Parameter(torch.zeros(each.shape)) for each in fresh.parameters]
        for each in zeros:
            each.grad = torch.zeros_like(each)
        probe = torch.optim.Adam(zeros)
        probe.step()
        fresh.optimizer.load_state_dict(content["optimizer"])
        return content, probe

    return resume


def resume_new(dim: int) -> Callable[[], object]:
    """Resume from a checkpoint."""
    fresh = state(dim)
    return lambda: (checkpoint := Checkpoint.load(Path(NEW)), restore_snapshot(fresh, checkpoint))


READERS = {each.__name__: each for each in (sample_old, sample_new, resume_old, resume_new)}


def read(name: str, dim: int) -> None:
    """Print the seconds and the memory of one reading, in this process."""
    act = READERS[name](dim)
    before, began = memory(), time.perf_counter()
    kept = act()
    seconds, after = time.perf_counter() - began, memory()
    print(json.dumps({"seconds": seconds, **{kind: after[kind] - before[kind] for kind in after}}))
    del kept


def write(dim: int) -> None:
    """Write both files and print their bytes and seconds."""
    fresh, cfg = state(dim), OmegaConf.create({})
    checkpoint = take_snapshot(fresh, cfg, **FIELDS)
    tensors = {name: each.detach().contiguous() for name, each in checkpoint.tensors.items()}
    checkpoint = replace(checkpoint, tensors=tensors)
    began = time.perf_counter()
    write_checkpoint(Path(NEW), checkpoint)
    middle = time.perf_counter()
    parts = {part: checkpoint.part(part) for part in ("network", "ema")}
    with Path(OLD).open("wb") as file:
        torch.save({**parts, "optimizer": fresh.optimizer.state_dict()}, file)
        os.fsync(file.fileno())
    seconds = {NEW: middle - began, OLD: time.perf_counter() - middle}
    for name in (OLD, NEW):
        size = Path(name).stat().st_size
        print(f"{name:16} {size / 2**20:8.1f} MiB  written in {seconds[name]:6.2f} s")


def compare(dim: int, rounds: int) -> None:
    """Print all readings, the fastest of some rounds each."""
    for name in READERS:
        found = []
        for _ in range(rounds):
            command = [sys.executable, Path(__file__).resolve(), "--dim", str(dim), "--read", name]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found.append(json.loads(answer.splitlines()[-1]))
        best = min(found, key=lambda each: each["seconds"])
        own, mapped = best["Anon"], best["File"]
        print(
            f"{name:16} {best['seconds']:6.2f} s  {own:8.0f} MiB of its own, {mapped:6.0f} mapped"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dim", type=int, default=64, help="base width (64: 126 MiB of state)")
    parser.add_argument("--rounds", type=int, default=3, help="of each reading (default: 3)")
    parser.add_argument("--read", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read, options.dim)
    else:
        with TemporaryDirectory() as folder:
            os.chdir(folder)
            write(options.dim)
            compare(options.dim, options.rounds)
