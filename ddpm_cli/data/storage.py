"""Where prepared images are kept: on the disk, in memory, or nowhere."""

import math
import os
from dataclasses import dataclass

import torch

from ddpm_cli.data.cache import decode_to_disk
from ddpm_cli.data.decoding import (
    UNREADABLE,
    Decoded,
    Records,
    content_hash,
    core_count,
    decode_all,
    fault_text,
)
from ddpm_cli.data.preparation import Preparation, prepare_image
from ddpm_cli.data.sources.source import Source
from ddpm_cli.shapes import Bytes, Indices, Pixels


def decode_source(
    source: Source, preparation: Preparation, *, copies: int = 1, aloud: bool = True
) -> Decoded:
    """All images of a source that can be read, kept where `preparation.cache` says, as `copies` processes of this machine do."""
    threads = max(1, core_count() // copies)
    if source.rows or preparation.cache == "ram":
        return decode_to_memory(source, preparation, threads=threads, copies=copies, aloud=aloud)
    kept = decode_on_demand if preparation.cache == "off" else decode_to_disk
    return kept(source, preparation, threads=threads, aloud=aloud)


def decode_to_memory(
    source: Source, preparation: Preparation, *, threads: int, copies: int, aloud: bool
) -> Decoded:
    """The images decoded into memory."""
    count, shape = source.count, preparation.kept
    needed, there = (
        copies * count * math.prod(shape) / 2**30,
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
    )
    if needed > 0.8 * there:
        remedy = "choose data.cache=disk or a smaller data.size"
        raise ValueError(
            f"{count:,} images of {shape} take {needed:.1f} GiB, and this machine has {there:.1f}; {remedy}"
        )
    images = torch.empty((count, *shape), dtype=torch.uint8)

    def keep(first: int, some: Bytes) -> None:
        images[first : first + len(some)] = some

    records, unreadable = decode_all(source, preparation, keep, threads=threads, aloud=aloud)
    return Decoded(images[: len(records)], records, unreadable)


def decode_on_demand(
    source: Source, preparation: Preparation, *, threads: int, aloud: bool
) -> Decoded:
    """Images that are decoded again whenever they are wanted; all are read once, for what is to be known of them."""
    records, unreadable = decode_all(
        source, preparation, lambda first, some: None, threads=threads, aloud=aloud
    )
    return Decoded(DecodedOnDemand(source, preparation, records), records, unreadable)


@dataclass(frozen=True)
class DecodedOnDemand:
    """Images of a source that have records, decoded whenever they are wanted; ValueError where one is another by then."""

    source: Source
    preparation: Preparation
    records: Records

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.preparation.kept)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, indices: Indices) -> Bytes:
        return torch.stack(
            [self.read(*each) for each in self.records[["place", "word"]][indices.numpy()].tolist()]
        )

    def read(self, place: int, expected: int) -> Pixels:
        """One image, as it was read before."""
        try:
            image = prepare_image(
                self.source.open(place), self.preparation.kept, self.preparation.crop
            )
        except UNREADABLE as error:
            raise ValueError(
                f"cannot read {self.source.name(place)} any more: {fault_text(error)}"
            ) from error
        if content_hash(image[None]) != expected:
            raise ValueError(f"{self.source.name(place)} is another image than when the run began")
        return image
