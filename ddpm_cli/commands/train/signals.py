"""Ctrl-C, SIGTERM, SIGUSR1 and a closed terminal as a request to stop."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.parallel.stop_signals import stop_signals

log = logging.getLogger(__name__)


@contextmanager
def stop_on_signals(group: ProcessGroup) -> Iterator[Event]:
    """Yield an event that Ctrl-C, SIGTERM, SIGUSR1 (SLURM's warning) and SIGHUP set.

    In a single process, a second Ctrl-C interrupts at once. In one of several processes, repeated
    signals count once, because the terminal and the parent process both send the signal.
    Raises ValueError in a thread that receives no signals.
    """
    if not stop_signals():
        raise ValueError(
            "a run is stopped by signals, which only the main thread of a process receives: "
            "from another thread, start ddpm-train as a process, by subprocess.run"
        )
    stop, alone = Event(), group.count == 1

    def request(number: int, frame: Any) -> None:
        if not stop.is_set():
            remedy = "; Ctrl-C to stop at once" * alone
            log.info("stopping after this step (%s)%s", signal.Signals(number).name, remedy)
        if alone:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    before = {number: signal.signal(number, request) for number in stop_signals()}
    try:
        yield stop
    except ValueError as error:
        if not stop.is_set() or not alone:
            raise
        log.error("error: %s", error)
        raise KeyboardInterrupt from error  # a ValueError would not stop a sweep
    finally:
        for number, handler in before.items() if alone else ():
            signal.signal(number, handler)
