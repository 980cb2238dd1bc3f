#!/usr/bin/env python
"""Measure how quickly images become batches, beside baselines that take turns in the same run.

It makes its own data, and prints best rounds and medians.

a: large JPEGs against a tutorial's loader. b: small images against bare copies.
c: Arrow rows against mapped memory. d: the time that a training step waits for its batch.
e: memory while many images are prepared, in a process of its own.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import count, cycle, islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from baseline import Sides, Task, interleaved, recipe, state_of
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from ddpm_cli import losses
from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.data import Preparation, folder
from ddpm_cli.image_sets import ImageSet, decode_source
from ddpm_cli.images import to_float
from ddpm_cli.loading import Batch, BatchDataset, batches
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.training import Progress, fit

BATCH = 128
SIZED = (transforms.Resize(128), transforms.CenterCrop(128), transforms.RandomHorizontalFlip())
TUTORIAL = transforms.Compose([*SIZED, transforms.ToTensor(), transforms.Normalize([0.5], [0.5])])


def jpeg(seed: int, width: int, height: int) -> bytes:
    """A JPEG of smooth random colour with a little noise, of about the size of a photograph."""
    rng = np.random.default_rng(seed)
    smooth = Image.fromarray(rng.integers(0, 256, (10, 8, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noisy, file = np.asarray(smooth) + rng.normal(0, 5, (height, width, 1)), BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "jpeg", quality=90)
    return file.getvalue()


def written(path: Path, files: list[bytes], images: int) -> Path:
    """Write a folder of so many images, of these files in turns."""
    path.mkdir(parents=True)
    for index in range(images):
        (path / f"{index:06d}.jpg").write_bytes(files[index % len(files)])
    return path


def mapped(path: Path, *shape: int) -> torch.Tensor:
    """Random images, mapped into memory from a file as those of the cache are."""
    np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8).tofile(path)
    return torch.from_file(str(path), size=path.stat().st_size, dtype=torch.uint8).view(shape)


def taken(things: Iterator[object], images: int) -> None:
    """Go through the batches of so many images."""
    for _ in islice(things, images // BATCH):
        pass


def rates(sides: Sides, images: dict[str, int], rounds: int) -> dict[str, list[float]]:
    """Images per second of every side in every round."""
    return {
        name: [images[name] / each for each in seconds]
        for name, seconds in interleaved(sides, rounds).items()
    }


def tell(found: dict[str, list[float]], baseline: str, *names: str, wanted: str = "") -> None:
    """Print images per second of the best rounds, and their ratio to the baseline.

    The ratio is of best rounds, and in pairs the median over the rounds.
    """
    for name in names:
        best = max(found[name]) / max(found[baseline])
        paired = statistics.median(
            one / other for one, other in zip(found[name], found[baseline], strict=True)
        )
        told = f"{best:7.2f} x {baseline} (in pairs {paired:.2f}{wanted and f'; wanted {wanted}'})"
        print(f"  {name:20} {max(found[name]):10,.0f} images/s {told}")


def large(args: argparse.Namespace, root: Path) -> None:
    """Measure first and later passes over JPEGs, against a tutorial's loader and bare reads."""
    fresh, several = count(), 8 * args.jpegs
    path = written(
        root / "jpegs/all", [jpeg(seed, 500, 650) for seed in range(args.jpegs)], args.jpegs
    )
    size = sum(file.stat().st_size for file in path.iterdir()) / args.jpegs / 1000
    print(f"a: {args.jpegs} JPEGs of 500 x 650 and {size:.0f} kB to 128 px, in batches of {BATCH}")

    def first_pass() -> ImageSet:
        preparation = Preparation(
            size=128, channels=3, flip=False, cache=f"{root}/cache-{next(fresh)}"
        )
        return ImageSet(
            decode_source(folder(path=str(path)), preparation, verbose=False).images, None, []
        )

    data = first_pass()
    array = np.memmap(
        next(root.glob("cache-0/*/images")), np.uint8, "r", shape=tuple(data.images.shape)
    )
    chosen = [
        batch.indices.numpy()
        for batch in islice(batches(BatchDataset(data, BATCH, 0, False)), several // BATCH)
    ]
    files = ImageFolder(path.parent, TUTORIAL)
    sides = {
        "tutorial": lambda: list(DataLoader(files, BATCH, shuffle=True)),
        "tutorial, 2 workers": lambda: list(DataLoader(files, BATCH, shuffle=True, num_workers=2)),
        "first pass": first_pass,
        "bare reads": lambda: taken((array[indices] for indices in chosen), several),
        "later passes": lambda: taken(batches(BatchDataset(data, BATCH, 0, False)), several),
        "later passes, flips": lambda: taken(batches(BatchDataset(data, BATCH, 0, True)), several),
    }
    found = rates(
        sides,
        {name: args.jpegs if place < 3 else several for place, name in enumerate(sides)},
        args.rounds,
    )
    tell(found, "tutorial", "tutorial", "tutorial, 2 workers", "bare reads")
    tell(found, "tutorial, 2 workers", "first pass", wanted="1.5")
    tell(found, "tutorial", "later passes", "later passes, flips", wanted="25")
    tell(found, "bare reads", "later passes", "later passes, flips", wanted="0.8")


def small(args: argparse.Namespace, root: Path) -> None:
    """Measure small images to floats on one core, against the same work into allocated memory."""
    images, threads = mapped(root / "small", args.small, 3, 32, 32), torch.get_num_threads()
    torch.set_num_threads(1)
    order = torch.randperm(args.small, generator=torch.Generator().manual_seed(0)).split(BATCH)[
        : args.small // BATCH
    ]
    some, floats = torch.empty(BATCH, 3, 32, 32, dtype=torch.uint8), torch.empty(BATCH, 3, 32, 32)

    def bare() -> None:
        for indices in order:
            torch.index_select(images, 0, indices, out=some)
            torch.div(some, 127.5, out=floats).sub_(1)

    def ready(flip: bool) -> None:
        taken(
            (
                to_float(batch.images)
                for batch in batches(BatchDataset(ImageSet(images, None, []), BATCH, 0, flip))
            ),
            args.small,
        )

    print(
        f"b: {args.small:,} images of 32 px to floats in batches of {BATCH}, on one core "
        "(wanted: 50,000 images/s)"
    )
    sides = {"bare": bare, "stream": lambda: ready(False), "stream, flips": lambda: ready(True)}
    found = rates(sides, dict.fromkeys(sides, args.small), args.rounds)
    torch.set_num_threads(threads)
    tell(found, "bare", *sides)


def arrow(args: argparse.Namespace, root: Path) -> None:
    """Measure rows of Arrow files in the quickest ways, against mapped memory."""
    for size, images in ((128, args.arrow), (32, 10 * args.arrow)):
        array = mapped(root / f"plain-{size}", images, 3, size, size).numpy().reshape(images, -1)
        reads = ways(array, root / f"rows-{size}")
        chosen = (
            np.random.default_rng(0)
            .permutation(images)[: images // BATCH * BATCH]
            .reshape(-1, BATCH)
        )
        assert all(np.array_equal(read(chosen[0]), array[chosen[0]]) for read in reads.values())
        print(
            f"c: {images:,} images of {size} px in Arrow rows, "
            f"batches of {BATCH} read by their indices"
        )
        sides = {
            name: partial(taken, map(read, cycle(chosen)), chosen.size)
            for name, read in reads.items()
        }
        tell(rates(sides, dict.fromkeys(sides, chosen.size), args.rounds), "mapped memory", *sides)


def ways(array: NDArray[np.uint8], path: Path) -> dict[str, Callable[[NDArray[np.int64]], Any]]:
    """The ways to read images by their indices, by name.

    Images lie in mapped memory, or in mapped Arrow files as rows of one length.
    """
    column = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
    datasets.disable_progress_bars()
    datasets.Dataset(pa.table({"image": column})).save_to_disk(path)
    numbers, tensors, tables = (
        datasets.load_from_disk(str(path)).with_format(name) for name in ("numpy", "torch", "arrow")
    )
    return {
        "mapped memory": lambda indices: array[indices],
        "numpy format": lambda indices: numbers[indices]["image"],
        "torch format": lambda indices: tensors[indices]["image"],
        "arrow format": lambda indices: flat(tables[indices]),
        "pyarrow alone": lambda indices: flat(tables.data.table.take(pa.array(indices))),
    }


def flat(table: pa.Table) -> NDArray[np.uint8]:
    """The bytes of a column of rows."""
    return table["image"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)


def waits(args: argparse.Namespace, root: Path) -> None:
    """Measure the time that training steps wait for their batches."""
    print("d: seconds that a training step waits for its batch (wanted: below 1 %)")
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", ["trainer.device=cpu"])
        run = set_up_run(cfg, Invocation(root / "run"), ProcessGroup(), {})
    report(
        "digits",
        run.batches_from(0),
        lambda stream: fit(run.trainer, run.state, stream, run.loss, steps=10**6, seed=0),
        10 * args.steps,
    )
    task = Task(args.dim, (1, 2, 4), 64, 8)
    stream = batches(
        BatchDataset(
            ImageSet(mapped(root / "waits", 512, 3, 64, 64), None, []), task.batch, 0, True
        )
    )
    state = state_of(task)
    report(
        f"dim {task.dim}, 64 px",
        stream,
        lambda stream: fit(recipe(task), state, stream, losses.l2, steps=10**6, seed=0),
        args.steps,
    )


def report(
    name: str,
    stream: Iterator[Batch],
    training: Callable[[Iterator[Batch]], Iterator[Progress]],
    steps: int,
) -> None:
    """Print how long steps of a training take and wait, but for the first two."""
    waited: list[float] = []

    def watched() -> Iterator[Batch]:
        while True:
            since = time.perf_counter()
            batch = next(stream)
            waited.append(time.perf_counter() - since)
            yield batch

    run = training(watched())
    next(run), next(run), waited.clear()
    began = time.perf_counter()
    taken(run, steps * BATCH)
    step, wait = (time.perf_counter() - began) / steps, sum(waited) / steps
    print(f"  {name:24} {1000 * wait:7.2f} ms of {1000 * step:8.1f} ms {wait / step:9.3%}")


def growth(args: argparse.Namespace, root: Path) -> None:
    """Measure memory while a process of its own prepares many images."""
    path = written(root / "many", [jpeg(seed, 100, 130) for seed in range(50)], args.many)
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        seen = apart.submit(watched_memory, str(path)).result()
    early, late = (
        max(size for index, size in seen if (index <= args.many // 10) is first)
        for first in (True, False)
    )
    print(
        f"e: {args.many:,} JPEGs to 64 px; the most memory of the process's own, "
        "in the first tenth and thereafter"
    )
    print(f"  {early:.1f} MiB, {late:.1f} MiB {late / early:9.3f} x")


def watched_memory(path: str) -> list[tuple[int, float]]:
    """This process's own memory in MiB at every hundredth image of a folder that it prepares."""
    source, seen = folder(path=path), []

    def watched(index: int) -> Image.Image:
        if index % 100 == 99:
            kibibytes = re.findall(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[0]
            seen.append((index + 1, int(kibibytes) / 1024))
        return source.open(index)

    decode_source(
        replace(source, open=watched),
        Preparation(size=64, channels=3, flip=False, cache=f"{path}-cache"),
        verbose=False,
    )
    return seen


PARTS = {"a": large, "b": small, "c": arrow, "d": waits, "e": growth}
NUMBERS = {
    "rounds": (5, "of each side"),
    "jpegs": (512, "large JPEGs"),
    "small": (60_000, "images of 32 px"),
    "arrow": (2_000, "rows of 128 px, and ten times as many of 32 px"),
    "dim": (128, "base width of the network at 64 px"),
    "steps": (8, "training steps at 64 px, and ten times as many of the digits"),
    "many": (20_000, "images whose preparation is watched"),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=[*PARTS],
        help="parts that are run (default: all)",
    )
    for name, (default, told) in NUMBERS.items():
        parser.add_argument(
            f"--{name}", type=int, default=default, help=f"{told} (default: {default})"
        )
    args = parser.parse_args()
    for part in args.only:
        with TemporaryDirectory() as root:
            PARTS[part](args, Path(root))
