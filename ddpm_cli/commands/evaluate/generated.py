"""The generated images that `ddpm-eval` judges: read from a folder, or drawn and stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from omegaconf import DictConfig

from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.generation.build import build_generator
from ddpm_cli.generation.draw import provenance
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import options_text
from ddpm_cli.generation.settings_text import steering_text
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.generation.stored_images import generated_source
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.image_sets.decoding import RECORD
from ddpm_cli.images import ImageArray
from ddpm_cli.parallel.launch import mark_resumable
from ddpm_cli.shapes import Bytes, Indices

FEWEST = 8  # images that can be judged


@dataclass(frozen=True)
class DrawnImages:
    """Images that a generator draws and a store keeps, read from the store at each access."""

    generator: Generator
    store: ImageStore
    shape: Sequence[int]

    @cached_property
    def rows(self) -> dict[int, dict[str, str]]:
        """The index of the store, read at the first access to an image."""
        return self.store.read_rows()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: Indices) -> Bytes:
        images = self.store.images({index: self.rows[index] for index in indices.tolist()})
        expected = torch.Size(self.shape[1:]), torch.uint8
        if any((image.shape, image.dtype) != expected for image in images.values()):
            raise ValueError(
                f"{str(self.store.folder)!r} holds images that are not of {[*self.shape[1:]]} "
                "in bytes; name another folder"
            )
        return torch.stack([images[index] for index in indices.tolist()])


@dataclass(frozen=True)
class GeneratedImages:
    """Images to be judged, [N, C, H, W] by index, and how they were made.

    drawn: the same images if this command draws them; None if they are read. resized: which of the
    images that are read had another size.
    """

    images: ImageArray
    sampler: str
    steering: str
    drawn: DrawnImages | None
    resized: str = ""


def prepare_generated(cfg: DictConfig, inputs: EvaluationInputs) -> GeneratedImages:
    """The images of the folder `generated`, else the images that the checkpoint will draw."""
    options, generation = inputs.options, inputs.generation
    if options.generated is not None:
        return read_generated(options.generated, inputs)
    generator = build_generator(
        cfg,
        generation,
        inputs.checkpoint,
        n=options.samples,
        device=options.device,
        trust=options.trust,
    )
    store = ImageStore(inputs.folder, options.png, npz=True)
    drawn = DrawnImages(generator, store, (options.samples, *generator.shape))
    own = dict(generator.sampler_node)
    name = own.pop("_target_").rpartition(".")[2]
    own.pop("steps", None)
    sampler = f"{name} {generator.steps} steps, {options_text(own)}"
    steering = steering_text(generator.options, generator.guider_text)
    return GeneratedImages(drawn, sampler, steering, drawn)


def read_generated(path: str, inputs: EvaluationInputs) -> GeneratedImages:
    """The images in a folder or a file, and which of them had another size."""
    group = inputs.group
    preparation = replace(inputs.preparation, crop="center", holdout=0.0, range="auto")
    source = group.first_then_others(lambda: generated_source(path))
    if (count := source.count) < FEWEST:
        few = f"generated must hold at least {FEWEST} images, but there are {count} in {path!r}"
        raise ValueError(
            few + "; ddpm-sample writes images with png=true or npz=true" * (not count)
        )
    data = load_image_set(source, preparation, copies=group.here, verbose=group.rank == 0)
    height, width = preparation.shape[1:]
    records = data.records if data.records is not None else np.empty(0, RECORD)
    others = records[(records["width"] != width) | (records["height"] != height)]
    resized = ""
    if len(others):
        first = others[0]
        name, size = source.name(first["place"]), f"{first['width']} x {first['height']}"
        share = f"{len(others):,} of {len(data.images):,} generated images"
        resized = f"{share} are resized to {width} x {height}, such as {name!r}, {size}"
    return GeneratedImages(data.images, f"folder {data.fingerprint[:10]}", "", None, resized)


def open_store(generated: GeneratedImages, inputs: EvaluationInputs) -> set[int]:
    """Open the store of drawn images, and return the indices of the finished images.

    Raises ValueError if the folder holds images of other settings.
    """
    if (drawn := generated.drawn) is None:
        return set()
    options, finished = inputs.options, set[int]()
    if inputs.group.rank == 0:
        n, batch_size = options.samples, options.batch
        ckpt = inputs.checkpoint.source
        drawn.store.open(provenance(drawn.generator, ckpt, n, batch_size))
        mark_resumable()
        finished = set(drawn.store.read_rows())
    return inputs.group.broadcast(finished)
