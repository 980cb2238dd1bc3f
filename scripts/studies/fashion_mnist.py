#!/usr/bin/env python
"""Train one contender on Fashion-MNIST for some minutes, judge it, and print all rows so far.

Contenders: `ours` (+experiment=fashion_mnist), `lucidrains` (pip install
denoising-diffusion-pytorch) and `diffusers` (pip install diffusers accelerate; the recipe of its
unconditional example). Each has the settings that its authors publish; `deviations` in
results.jsonl names what differs. Each call trains and judges one, alone on its machine, and appends
a row. A call after a kill goes on: a trained model is not trained again, and features and samples
of earlier calls are kept.

The images are 60,000 for training and 10,000 for tests, at 28 px, of Debian's package
dataset-fashion-mnist. Minutes are of training steps; ours prepare the run within its minutes, so
that its steps take some seconds less ("of steps"). The same code judges the bytes of all: fd,
kid, precision and recall by lite0 against 5,000 training images, fd_pixels and copies against all
60,000. The row `floor` is of as many test images, taken for samples; its cas is that of as many
training images.
"""

import argparse
import json
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from fashion_mnist_contenders import DATA, DEVIATIONS, DONE, LOAD, SIDE, TRAIN
from fashion_mnist_judge import Judge, bits_per_dimension, draw, spread

from ddpm_cli.data import Preparation, idx
from ddpm_cli.hardware import device_text, find_device
from ddpm_cli.image_sets import ImageSet, load_image_set

RESULTS, SAMPLES, FLOOR = "results.jsonl", "samples.pt", "floor.json"
PACKAGES = {
    "ours": "ddpm-cli",
    "lucidrains": "denoising-diffusion-pytorch",
    "diffusers": "diffusers",
}
COLUMNS = {
    "fd_lite0": "fd_lite0",
    "kid_lite0": "kid_lite0",
    "precision_lite0": "precision",
    "recall_lite0": "recall",
    "fd_pixels": "fd_pixels",
    "cas": "cas",
    "bits": "bits per dimension",
    "copies": "copies",
}


def load_data(path: Path) -> tuple[ImageSet, ImageSet]:
    """The training images and the test images."""
    source = idx(path=str(path), held_out_split="test")
    options: dict[str, Any] = {"size": SIDE, "channels": 1, "flip": False, "holdout": 0.0}
    return load_image_set(source, Preparation(**options)).split(0.0)


def table(rows: list[dict[str, Any]], floor: Mapping[str, Any]) -> str:
    """The rows as Markdown; the last row of each contender and its minutes."""
    latest = {(row["contender"], row["minutes"]): row for row in rows}
    heads = ["", "minutes", "of steps", "images seen", *COLUMNS.values(), "seconds for 10,000"]
    lines = [heads, ["---"] * len(heads)]
    lines += [
        [
            row["contender"],
            f"{row['minutes']:g}",
            f"{row['training_seconds'] / 60:.1f}",
            f"{row['images_seen']:,}",
            *(figure(row["figures"].get(name)) for name in COLUMNS),
            f"{row['seconds_for_10000']:,.0f}",
        ]
        for row in latest.values()
    ]
    lines.append(["floor", "", "", "", *(figure(floor.get(name)) for name in COLUMNS), ""])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(number: list[float] | None) -> str:
    """A figure with its interval, or a dash."""
    return "-" if number is None else "{:.3g} [{:.3g}, {:.3g}]".format(*number)


def cached_floor(path: Path, judge: Judge, count: int) -> dict[str, Any]:
    """The figures of test images, read from a file or measured."""
    key = f"{count} images, {judge.references} references, {judge.device.type}"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if key not in known:
        known[key] = judge.floor(count)
        path.write_text(json.dumps(known, indent=1) + "\n")
    return known[key]


def main(options: argparse.Namespace) -> None:
    """Train, judge, append, print."""
    name, device = options.contender, find_device(options.device)
    training, test = load_data(options.data)
    sets = [(each.all_images(), each.labels) for each in (training, test)]
    folder = options.out / f"{name}-{options.minutes:g}min"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DONE).exists():
        TRAIN[name](folder, sets[0][0], options.minutes, device)
    contender = LOAD[name](folder, device, options.steps)
    drawn = draw(contender, options.samples, folder / SAMPLES, options.batch)
    images, labels = torch.cat(drawn["images"]), None
    if drawn["labels"]:
        labels = torch.cat(drawn["labels"])
    judge = Judge(*sets, test.classes, options.references, device, options.out / "features")
    floor = cached_floor(options.out / FLOOR, judge, len(images))
    began = time.perf_counter()
    figures = judge.figures(images, labels)
    tested = options.bits_images
    if tested is None:
        tested = len(test.images) if name == "ours" or device.type == "cuda" else 2_000
    if tested:
        figures["bits"] = bits_per_dimension(
            contender, spread(sets[1], tested), options.bits_times, device
        )
    row = {
        "contender": name,
        "minutes": options.minutes,
        "images_seen": contender.images_seen,
        "training_seconds": round(contender.seconds, 1),
        "parameters": contender.parameters,
        "sampler": contender.sampler,
        "samples": len(images),
        "references": options.references,
        "figures": figures,
        "bits_images": tested,
        "bits_times": options.bits_times,
        "seconds_for_10000": 10_000 * sum(drawn["took"]) / len(images),
        "judging_seconds": round(time.perf_counter() - began, 1),
        "device": f"{device_text(device)}, {torch.get_num_threads()} threads, {platform.machine()}",
        "versions": {"torch": torch.__version__, PACKAGES[name]: version(PACKAGES[name])},
        "deviations": DEVIATIONS[name],
    }
    with (options.out / RESULTS).open("a") as file:
        file.write(json.dumps(row) + "\n")
    lines = (options.out / RESULTS).read_text().splitlines()
    print(table([json.loads(line) for line in lines], floor))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("contender", choices=TRAIN, help="the code that trains")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training (default: 30)")
    parser.add_argument("--out", type=Path, default=Path("fashion_mnist"), help="folder of results")
    parser.add_argument("--data", type=Path, default=DATA, help=f"IDX files (default: {DATA})")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--samples", type=int, default=1000, help="images to draw (default: 1000)")
    parser.add_argument("--batch", type=int, default=100, help="at a time, peers' (default: 100)")
    parser.add_argument("--steps", type=int, help="of the sampler (default: see the row's sampler)")
    parser.add_argument(
        "--references", type=int, default=5000, help="training images for lite0 (default: 5000)"
    )
    parser.add_argument(
        "--bits-images", type=int, help="test images (default: all; of a peer on a CPU 2000)"
    )
    parser.add_argument("--bits-times", type=int, default=4, help="of the 1,000 (default: 4)")
    main(parser.parse_args())
