"""The screen and the log of a run: plain lines on the screen, dated lines in the file."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any, TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ddpm_cli.files import open_without_links
from ddpm_cli.text import encodable_text

LABEL = 10  # the width of the column of labels
INFORMING = ("ddpm_cli", "hydra", "hydra_plugins", "optuna")  # packages whose information is shown
log = logging.getLogger(__name__)


def fact(label: str, text: object) -> None:
    """Log one fact, with its label in a column of its own."""
    log.info("%s", f"{label:<{LABEL}} {text}")


class PrintableFormatter(logging.Formatter):
    """A formatter of messages in printable characters; later handlers get the same messages."""

    def format(self, record: logging.LogRecord) -> str:
        record.msg, record.args = printable(record.getMessage()), ()
        return super().format(record)


class LogFile(logging.FileHandler):
    """A handler that appends to a file of its own, not to another file behind a link."""

    def _open(self) -> Any:
        return open(self.baseFilename, "a", encoding="utf-8", opener=open_without_links)


def quiet_other_packages() -> None:
    """Log the information of this package and of sweeps alone, and the warnings of all packages."""
    logging.getLogger().setLevel(logging.WARNING)
    for name in INFORMING:
        logging.getLogger(name).setLevel(logging.INFO)


def log_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Log a Python warning in one line, without its place in the code."""
    log.warning("warning: %s", " ".join(str(message).split()))


@contextmanager
def logging_to(path: Path | None, aloud: bool, *notes: logging.Handler) -> Iterator[None]:
    """Log to the screen and to the file at `path`, if there is one, in printable characters.

    aloud: whether this process logs; only the first process does. notes: further handlers.
    Python warnings, such as those of torch, are logged like the package's own.
    """
    screen = logging.StreamHandler(sys.stdout)
    screen.setFormatter(PrintableFormatter("%(message)s"))
    file = LogFile(path or os.devnull, delay=True)
    file.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in (None, *INFORMING)}
    before = root.handlers
    root.handlers = [screen, file, *notes] if aloud else [logging.NullHandler()]
    quiet_other_packages()
    tqdm.set_lock(RLock())  # a semaphore would leak if a process exits at once
    try:
        redirection = logging_redirect_tqdm() if aloud else nullcontext()
        with redirection, warnings.catch_warnings():
            if aloud:
                warnings.showwarning = log_warning
            else:
                warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        root.handlers = before
        file.close()


class Output:
    """A text stream that goes quiet once its reader has left or its disk is full."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text, or nothing once the stream is closed.

        Characters that the stream's encoding lacks become escapes.
        """
        encoding = self.stream.encoding or "utf-8"
        self.attempt(lambda: self.stream.write(encodable_text(text, encoding)))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self.attempt(self.stream.flush)

    def attempt(self, act: Callable[[], object]) -> None:
        """Call `act`; if it fails, send this text and all later texts nowhere."""
        try:
            act()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def outliving_readers() -> Iterator[None]:
    """Go on without a word where the reader of the output leaves, as `| head` or a dead `| tee`.

    An output that was closed from the start goes nowhere; no file takes its number.
    """
    before = sys.stdout, sys.stderr
    with ExitStack() as nowhere:
        outputs = [
            Output(each or nowhere.enter_context(open(os.devnull, "w", encoding="utf-8")))
            for each in before
        ]
        sys.stdout, sys.stderr = outputs
        try:
            yield
        finally:
            for each in outputs:
                each.flush()
            sys.stdout, sys.stderr = before


def printable(text: str) -> str:
    """A text in one line, with escapes for characters that are not printable."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
