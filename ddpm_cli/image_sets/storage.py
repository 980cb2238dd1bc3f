"""The storage of prepared images: on the disk, in memory, or nowhere."""

import math
from dataclasses import dataclass

import torch

from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.source import Source
from ddpm_cli.hardware import total_memory
from ddpm_cli.image_sets.cache import decode_to_disk
from ddpm_cli.image_sets.decoding import (
    CORES,
    UNREADABLE,
    Decoded,
    Records,
    content_hash,
    decode_all,
    fault_text,
)
from ddpm_cli.image_sets.value_ranges import ranges_by_kind
from ddpm_cli.images import prepare_image
from ddpm_cli.pixels.values import Ranges
from ddpm_cli.shapes import Bytes, Indices, Pixels


def decode_source(
    source: Source, preparation: Preparation, *, copies: int = 1, verbose: bool = True
) -> Decoded:
    """Decode all readable images of a source into the place that `preparation.cache` names.

    copies: processes of this machine that decode the same images.
    """
    threads = max(1, CORES // copies)
    if source.rows or preparation.cache == "ram":
        return decode_to_memory(
            source, preparation, threads=threads, copies=copies, verbose=verbose
        )
    if preparation.cache == "off":
        records, unreadable = decode_all(
            source, preparation, lambda first, images: None, threads=threads, verbose=verbose
        )
        ranges = ranges_by_kind(records, source, preparation)
        on_demand = DecodedOnDemand(source, preparation, records, ranges)
        return Decoded(on_demand, records, unreadable)
    return decode_to_disk(source, preparation, threads=threads, verbose=verbose)


def decode_to_memory(
    source: Source, preparation: Preparation, *, threads: int, copies: int, verbose: bool
) -> Decoded:
    """Decode the images into memory."""
    count, shape = source.count, preparation.stored_shape
    needed = copies * count * math.prod(shape) / 2**30
    memory = total_memory() / 2**30
    if needed > 0.8 * memory:
        sizes = f"take {needed:.1f} GiB, and this machine has {memory:.1f}"
        remedy = "choose data.cache=disk or a smaller data.size"
        raise ValueError(f"{count:,} images of {shape} {sizes}; {remedy}")
    images = torch.empty((count, *shape), dtype=torch.uint8)

    def store(first: int, block: Bytes) -> None:
        images[first : first + len(block)] = block

    records, unreadable = decode_all(source, preparation, store, threads=threads, verbose=verbose)
    return Decoded(images[: len(records)], records, unreadable)


@dataclass(frozen=True)
class DecodedOnDemand:
    """Images of a source, decoded at each access. Raises ValueError if an image has changed."""

    source: Source
    preparation: Preparation
    records: Records
    ranges: Ranges | None

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.records), *self.preparation.stored_shape)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, indices: Indices) -> Bytes:
        rows = self.records[["place", "word"]][indices.numpy()].tolist()
        return torch.stack([self.read(place, expected) for place, expected in rows])

    def read(self, place: int, expected: int) -> Pixels:
        """Read an image again, and compare its hash with the expected hash."""
        name, preparation = self.source.name, self.preparation
        try:
            image = prepare_image(
                self.source.open(place),
                preparation.stored_shape,
                preparation.crop,
                ranges=self.ranges,
                rules=self.source.rules,
            )
        except UNREADABLE as error:
            raise ValueError(f"cannot read {name(place)} any more: {fault_text(error)}") from error
        if content_hash(image[None]) != expected:
            raise ValueError(f"{name(place)} is another image than when the run began")
        return image
