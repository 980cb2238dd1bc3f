"""Ctrl-C, SIGTERM, SIGUSR1 and a closed terminal as a request to stop."""

import logging
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing import parent_process
from threading import Event
from types import FrameType
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from ddpm_cli.parallel.group import ProcessGroup
from ddpm_cli.parallel.launch import mark_begun
from ddpm_cli.process.stop_signals import UNSAVED, NothingToSaveError, stop_signals

# the event by which a program asks the run that it has called, perhaps in a thread, to stop
CALLER: ContextVar[Event | None] = ContextVar("caller", default=None)
LOOK_SECONDS = 0.1  # between two looks at the event of the caller
log = logging.getLogger(__name__)


class StopRequest(Event):
    """An event that Ctrl-C, SIGTERM, SIGUSR1 (SLURM's warning) and SIGHUP set after `begin`.

    In a single process, a second Ctrl-C interrupts at once. In one of several processes, repeated
    signals count once, because the terminal and the parent process both send the signal.
    """

    def __init__(self, *, alone: bool) -> None:
        super().__init__()
        self.alone, self.has_begun, self.caller = alone, False, CALLER.get()
        self.hooks: list[RemovableHandle] = []

    def is_set(self) -> bool:
        """Whether a signal or the caller has asked to stop."""
        return super().is_set() or (self.caller is not None and self.caller.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a request at most `timeout` seconds; return whether there is one."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            super().wait(min(left, LOOK_SECONDS))
        return self.is_set()

    def watch(self, network: nn.Module) -> None:
        """Let a signal end the backward pass, one call that may take minutes, until `begin`.

        Python sees a signal between two hooks.
        """
        parameters: Iterator[Any] = network.parameters()  # torch leaves the hook untyped
        learned = (each for each in parameters if each.requires_grad)
        self.hooks = [each.register_post_accumulate_grad_hook(lambda _: None) for each in learned]

    def begin(self) -> None:
        """Set the event at the next signal, because from now on there is a step to save."""
        if not self.has_begun:
            self.has_begun = True
            mark_begun()
            for hook in self.hooks:
                hook.remove()
            for number in stop_signals():
                signal.signal(number, self.request)

    def request(self, number: int, frame: FrameType | None) -> None:
        """Set the event: the handler of a signal."""
        if not self.is_set():
            remedy = "; Ctrl-C to stop at once" * self.alone
            log.info("stopping after this step (%s)%s", signal.Signals(number).name, remedy)
        if self.alone:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.set()


@contextmanager
def stop_on_signals(group: ProcessGroup) -> Iterator[StopRequest]:
    """Yield a request to stop. Before its `begin`, a signal ends the process at once.

    A process of our own launch then dies of the signal, even while it waits for a GPU; the parent
    process cleans up. Raises ValueError in a thread that receives no signals, unless its caller has
    an event.
    """
    if CALLER.get() is None and not stop_signals():
        raise ValueError(
            "a run is stopped by signals, which only the main thread of a process receives: "
            "from another thread, call ddpm_cli.train, or start ddpm-train as a process"
        )
    stop = StopRequest(alone=group.count == 1)
    early = interrupt if stop.alone or parent_process() is None else signal.SIG_DFL
    before = {number: signal.signal(number, early) for number in stop_signals()}
    try:
        yield stop
    except NothingToSaveError:
        log.error("error: %s", UNSAVED)
        raise
    except ValueError as error:
        if not stop.is_set() or not stop.alone:
            raise
        log.error("error: %s", error)
        raise KeyboardInterrupt from error  # a ValueError would not stop a sweep
    finally:
        for number, handler in before.items() if stop.alone else ():
            signal.signal(number, handler)


def interrupt(number: int, frame: FrameType | None) -> None:
    """End the run before its first step is done: the handler of a signal."""
    raise NothingToSaveError
