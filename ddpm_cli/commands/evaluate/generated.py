"""The generated images that `ddpm-eval` judges: drawn and kept in its folder, or found in another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.evaluate.inputs import Subject
from ddpm_cli.config.build import bound
from ddpm_cli.config.values import plain
from ddpm_cli.data import Pictures, folder, prepared
from ddpm_cli.generation.build import drawing
from ddpm_cli.generation.draw import fill, made_by, missing, name_of
from ddpm_cli.generation.generator import Drawing
from ddpm_cli.generation.options import Steering
from ddpm_cli.generation.store import Album
from ddpm_cli.parallel.launch import finished
from ddpm_cli.shapes import Bytes, Indices

IDLE = {"label": None, "guidance": 1.0, "guidance_interval": None, "threshold": "static", "quantile": 0.995}


@dataclass(frozen=True)
class Generated:
    """Images to be judged, [N, C, H, W] by index; how they came about; and what draws them, if they are not found."""

    pictures: Pictures
    sampler: str
    steering: str
    drawing: Drawing | None


@dataclass(frozen=True)
class Drawn:
    """Images of an album as pictures, read when they are wanted."""

    album: Album
    shape: Sequence[int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: Indices) -> Bytes:
        found = self.album.images(indices.tolist())
        if {(image.shape, image.dtype) for image in found.values()} != {(torch.Size(self.shape[1:]), torch.uint8)}:
            raise ValueError(f"{str(self.album.folder)!r} holds images that are not of {[*self.shape[1:]]} in bytes; name another folder")
        return torch.stack([found[index] for index in indices.tolist()])


def recipe(cfg: DictConfig) -> DictConfig:
    """What `ddpm-sample` would be asked for these images."""
    asked = compose("sample", [])
    OmegaConf.set_struct(asked, False)
    for name in [name for name in asked if name in cfg]:
        asked[name] = cfg[name]
    asked.n, asked.npz, asked.grid = cfg.samples, True, False
    bound(Steering, asked)()
    return asked


def generated(subject: Subject, asked: DictConfig) -> Generated:
    """The images of the folder that is named, else those that the checkpoint is ready to draw."""
    options, shape = subject.options, subject.content["facts"]["shape"]
    if options.generated is not None:
        return found(subject, options.generated)
    steering: Steering = bound(Steering, asked)()
    content: dict[str, Any] = dict(subject.content)
    made = drawing(asked, steering, content, device=options.device, compiled=False, trust=options.trust, n=options.samples)
    pictures = Drawn(album_of(subject), (options.samples, *shape))
    own = {name: value for name, value in plain(asked.sampler).items() if name not in ("_target_", "steps")}
    steered = {name: value for name, idle in IDLE.items() if (value := getattr(steering, name)) != idle}
    return Generated(pictures, f"{name_of(asked)} {made.steps} steps, {listed(own)}", listed(steered), made)


def found(subject: Subject, path: str) -> Generated:
    """The images of a folder, as they were prepared for training."""
    ranks, preparation = subject.ranks, replace(subject.preparation, crop="center", holdout=0.0)
    source = ranks.in_turn(lambda: folder(path=path))
    images = prepared(source, preparation, copies=ranks.here, aloud=ranks.first)
    if len(images.images) < 8:
        raise ValueError(f"generated must hold at least 8 images, but there are {len(images.images)} in {path!r}")
    return Generated(images.images, f"folder {images.fingerprint[:10]}", "", None)


def listed(options: Mapping[str, Any]) -> str:
    """Options in words, 1 as 1.0."""
    return ", ".join(f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}" for name, value in options.items())


def begun(subject: Subject, images: Generated) -> set[int]:
    """The images that are there already, in a folder that is ready for the others; ValueError where it holds others."""
    if images.drawing is None:
        return set()
    album = album_of(subject)
    if subject.ranks.first:
        album.begin(made_by(images.drawing.cfg, images.drawing, subject.options.samples, subject.options.batch))
        finished()
    return subject.ranks.shared(album.done)


def draw(subject: Subject, images: Generated, done: set[int]) -> None:
    """Draws the images that are not there yet, and returns when all processes have."""
    if images.drawing is not None:
        n = subject.options.samples
        fill(images.drawing, album_of(subject), missing(n, subject.options.batch, done), n, 0, subject.ranks)
        subject.ranks.gathered(None)


def album_of(subject: Subject) -> Album:
    """The images that are kept in the folder of the evaluation."""
    return Album(subject.folder, subject.options.png, npz=True)
