"""The generated images that `ddpm-eval` judges: drawn and kept in its folder, or found in another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.values import to_plain
from ddpm_cli.data import ImageArray, folder, load_image_set
from ddpm_cli.generation.build import build_generator
from ddpm_cli.generation.draw import draw_batches, missing_batches, provenance, sampler_name
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.parallel.launch import mark_finished
from ddpm_cli.shapes import Bytes, Indices

IDLE = {
    "label": None,
    "guidance": 1.0,
    "guidance_interval": None,
    "threshold": "static",
    "quantile": 0.995,
}


@dataclass(frozen=True)
class GeneratedImages:
    """Images to be judged, [N, C, H, W] by index; how they came about; and what draws them, if they are not found."""

    pictures: ImageArray
    sampler: str
    steering: str
    drawing: Generator | None


@dataclass(frozen=True)
class StoredImages:
    """Images of an album as pictures, read when they are wanted."""

    album: ImageStore
    shape: Sequence[int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: Indices) -> Bytes:
        found = self.album.images(indices.tolist())
        if {(image.shape, image.dtype) for image in found.values()} != {
            (torch.Size(self.shape[1:]), torch.uint8)
        }:
            raise ValueError(
                f"{str(self.album.folder)!r} holds images that are not of {[*self.shape[1:]]} in bytes; name another folder"
            )
        return torch.stack([found[index] for index in indices.tolist()])


def sampling_config(cfg: DictConfig) -> DictConfig:
    """What `ddpm-sample` would be asked for these images."""
    asked = compose("sample", [])
    OmegaConf.set_struct(asked, False)
    for name in [name for name in asked if name in cfg]:
        asked[name] = cfg[name]
    asked.n, asked.npz, asked.grid = cfg.samples, True, False
    bind_options(GenerationOptions, asked)()
    return asked


def prepare_generated(subject: EvaluationInputs, asked: DictConfig) -> GeneratedImages:
    """The images of the folder that is named, else those that the checkpoint is ready to draw."""
    options, shape = subject.options, subject.checkpoint.shape
    if options.generated is not None:
        return load_generated(subject, options.generated)
    steering: GenerationOptions = bind_options(GenerationOptions, asked)()
    made = build_generator(
        asked,
        steering,
        subject.checkpoint,
        device=options.device,
        compiled=False,
        trust=options.trust,
        n=options.samples,
    )
    pictures = StoredImages(evaluation_store(subject), (options.samples, *shape))
    own = {
        name: value
        for name, value in to_plain(asked.sampler).items()
        if name not in ("_target_", "steps")
    }
    steered = {
        name: value for name, idle in IDLE.items() if (value := getattr(steering, name)) != idle
    }
    return GeneratedImages(
        pictures,
        f"{sampler_name(asked)} {made.steps} steps, {options_text(own)}",
        options_text(steered),
        made,
    )


def load_generated(subject: EvaluationInputs, path: str) -> GeneratedImages:
    """The images of a folder, as they were prepared for training."""
    group, preparation = subject.group, replace(subject.preparation, crop="center", holdout=0.0)
    source = group.first_then_others(lambda: folder(path=path))
    images = load_image_set(source, preparation, copies=group.here, aloud=group.is_first)
    if len(images.images) < 8:
        raise ValueError(
            f"generated must hold at least 8 images, but there are {len(images.images)} in {path!r}"
        )
    return GeneratedImages(images.images, f"folder {images.fingerprint[:10]}", "", None)


def options_text(options: Mapping[str, Any]) -> str:
    """Options in words, 1 as 1.0."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in options.items()
    )


def open_store(subject: EvaluationInputs, images: GeneratedImages) -> set[int]:
    """The images that are there already, in a folder that is ready for the others; ValueError where it holds others."""
    if images.drawing is None:
        return set()
    album = evaluation_store(subject)
    if subject.group.is_first:
        album.begin(
            provenance(
                images.drawing.cfg, images.drawing, subject.options.samples, subject.options.batch
            )
        )
        mark_finished()
    return subject.group.broadcast(album.done)


def draw_missing(subject: EvaluationInputs, images: GeneratedImages, done: set[int]) -> None:
    """Draws the images that are not there yet, and returns when all processes have."""
    if images.drawing is not None:
        n = subject.options.samples
        draw_batches(
            images.drawing,
            evaluation_store(subject),
            missing_batches(n, subject.options.batch, done),
            n,
            0,
            subject.group,
        )
        subject.group.all_gather(None)


def evaluation_store(subject: EvaluationInputs) -> ImageStore:
    """The images that are kept in the folder of the evaluation."""
    return ImageStore(subject.folder, subject.options.png, npz=True)
