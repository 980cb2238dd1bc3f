"""Batches of a streamed data set, which resume at a stored position.

Each process reads its share of the rows and shuffles them in windows.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice, repeat, takewhile
from threading import Event
from typing import Any

import numpy as np
import torch
from datasets.distributed import split_dataset_by_node
from numpy.typing import NDArray

from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.cells import cell_name
from ddpm_cli.data.sources.source import StreamedTable
from ddpm_cli.image_sets.decoding import FAULTS, UNREADABLE, content_hash, fault_text, prefetch
from ddpm_cli.image_sets.image_set import is_held_out
from ddpm_cli.image_sets.value_ranges import stream_ranges
from ddpm_cli.images import prepare_image
from ddpm_cli.loading.shuffled import Batch, Chance, cut_crop
from ddpm_cli.seeds import Purpose, rng_at
from ddpm_cli.shapes import Larger, Pixels

WINDOW = 2048  # undecoded rows that are shuffled together; memory holds two or three windows
CHANCES = ((Purpose.FLIP, 0), (Purpose.CROP, 0), (Purpose.CROP, 1))
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """The position of a process: after `done` rows of the window that follows `before` rows.

    state: the state from which `datasets` reads the window; None at the start of an epoch.
    """

    before: int = 0
    done: int = 0
    state: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Parse the position in a checkpoint's text. Raises ValueError if the text holds none."""
        try:
            before, done, state = (json.loads(text)[name] for name in ("before", "done", "state"))
        except (ValueError, LookupError, TypeError, RecursionError):
            before = done = state = -1
        counts = type(before) is type(done) is int and 0 <= before < 2**60 and 0 <= done <= WINDOW
        if not counts or not isinstance(state, dict | None) or state == {}:
            raise ValueError("the checkpoint's position in the stream is invalid")
        return cls(before, done, state)

    @classmethod
    def is_valid(cls, text: str) -> bool:
        """Whether a text holds a position."""
        try:
            cls.parse(text)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class ShuffleWindow:
    """Rows to shuffle together; order and chances are functions of seed, process and start."""

    start: Position
    rows: list[dict[str, Any]]
    order: NDArray[np.int64]
    chances: NDArray[np.float64]


@dataclass(frozen=True)
class StreamedRow:
    """The image and label of a row, or its fault, or neither if the image is held out.

    position: the position after the row.
    """

    position: Position
    index: int
    image: Pixels | None = None
    label: int = -1
    fault: str = ""


@dataclass(frozen=True)
class StreamShare:
    """One process's share of a stream, and the preparation of its images."""

    rows: StreamedTable
    preparation: Preparation
    seed: int
    rank: int = 0
    ranks: int = 1

    def windows(self, start: Position, is_wanted: Callable[[], bool]) -> Iterator[ShuffleWindow]:
        """Yield windows without end. Raises ValueError if rows cannot be read."""
        before, state = start.before, start.state
        try:
            while is_wanted():
                table = split_dataset_by_node(self.rows.table, self.rank, self.ranks)
                if state is not None:
                    table.load_state_dict(state)
                reader = takewhile(lambda _: is_wanted(), table)
                while rows := list(islice(reader, WINDOW)):
                    yield self.window(Position(before, 0, state), rows)
                    before, state = before + len(rows), table.state_dict()
                if state is None:
                    raise ValueError(f"there are none for process {self.rank + 1} of {self.ranks}")
                state = None
        except (*FAULTS, RuntimeError) as error:
            fault = f"the rows of the stream cannot be read on after {before:,}"
            raise ValueError(f"{fault}: {fault_text(error)}") from error

    def window(self, start: Position, rows: list[dict[str, Any]]) -> ShuffleWindow:
        """A window with its random numbers."""
        key, count = (self.rank, start.before), len(rows)
        rngs = [rng_at(self.seed, purpose, *key, axis) for purpose, axis in CHANCES]
        chances = np.stack([rng.random(count) for rng in rngs], axis=1)
        order = rng_at(self.seed, Purpose.ORDER, *key).permutation(count)
        return ShuffleWindow(start, rows, order, chances)

    def decode_row(self, place: tuple[ShuffleWindow, int]) -> StreamedRow:
        """Decode the row at a place in the order of a window."""
        (window, done), preparation = place, self.preparation
        number = int(window.order[done])
        cell = window.rows[number][self.rows.image]
        index = window.start.before + number
        row = StreamedRow(replace(window.start, done=done + 1), index)
        try:
            image = prepare_image(
                self.rows.files.open(cell),
                preparation.stored_shape,
                preparation.crop,
                ranges=stream_ranges(preparation, self.rows.rules),
                rules=self.rows.rules,
            )
        except UNREADABLE as error:
            return replace(row, fault=f"{cell_name(cell, index)}: {fault_text(error)}")
        if is_held_out(content_hash(image[None]), preparation.holdout)[0]:
            return row
        label = self.label(window.rows[number])
        return replace(row, image=self.augment(image, *window.chances[number]), label=label)

    def augment(self, image: Larger, flip: Chance, down: Chance, across: Chance) -> Pixels:
        """Cut the crop of an image that chances choose, and perhaps mirror it."""
        crop = cut_crop(image, down, across, self.preparation.shape)
        return crop.flip(2) if self.preparation.flip and flip < 0.5 else crop

    def label(self, row: Mapping[str, Any]) -> int:
        """The label of a row; -1: no label. Raises ValueError if the label is of no class."""
        if self.rows.label is None or (label := row[self.rows.label]) is None:
            return -1
        if not -1 <= label < (classes := self.rows.table.features[self.rows.label].num_classes):
            rule = f"labels must be less than {classes}, the classes there are"
            raise ValueError(f"{rule}, but one is {label}")
        return int(label)

    def training_rows(self, rows: Iterator[StreamedRow]) -> Iterator[StreamedRow]:
        """Yield the rows with an image to train on.

        Raises ValueError if a row is unreadable and on_error=stop, or if an epoch has no such row.
        """
        skipped, epoch_has_images = 0, True
        for row in rows:
            if row.position.state is None and row.position.done == 1:
                if not epoch_has_images:
                    process = f"process {self.rank + 1} of {self.ranks}"
                    reason = "finds no image to train on in its share of the stream"
                    raise ValueError(f"{process} {reason}")
                epoch_has_images = False
            if row.fault and self.preparation.on_error == "stop":
                raise ValueError(f"cannot read {row.fault} (data.on_error=skip goes without)")
            skipped += bool(row.fault)
            if row.fault and skipped.bit_count() == 1:  # the 1st, 2nd, 4th, 8th, ...
                message = "warning: images that cannot be read and are skipped: %s so far, now %s"
                log.warning(message, f"{skipped:,}", row.fault)
            if row.image is not None:
                epoch_has_images = True
                yield row

    def batch(self, rows: Sequence[StreamedRow], first: int) -> Batch:
        """The batch of some rows, whose first image has the place `first` in the global batch."""
        images = torch.stack([row.image for row in rows if row.image is not None])
        labels = torch.tensor([row.label for row in rows]) if self.rows.label else None
        indices = torch.tensor([row.index for row in rows])
        return Batch(images, labels, indices, first, str(rows[-1].position))


def streamed_batches(
    share: StreamShare, part: slice, position: str = "", *, threads: int = 1, pin: bool = False
) -> Iterator[Batch]:
    """Yield one process's parts of batches from a position on, the same for any `threads`.

    pin: in pinned memory, for a GPU.
    """
    start = Position.parse(position) if position else Position()
    size = part.stop - part.start

    def places(window: ShuffleWindow) -> range:
        return range(start.done if window.start.before == start.before else 0, len(window.rows))

    with reader_pools(threads) as (reader, decoders, is_wanted):
        reading = share.windows(start, is_wanted)
        windows = prefetch(reader, lambda _: next(reading), repeat(None), 2)
        keys = ((window, place) for window in windows for place in places(window))
        rows = share.training_rows(prefetch(decoders, share.decode_row, keys, 2 * size + threads))
        while True:
            batch = share.batch(list(islice(rows, size)), part.start)
            yield batch.pin_memory() if pin else batch


@contextmanager
def reader_pools(threads: int) -> Iterator[tuple[Executor, Executor, Callable[[], bool]]]:
    """Yield a thread that reads, threads that decode, and a check that results are wanted."""
    stopped = Event()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(threads) as decoders:
        try:
            yield reader, decoders, lambda: not stopped.is_set()
        finally:
            stopped.set()
            for pool in (reader, decoders):
                pool.shutdown(wait=False, cancel_futures=True)
