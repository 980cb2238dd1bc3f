"""A logger in a thread of its own: training never waits for a service, and never fails by one."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Queue
from threading import Event, Thread

from ddpm_cli.console import fact
from ddpm_cli.run_folder.run_ids import save_run_id
from ddpm_cli.run_folder.sink import LoggedRun, Logger, Sink
from ddpm_cli.text import without_users

MOST_WAITING = 1000  # events that wait for a logger; further events are lost
OPEN_SECONDS = 10.0  # time that the loggers have to open before training begins
CLOSE_SECONDS = 30.0  # time that the loggers have for their last events
log = logging.getLogger(__name__)


@dataclass
class LoggingThread:
    """The thread that hands the events of a run to one logger, in order.

    A failure is logged once. After a failure the next event opens the logger anew, until the end.
    """

    name: str
    logger: Logger
    run: LoggedRun
    sink: Sink | None = None
    has_failed: bool = False
    is_ending: bool = False
    was_tried: Event = field(default_factory=Event)
    events: Queue[Callable[[], object] | None] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self.thread = Thread(target=self.work, name=f"logger {self.name}", daemon=True)
        self.thread.start()

    def work(self) -> None:
        """Carry out events until the end; in the thread."""
        while (event := self.events.get()) is not None:
            try:
                event()
            except Exception as error:  # of packages that promise no kind of error
                with suppress(Exception):
                    self.close_sink(well=False)
                reason = " ".join(without_users(str(error)).split())[:300] or type(error).__name__
                self.warn(f"fails: {reason}")

    def warn(self, fault: str) -> None:
        """Log the first fault."""
        if not self.has_failed:
            log.warning("warning: the logger %s %s; training goes on", self.name, fault)
        self.has_failed = True

    def open(self) -> Sink:
        """The logger's sink, opened if it is not open; in the thread."""
        if self.sink is None:
            self.sink = self.logger(self.run)
            if self.sink.id and self.sink.id != self.run.id:
                self.run = replace(self.run, id=self.sink.id)
                save_run_id(self.run.folder, self.name, self.sink.id)
            if self.sink.place:
                fact(self.name, self.sink.place)
        return self.sink

    def put(self, event: Callable[[], object]) -> None:
        """Add an event, which is lost if too many wait."""
        if self.events.qsize() < MOST_WAITING:
            self.events.put(event)
        else:
            self.warn(f"is too slow: {MOST_WAITING:,} events wait for it, further ones are lost")

    def begin(self) -> None:
        """Open the logger; set `was_tried` even if it fails."""

        def event() -> None:
            try:
                self.open()
            finally:
                self.was_tried.set()

        self.put(event)

    def write(self, step: int, act: Callable[[Sink], object]) -> None:
        """Hand an event of a step to the logger."""

        def event() -> None:
            if self.sink is None and self.has_failed and self.is_ending:
                return  # no service that fails is waited for
            act(self.open())
            self.run = replace(self.run, step=max(step, self.run.step))

        self.put(event)

    def rewind(self, step: int) -> None:
        """Open the logger anew at an earlier step, as in a resumed run."""

        def event() -> None:
            self.close_sink(well=True)
            self.run = replace(self.run, step=step)
            self.open()

        self.put(event)

    def close_sink(self, *, well: bool) -> None:
        """Close the sink if it is open; in the thread."""
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.close(well)

    def end(self, *, well: bool) -> None:
        """Ask the logger to close after the events that wait, however many they are.

        well: whether the run ended well.
        """
        self.is_ending = True
        self.events.put(partial(self.close_sink, well=well))
        self.events.put(None)

    def join(self, deadline: float) -> None:
        """Wait until the logger has closed, or until a time of the monotonic clock."""
        self.thread.join(max(0.0, deadline - time.monotonic()))
        if self.thread.is_alive():
            self.warn(f"is not done after {CLOSE_SECONDS:.0f} s and lacks the last events")
