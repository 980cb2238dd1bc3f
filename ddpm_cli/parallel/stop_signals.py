"""The signals that ask a command to stop."""

import signal
import threading

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")  # Ctrl-C, kill, SLURM's warning, no terminal


def stop_signals() -> list[signal.Signals]:
    """The signals that this system has, without a SIGHUP that the caller ignores, as `nohup`.

    A thread beside the main thread, as of a web page or a notebook, receives none.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [
        number
        for number in numbers
        if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN
    ]
