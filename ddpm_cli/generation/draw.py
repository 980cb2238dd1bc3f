"""Draw the images that are missing in a folder, batch by batch, and store the images."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import torch
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.images import to_bytes
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.seeds import RANDOMNESS
from ddpm_cli.shapes import Pixels

FORMAT = "{l_bar}{bar}| {n:.0f}/{total} images [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
BAR: dict[str, Any] = {"unit": " images", "dynamic_ncols": True, "bar_format": FORMAT}


def draw_missing(
    generator: Generator,
    store: ImageStore,
    indices: Sequence[int],
    batch_size: int,
    finished: set[int],
    shown: Collection[int],
    group: ProcessGroup,
    *,
    verbose: bool = True,
) -> dict[int, Pixels]:
    """Draw and store images that are missing; return this process's images of `shown`.

    A batch with a missing image is drawn whole, so that an image is the same to the last bit. The
    batches of a range are stored whole, other images one by one. verbose: whether to show a bar.
    """
    every, missing = batches_with(indices, batch_size), set(indices) - finished
    batches = [batch for batch in every if not missing.isdisjoint(batch)]
    total = sum(map(len, every))
    before, steps, pixels = total - sum(map(len, batches)), generator.steps, dict[int, Pixels]()
    silent = group.rank > 0 or not verbose
    with tqdm(total=total, initial=before, disable=silent, **BAR) as bar:
        for place in group.work_queue(len(batches)):
            batch = batches[place]
            begun = before + sum(map(len, batches[:place]))  # other processes may still draw them
            for step, images in enumerate(generator.trajectory(batch)):
                bar.update(begun + len(batch) * step / steps - bar.n if steps else 0)
            if wrong := int((~images.isfinite()).flatten(1).any(dim=1).sum()):
                raise ValueError(
                    f"images must be finite, but {wrong} of {batch.start} to {batch.stop - 1} "
                    f"are not (precision={generator.options.precision})"
                )
            drawn = dict(zip(batch, to_bytes(images).cpu(), strict=True))
            single = [[index] for index in batch if index in missing]
            for part in [batch] if isinstance(indices, range) else single:
                bytes_of_part = torch.stack([drawn[index] for index in part])
                store.write(part, class_names(generator, part), bytes_of_part)
            pixels |= {index: image for index, image in drawn.items() if index in shown}
        bar.update(total - bar.n)
    return pixels


def batches_with(indices: Sequence[int], batch_size: int) -> list[range]:
    """The batches with any of these images, as a run of all images draws them.

    A range from 0 is a run of its own, whose last batch may be smaller.
    """
    end = indices.stop if isinstance(indices, range) else sys.maxsize
    firsts = sorted({index // batch_size * batch_size for index in indices})
    return [range(first, min(first + batch_size, end)) for first in firsts]


def class_names(generator: Generator, indices: Sequence[int]) -> list[str]:
    """The names of the classes of these images, or empty names."""
    labels = generator.labels(indices)
    if labels is None:
        return [""] * len(indices)
    return [generator.classes[number] for number in labels.tolist()]


def provenance(generator: Generator, ckpt: str, n: int, batch_size: int) -> dict[str, Any]:
    """The provenance of images: the settings, the same for a whole folder, and circumstances."""
    options = asdict(generator.options)
    names = [name for name in ("guide", "start", "inpaint", "mask") if options[name] is not None]
    files = {"ckpt": ckpt, **{name: options.pop(name) for name in names}}
    for place, end in enumerate(options["interpolate"] or ()):
        if isinstance(end, str):
            files[f"interpolate[{place}]"] = end
    hashes = {f"{name} (sha256)": checkpoints.file_hash(text) for name, text in files.items()}
    settings = {
        **options,
        **hashes,
        **({} if options["interpolate"] is None else {"n": n}),
        "sampler": generator.sampler_node,
        "guider": generator.guider_node,
        "randomness": RANDOMNESS,
        "device": generator.denoiser.device.type,
    }
    return {
        "recipe": settings,
        "files": files,
        "n": n,
        "batch": batch_size,
        "times": generator.times,
        "evaluations": generator.nfe,
        "shape": generator.shape,
        "classes": generator.classes,
        "environment": checkpoints.environment(),
    }
