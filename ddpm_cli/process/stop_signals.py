"""The signals that ask a command to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")  # Ctrl-C, kill, SLURM's warning, no terminal
UNSAVED = "stopped before there was anything to save"


class NothingToSaveError(KeyboardInterrupt):
    """A request to stop before the first step is done."""


def stop_signals() -> list[signal.Signals]:
    """The signals that this system has, without a SIGHUP that the caller ignores, as `nohup`.

    A thread beside the main thread, as of a web page or a notebook, receives none.
    """
    if current_thread() is not main_thread():
        return []
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [
        number
        for number in numbers
        if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN
    ]


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let every signal that asks to stop interrupt the command as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    others = [number for number in stop_signals() if number != signal.SIGINT]
    before = {number: signal.signal(number, interrupt) for number in others}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
