"""Images that are missing in a folder: drawn batch by batch and stored."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config.values import to_plain
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.inputs import file_sha256
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.images import to_bytes
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.shapes import Images, Pixels


def draw_batches(
    made: Generator,
    album: ImageStore,
    batches: Sequence[range],
    n: int,
    shown: int,
    group: ProcessGroup,
) -> dict[int, Pixels]:
    """Draws batch after batch, writes them, and returns this process's images of the grid."""
    kept: dict[int, Pixels] = {}
    done, form = (
        n - sum(map(len, batches)),
        "{l_bar}{bar}| {n:.0f}/{total} images [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    )
    with tqdm(
        total=n,
        initial=done,
        unit=" images",
        dynamic_ncols=True,
        bar_format=form,
        disable=not group.is_first,
    ) as bar:
        for place in group.work_queue(len(batches)):
            batch = batches[place]
            before = done + sum(map(len, batches[:place]))  # the others have taken those
            for step, images in enumerate(made.of(batch)):
                bar.update(before + len(batch) * step / made.steps - bar.n if made.steps else 0)
            check_images_finite(images, batch, made.options.precision)
            finished = to_bytes(images).cpu()
            album.keep(batch, made.names(batch), finished)
            kept |= {
                index: image for index, image in zip(batch, finished, strict=True) if index < shown
            }
        bar.update(n - bar.n)
    return kept


def missing_batches(n: int, batch: int, done: set[int]) -> list[range]:
    """The batches with images that are not done: always the same ones, so that an image comes out the same to the last bit."""
    batches = [range(first, min(first + batch, n)) for first in range(0, n, batch)]
    return [each for each in batches if not done.issuperset(each)]


def provenance(cfg: DictConfig, made: Generator, n: int, batch: int) -> dict[str, Any]:
    """What made the images, for whoever must make them again: the recipe, which may not differ in one folder, and its circumstances."""
    steering = asdict(made.options)
    files = {
        name: steering[name]
        for name in ("ckpt", "guide", "start", "inpaint", "mask")
        if steering[name] is not None
    }
    files |= {
        f"interpolate[{place}]": end
        for place, end in enumerate(steering["interpolate"] or ())
        if isinstance(end, str)
    }
    apart = {} if made.options.interpolate is None else {"n": n}
    recipe = {
        **{name: value for name, value in steering.items() if name not in files},
        **{f"{name} (sha256)": file_sha256(path) for name, path in files.items()},
        **apart,
        "sampler": to_plain(cfg.sampler),
        "device": made.device.type,
    }
    return {
        "recipe": recipe,
        "files": files,
        "n": n,
        "batch": batch,
        "times": made.times,
        "evaluations": made.evaluations,
        "shape": made.shape,
        "classes": made.classes,
        "environment": checkpoints.environment(),
    }


def check_images_finite(images: Images, batch: range, precision: str) -> None:
    """Refuses numbers that would be taken for black pixels."""
    if wrong := int((~images.isfinite()).flatten(1).any(dim=1).sum()):
        raise ValueError(
            f"images must be finite, but {wrong} of {batch.start} to {batch.stop - 1} are not (precision={precision})"
        )


def sampler_name(cfg: DictConfig) -> str:
    """The sampler's name."""
    return str(cfg.sampler._target_).rpartition(".")[2]
