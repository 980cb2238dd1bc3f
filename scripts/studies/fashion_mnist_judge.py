"""Figures of `fashion_mnist.py`: one code for the images of every contender."""

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fashion_mnist_contenders import Contender
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from ddpm_cli.evaluation import metric_registry
from ddpm_cli.evaluation.bits_per_dim import prior_bits
from ddpm_cli.evaluation.classification_scores import LabelledImages, score_classification
from ddpm_cli.evaluation.feature_cache import FeatureCache, FeatureKey
from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.images import to_float
from ddpm_cli.losses import Noised, bound
from ddpm_cli.metrics import Extractor, Number, lite0, pixels
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.samplers import clip_x0
from ddpm_cli.seeds import Purpose, keyed_normal

METRICS = {"fd_lite0": "few", "kid_lite0": "few", "prc_lite0": "few", "fd_pixels": "training"}
UNSEEN = 2_000  # test images whose nearest training images tell what is a copy
BATCH = 64
Labelled = tuple[Tensor, Tensor]  # uint8 [N, 1, 28, 28] and the class of each


@dataclass(frozen=True)
class Judge:
    """Fashion-MNIST, what images are compared with, and the features that a folder keeps."""

    training: Labelled
    test: Labelled
    classes: list[str]
    references: int
    device: torch.device
    folder: Path

    def floor(self, count: int) -> dict[str, Any]:
        """The figures of so many test images as if they were samples, and of the classifier."""
        images, _ = spread(self.test, count)
        values = numbers(self.distances(images))
        return {**values, "cas": interval(self.accuracy("real", spread(self.training, count)))}

    def figures(self, images: Tensor, labels: Tensor | None) -> dict[str, Any]:
        """The figures of samples: distances, precision, recall, copies, and cas with classes."""
        values = numbers(self.distances(images))
        keys = metric_registry.required_features("copies_pixels", "training", UNSEEN)
        features = self.features(images, keys)
        values["copies"] = interval(metric_registry.find_copies("copies_pixels", features).share)
        if labels is not None:
            values["cas"] = interval(self.accuracy("cas", (images, labels)))
        return values

    def distances(self, images: Tensor) -> dict[str, Number]:
        """Every distance of images by its name, and precision and recall."""
        by_name: dict[str, Number] = {}
        for metric, reference in METRICS.items():
            keys = metric_registry.required_features(metric, reference, 0)
            own, by = self.features(images, keys), metric.partition("_")[2]
            by_name |= metric_registry.metric_numbers(metric, own, reference, self.extractor(by))
        return by_name

    def extractor(self, name: str) -> Extractor:
        """The extractor of features of this name."""
        return {"lite0": lite0, "pixels": lambda device: pixels(device, side=16)}[name](self.device)

    def features(self, images: Tensor, keys: list[FeatureKey]) -> Mapping[FeatureKey, Tensor]:
        """Features by key, read from the folder or extracted."""
        sets = {
            "generated": images,
            "few": spread(self.training, self.references)[0],
            "training": self.training[0],
            "held_out": spread(self.test, UNSEEN)[0],
        }
        names = {key.of for key in keys}
        used = {name: each for name, each in sets.items() if name in names}
        prints = {
            name: hashlib.sha256(each.numpy().tobytes()).hexdigest() for name, each in used.items()
        }
        extractors = {name: self.extractor(name) for name in {key.by for key in keys}}
        cache = FeatureCache(used, prints, extractors, self.device, self.folder, ProcessGroup())
        return {key: cache.features(key) for key in keys}

    def accuracy(self, title: str, own: Labelled) -> Number:
        """The accuracy on the test images of a classifier that is trained on others."""
        sets = [
            LabelledImages.of(images, torch.arange(len(images)), labels)
            for images, labels in (own, self.test)
        ]
        return score_classification(title, *sets, self.classes, self.device)


def spread(images: Labelled, count: int) -> Labelled:
    """So many images, evenly over a set, with their classes."""
    places = torch.tensor(evenly_spaced(len(images[0]), min(count, len(images[0]))))
    return images[0][places], images[1][places]


def interval(number: Number) -> list[float]:
    """A figure with the ends of its interval."""
    return [number.value, number.low, number.high]


def numbers(by_name: Mapping[str, Number]) -> dict[str, Any]:
    """Figures for a file of rows."""
    return {name: interval(number) for name, number in by_name.items()}


@torch.no_grad()
def draw(contender: Contender, count: int, path: Path, batch: int, seed: int = 0) -> dict[str, Any]:
    """Draw images batch by batch into a file; a killed call goes on after its last whole batch."""
    content: dict[str, Any] = {"sampler": contender.sampler, "images": [], "labels": [], "took": []}
    if path.exists() and (stored := torch.load(path))["sampler"] == contender.sampler:
        content = stored
    if not contender.margin and not content["images"]:  # ours: one call draws equal images
        began = time.perf_counter()
        images, labels = contender.draw(count, seed)
        content |= {"images": [images], "labels": [labels]}
        content["took"] = [time.perf_counter() - began]
        torch.save(content, path)
    while (there := sum(map(len, content["images"]))) < count:
        began = time.perf_counter()
        images, _ = contender.draw(min(batch, count - there), seed + there)
        content["images"].append(images)
        content["took"].append(time.perf_counter() - began)
        torch.save(content, path)
    return content


@torch.no_grad()
def bits_per_dimension(
    contender: Contender, test: Labelled, times: int, device: torch.device
) -> list[float]:
    """The variational bound of images in bits per dimension of 28 x 28, with its 95% interval.

    For each image the decoder's term and `times` - 1 others of the T - 1, drawn with a probability
    that falls like 1 / t and weighed by its inverse, so that the mean is that of the whole bound
    (Ho et al. 2020, eq. 5). Noise and times are functions of the image's number. The bits of a
    black margin count as the image's, which makes the bound no better.
    """
    denoiser, values, margin = contender.denoiser, [], contender.margin
    steps = denoiser.diffusion.steps
    inverse = 1 / torch.arange(2, steps + 1, dtype=torch.float64)
    chances = inverse / inverse.sum()
    generator = torch.Generator().manual_seed(0)
    shift = torch.rand(len(test[0]), dtype=torch.float64, generator=generator)
    parts = torch.arange(len(test[0])).split(BATCH)
    for places in tqdm(parts, "bits per dimension", leave=False):
        images = pad(test[0][places], [margin] * 4).to(device)
        x0 = to_float(images)
        labels = test[1][places].to(device) if denoiser.conditional else None

        def term(turn: int, t: Tensor, x0: Tensor = x0, labels: Any = labels) -> Tensor:
            noise = keyed_normal(x0, 0, Purpose.EVALUATION, turn, places)  # noqa: B023
            batch = Noised.at(denoiser.diffusion, x0, noise, t)
            estimate = clip_x0(lambda x, t, label=None: denoiser(x, t, labels))(batch.x_t, t)
            return bound(denoiser.diffusion, estimate, batch).cpu().double()

        total = prior_bits(denoiser.diffusion, x0).cpu().double()
        total = total + term(0, torch.ones(len(places), dtype=torch.int64))
        for turn in range(1, times):
            at = (shift[places] + turn - 1) / (times - 1)
            chosen = torch.searchsorted(chances.cumsum(0), at.clamp(max=1 - 1e-9))
            total = total + term(turn, chosen + 2) / (chances[chosen] * (times - 1))
        values.append(total * (x0[0].numel() / test[0][0].numel()))
    bits = torch.cat(values)
    mean, half = float(bits.mean()), 1.96 * float(bits.std()) / math.sqrt(len(bits))
    return [mean, mean - half, mean + half]
