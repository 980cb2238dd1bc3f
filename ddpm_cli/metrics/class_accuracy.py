"""The accuracy of a small classifier on images that it has not seen (Ravuri & Vinyals 2019)."""

import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from ddpm_cli.images import ImageArray, select_images, to_float
from ddpm_cli.metrics.intervals import Number, of_share
from ddpm_cli.shapes import Bytes, Images, Indices, Labels

EPOCHS, AT_ONCE, RATE, DECAY, SEED = 20, 32, 3e-3, 0.01, 0
WIDTHS, GROUPS, SIDE = (32, 64, 128), 8, 32
TESTED = 256  # unseen images at a time
CLASSIFIER = f"cnn-{'-'.join(map(str, WIDTHS))}-{SIDE}px, {EPOCHS} epochs"  # its name in protocols


def classifier_steps(count: int) -> int:
    """The steps of training on so many images."""
    return EPOCHS * math.ceil(count / AT_ONCE)


def untrained_classifier(channels: int, height: int, width: int, classes: int) -> nn.Sequential:
    """Three convolutions of stride 2 and a linear layer: [B, C, H, W] -> logits [B, classes].

    The weights are the same at every call.
    """
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for wide in WIDTHS:
            convolution = nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.GroupNorm(GROUPS, wide), nn.ReLU()]
            channels, height, width = wide, -(-height // 2), -(-width // 2)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes))


def small_images(images: ImageArray, indices: Indices) -> Bytes:
    """Some of the images, averaged to at most 32 pixels a side."""
    chosen = select_images(images, indices)
    height, width = (min(SIDE, length) for length in chosen.shape[2:])
    averaged = interpolate(chosen.float(), (height, width), mode="area")
    return averaged.round().to(torch.uint8)


def classifier_training(
    network: nn.Module, images: Bytes, labels: Labels, device: torch.device
) -> Iterator[None]:
    """Train a classifier on images and their classes; yield after each step.

    20 epochs of AdamW under a one-cycle learning rate. Orders are functions of the epoch alone.
    """
    network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=classifier_steps(len(images))
    )
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
        for batch in torch.split(order, AT_ONCE):
            with (
                torch.enable_grad(),
                torch.backends.cudnn.flags(deterministic=True, benchmark=False),
            ):
                logits = network(floats_on(images[batch], device))
                torch.autograd.backward(cross_entropy(logits, labels[batch].to(device)))
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            yield


@torch.no_grad()
def class_accuracy(
    network: nn.Module, images: Bytes, labels: Labels, device: torch.device
) -> Number:
    """The share of images whose class a classifier sees, with Wilson's interval."""
    network.eval()
    right = sum(
        int((network(floats_on(part, device)).argmax(dim=1).cpu() == own).sum())
        for part, own in zip(torch.split(images, TESTED), torch.split(labels, TESTED), strict=True)
    )
    return of_share(right, len(images))


def floats_on(images: Bytes, device: torch.device) -> Images:
    """Images in [-1, 1] on a device."""
    return to_float(images.to(device))
