"""A set that is read as it is trained on: batches of each process's share of its rows, shuffled by windows, that go on where they ended."""

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

from ddpm_cli.data.decoding import FAULTS, UNREADABLE, content_hash, fault_text, prefetch
from ddpm_cli.data.image_set import is_held_out
from ddpm_cli.data.preparation import Preparation, prepare_image
from ddpm_cli.data.sources.source import Rows, cell_name, open_cell
from ddpm_cli.loading.shuffled import Batch, Chance, cut_window
from ddpm_cli.seeds import Purpose, rng_at
from ddpm_cli.shapes import Larger, Pixels

WINDOW = 2048  # rows that are shuffled together, undecoded: two or three such are in memory
CHANCES = ((Purpose.FLIP, 0), (Purpose.CROP, 0), (Purpose.CROP, 1))
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """Where a process goes on: so many rows into a window that begins after so many others, read from a state of `datasets` on.

    state: None at the beginning of an epoch.
    """

    before: int = 0
    done: int = 0
    state: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, text: str) -> "Position":
        """From its text in a checkpoint; ValueError where that is of no position."""
        try:
            before, done, state = (json.loads(text)[name] for name in ("before", "done", "state"))
        except (ValueError, LookupError, TypeError, RecursionError):
            before = done = state = -1
        counts = type(before) is type(done) is int and 0 <= before < 2**60 and 0 <= done <= WINDOW
        if not counts or not isinstance(state, dict | None) or state == {}:
            raise ValueError("the checkpoint's position in the stream is none")
        return cls(before, done, state)

    @classmethod
    def readable(cls, text: str) -> bool:
        """Whether a text is of a position."""
        try:
            cls.of(text)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class ShuffleWindow:
    """Rows that are shuffled together: where they begin, and their order and chances, functions of the seed, the process and that place."""

    start: Position
    rows: list[dict[str, Any]]
    order: NDArray[np.int64]
    chances: NDArray[np.float64]


@dataclass(frozen=True)
class StreamedRow:
    """What became of a row: its image and label, or why it cannot be read; neither where it is held out. position: behind it."""

    position: Position
    index: int
    image: Pixels | None = None
    label: int = -1
    fault: str = ""


@dataclass(frozen=True)
class StreamShare:
    """What one process of several reads of a stream, and how it prepares its images."""

    rows: Rows
    preparation: Preparation
    seed: int
    rank: int = 0
    ranks: int = 1

    def windows(self, start: Position, going: Callable[[], bool]) -> Iterator[ShuffleWindow]:
        """Windows without end, epoch after epoch; ValueError where rows cannot be read."""
        before, state = start.before, start.state
        try:
            while going():
                table = split_dataset_by_node(self.rows.table, self.rank, self.ranks)
                if state is not None:
                    table.load_state_dict(state)
                reading = takewhile(lambda _: going(), table)
                while some := list(islice(reading, WINDOW)):
                    yield self.window(Position(before, 0, state), some)
                    before, state = before + len(some), table.state_dict()
                if state is None:
                    raise ValueError(f"there are none for process {self.rank + 1} of {self.ranks}")
                state = None
        except (*FAULTS, RuntimeError) as error:
            raise ValueError(
                f"the rows of the stream cannot be read on after {before:,}: {fault_text(error)}"
            ) from error

    def window(self, start: Position, rows: list[dict[str, Any]]) -> ShuffleWindow:
        """A window and its randomness."""
        rngs = [
            rng_at(self.seed, purpose, self.rank, start.before, axis) for purpose, axis in CHANCES
        ]
        order = rng_at(self.seed, Purpose.ORDER, self.rank, start.before).permutation(len(rows))
        return ShuffleWindow(
            start, rows, order, np.stack([rng.random(len(rows)) for rng in rngs], axis=1)
        )

    def seen(self, place: tuple[ShuffleWindow, int]) -> StreamedRow:
        """The row at a place of the order of a window, with its image decoded."""
        window, done = place
        row = window.rows[number := int(window.order[done])]
        found = StreamedRow(replace(window.start, done=done + 1), window.start.before + number)
        try:
            image = prepare_image(
                open_cell(row[self.rows.image]), self.preparation.kept, self.preparation.crop
            )
        except UNREADABLE as error:
            return replace(
                found, fault=f"{cell_name(row[self.rows.image], found.index)}: {fault_text(error)}"
            )
        if is_held_out(content_hash(image[None]), self.preparation.holdout)[0]:
            return found
        return replace(
            found, image=self.varied(image, *window.chances[number]), label=self.label(row)
        )

    def varied(self, image: Larger, flip: Chance, down: Chance, across: Chance) -> Pixels:
        """The window of an image that chances choose, mirrored or not."""
        cut = cut_window(image, down, across, self.preparation.shape)
        return cut.flip(2) if self.preparation.flip and flip < 0.5 else cut

    def label(self, row: Mapping[str, Any]) -> int:
        """The label of a row, -1 for none; ValueError where it is that of no class."""
        if self.rows.label is None or (label := row[self.rows.label]) is None:
            return -1
        if not -1 <= label < (classes := self.rows.table.features[self.rows.label].num_classes):
            raise ValueError(
                f"labels must be less than {classes}, the classes there are, but one is {label}"
            )
        return int(label)

    def trained(self, rows: Iterator[StreamedRow]) -> Iterator[StreamedRow]:
        """Those with an image to train on; ValueError where one cannot be read and on_error=stop, or where an epoch has none."""
        skipped, some = 0, True
        for row in rows:
            if row.position.state is None and row.position.done == 1:
                if not some:
                    raise ValueError(
                        f"process {self.rank + 1} of {self.ranks} finds no image to train on in its share of the stream"
                    )
                some = False
            if row.fault and self.preparation.on_error == "stop":
                raise ValueError(f"cannot read {row.fault} (data.on_error=skip goes without)")
            if (
                row.fault and (skipped := skipped + 1).bit_count() == 1
            ):  # the first, second, fourth, eighth, ...
                log.warning(
                    "warning: images that cannot be read and are skipped: %s so far, now %s",
                    f"{skipped:,}",
                    row.fault,
                )
            if row.image is not None:
                some = True
                yield row

    def batch(self, rows: Sequence[StreamedRow], first: int) -> Batch:
        """The batch of some rows, from place `first` of the global one on."""
        labels = torch.tensor([row.label for row in rows]) if self.rows.label else None
        images = torch.stack([row.image for row in rows if row.image is not None])
        return Batch(
            images, labels, torch.tensor([row.index for row in rows]), first, str(rows[-1].position)
        )


def streamed_batches(
    share: StreamShare, part: slice, position: str = "", *, threads: int = 1, pin: bool = False
) -> Iterator[Batch]:
    """One process's parts of batches, from a position on, the same for any number of threads; in pinned memory if a GPU takes them."""
    start, size = Position.of(position) if position else Position(), part.stop - part.start

    def places(window: ShuffleWindow) -> range:
        return range(start.done if window.start.before == start.before else 0, len(window.rows))

    with reader_pools(threads) as (reader, decoders, going):
        reading = share.windows(start, going)
        windows = prefetch(reader, lambda _: next(reading), repeat(None), 2)
        seen = prefetch(
            decoders,
            share.seen,
            ((window, place) for window in windows for place in places(window)),
            2 * size + threads,
        )
        trained = share.trained(seen)
        while True:
            batch = share.batch(list(islice(trained, size)), part.start)
            yield batch.pin_memory() if pin else batch


@contextmanager
def reader_pools(threads: int) -> Iterator[tuple[Executor, Executor, Callable[[], bool]]]:
    """A thread that reads and some that decode, and whether they are still wanted."""
    stopped = Event()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(threads) as decoders:
        try:
            yield reader, decoders, lambda: not stopped.is_set()
        finally:
            stopped.set()
            for pool in (reader, decoders):
                pool.shutdown(wait=False, cancel_futures=True)
