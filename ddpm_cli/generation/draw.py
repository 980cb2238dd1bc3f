"""Draw the images that are missing in a folder, batch by batch, and store the images."""

import hashlib
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.files import user_path
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.images import to_bytes
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.shapes import Pixels

FORMAT = "{l_bar}{bar}| {n:.0f}/{total} images [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
BAR: dict[str, Any] = {"unit": " images", "dynamic_ncols": True, "bar_format": FORMAT}


def draw_missing(
    generator: Generator,
    store: ImageStore,
    n: int,
    batch_size: int,
    finished: set[int],
    shown: int,
    group: ProcessGroup,
) -> dict[int, Pixels]:
    """Draw and store the missing images of n; return this process's images of the first `shown`.

    A batch with a missing image is drawn whole, so that an image is the same to the last bit.
    """
    every = [range(first, min(first + batch_size, n)) for first in range(0, n, batch_size)]
    batches = [batch for batch in every if not finished.issuperset(batch)]
    before, steps, pixels = n - sum(map(len, batches)), generator.steps, dict[int, Pixels]()
    with tqdm(total=n, initial=before, disable=group.rank > 0, **BAR) as bar:
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
            labels, drawn = generator.labels(batch), to_bytes(images).cpu()
            numbers = [] if labels is None else labels.tolist()
            names = [generator.classes[number] for number in numbers] or [""] * len(batch)
            store.write(batch, names, drawn)
            pixels |= {i: image for i, image in zip(batch, drawn, strict=True) if i < shown}
        bar.update(n - bar.n)
    return pixels


def provenance(generator: Generator, ckpt: str, n: int, batch_size: int) -> dict[str, Any]:
    """The provenance of images: the settings, the same for a whole folder, and circumstances."""
    options = asdict(generator.options)
    names = [name for name in ("guide", "start", "inpaint", "mask") if options[name] is not None]
    files = {"ckpt": ckpt, **{name: options.pop(name) for name in names}}
    for place, end in enumerate(options["interpolate"] or ()):
        if isinstance(end, str):
            files[f"interpolate[{place}]"] = end
    hashes = dict[str, str]()
    for name, text in files.items():
        path = user_path(text)
        if name in ("ckpt", "guide"):
            path = checkpoints.existing_file(path)
        with path.open("rb") as file:
            hashes[f"{name} (sha256)"] = hashlib.file_digest(file, "sha256").hexdigest()
    settings = {
        **options,
        **hashes,
        **({} if options["interpolate"] is None else {"n": n}),
        "sampler": generator.sampler_node,
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
