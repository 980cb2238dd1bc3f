"""Ctrl-C, SIGTERM and SIGUSR1 as a request to stop."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from ddpm_cli.parallel import ProcessGroup

log = logging.getLogger(__name__)


@contextmanager
def stop_on_signals(group: ProcessGroup) -> Iterator[Event]:
    """An event that Ctrl-C, SIGTERM and SIGUSR1 (SLURM) set; a second Ctrl-C interrupts at once, as does what goes wrong after the first.

    One of several processes takes a repeated signal as one, for it comes from the terminal and from the process above, to its very end.
    """
    stop = Event()

    def request(number: int, frame: Any) -> None:
        if not stop.is_set():
            log.info(
                "stopping after this step (%s)%s",
                signal.Signals(number).name,
                "; Ctrl-C to stop at once" * (group.count == 1),
            )
        if group.count == 1:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    before = {
        number: signal.signal(number, request)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    }
    try:
        yield stop
    except ValueError as error:
        if not stop.is_set() or group.count > 1:
            raise
        log.error("error: %s", error)
        raise KeyboardInterrupt from error  # as an error of this run alone it would let a sweep go on
    finally:
        for number, handler in before.items() if group.count == 1 else ():
            signal.signal(number, handler)
