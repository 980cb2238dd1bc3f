"""The screen and the log of a run: plain lines on the screen, dated lines in the file."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

LABEL = 10  # the width of the column of labels
log = logging.getLogger(__name__)


def fact(label: str, text: object) -> None:
    """Log one fact in printable characters, with its label in a column of its own."""
    log.info("%s", printable(f"{label:<{LABEL}} {text}"))


@contextmanager
def logging_to(path: Path | None, aloud: bool, *notes: logging.Handler) -> Iterator[None]:
    """Log to the screen and to the file at `path`, if there is one.

    aloud: whether this process logs; only the first process does. notes: further handlers.
    """
    screen = logging.StreamHandler(sys.stdout)
    screen.setFormatter(logging.Formatter("%(message)s"))
    file = logging.FileHandler(path or os.devnull, delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level, before = root.level, root.handlers
    root.handlers = [screen, file, *notes] if aloud else [logging.NullHandler()]
    root.setLevel(logging.INFO)
    tqdm.set_lock(RLock())  # a semaphore would leak if a process exits at once
    try:
        with logging_redirect_tqdm() if aloud else warnings.catch_warnings(action="ignore"):
            yield
    finally:
        root.setLevel(level)
        root.handlers = before
        file.close()


def printable(text: str) -> str:
    """A text in one line, with escapes for characters that are not printable."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
