"""What a recipe is chosen from: the images, the device and the time."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from warnings import catch_warnings

import PIL.Image
import torch
from omegaconf import DictConfig

from ddpm_cli.data import Source
from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.hardware import check_compiler, find_device, total_memory

LOOKED_AT = 16  # images whose sides are looked at
REFERENCE_UNET = "ddpm_cli.networks.reference.ReferenceUNet"


@dataclass(frozen=True)
class Facts:
    """What is known before a run.

    images: those to train on; None if a stream does not tell. side: the median of their shorter
    sides. device: cpu, cuda or mps. cores: threads of a CPU, or devices that share a batch.
    memory: bytes of a device. minutes: the time that the user gives. bf16, compiles: whether the
    device computes in bf16 at full speed, and whether a compiler is there. cost: the FLOPs of the
    network over those of the UNet of equal widths, about.
    """

    images: int | None
    side: int = 64
    channels: int = 3
    classes: int = 0
    device: str = "cpu"
    cores: int = 1
    memory: float = 2**33
    minutes: float | None = None
    processes: int = 1
    bf16: bool = False
    compiles: bool = False
    cost: float = 1.0


def facts_of_run(cfg: DictConfig, source: Source, processes: int = 1) -> Facts:
    """The facts of a run on the images of a source. processes: those that share a batch."""
    device, images = find_device(cfg.trainer.device), image_count(source, cfg.data.holdout)
    on_gpu = device.type == "cuda"
    return Facts(
        images,
        median_side(source),
        cfg.data.channels,
        len(source.classes),
        device.type,
        torch.get_num_threads() * processes if device.type == "cpu" else processes,
        torch.cuda.mem_get_info(device)[1] if on_gpu else total_memory(),
        cfg.trainer.minutes,
        processes,
        on_gpu and torch.cuda.is_bf16_supported(including_emulation=False),
        cfg.trainer.parallel != "dp" and has_compiler(device),
        network_cost(cfg.model.network),
    )


def network_cost(network: DictConfig) -> float:
    """The FLOPs of a network over those of the UNet of equal widths; 1 for other networks.

    A ReferenceUNet has more with more blocks: a line through counts of its FLOPs at 32 x 32 and
    64 x 64 with attention at one to three sides, which it meets within a third.
    """
    is_reference = network.get("_target_") == REFERENCE_UNET
    blocks = network.get("blocks")
    return 0.8 * blocks + 0.75 if is_reference and type(blocks) is int else 1.0


def facts_of_images(data: DictConfig, source: Source) -> Facts:
    """The facts of a run that nothing is known of but its images, on this machine's device."""
    device = find_device("auto").type
    count, side = image_count(source, data.holdout), median_side(source)
    cores = torch.get_num_threads() if device == "cpu" else 1
    return Facts(count, side, data.channels, len(source.classes), device, cores)


def image_count(source: Source, holdout: float) -> int | None:
    """The number of images to train on, about; None if a stream does not tell."""
    if source.rows is None and source.held_out_split is not None:
        return source.held_out_split.first
    count = source.count if source.rows is None else source.rows.count
    return None if count is None else max(1, int(count * (1 - holdout)))


def median_side(source: Source) -> int:
    """The median of the shorter sides of some images, by the heads of their files.

    Unreadable images do not count; 64 if none can be read.
    """
    sides = [
        min(sides)
        for index in evenly_spaced(source.count, min(LOOKED_AT, source.count))
        if (sides := image_sides(source, index))
    ]
    return int(statistics.median(sides)) if sides else 64


def image_sides(source: Source, index: int) -> Sequence[int]:
    """The sides of an image; none if it cannot be read."""
    try:
        with catch_warnings(action="ignore", category=PIL.Image.DecompressionBombWarning):
            image = source.open(index)
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return ()
    return image.size if isinstance(image, PIL.Image.Image) else image.shape[:2]


def has_compiler(device: torch.device) -> bool:
    """Whether torch.compile finds what it needs."""
    try:
        check_compiler(device)
    except ValueError:
        return False
    return True
