"""Images as bytes and as floats."""

import torch

from ddpm_cli.shapes import Bytes, Images


def to_float(images: Bytes) -> Images:
    """Bytes 0..255 as floats in [-1, 1]."""
    return (images / 127.5).sub_(1)


def to_bytes(images: Images) -> Bytes:
    """Floats as bytes: clamped and rounded, never wrapped around."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
