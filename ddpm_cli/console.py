"""What a run says: plain lines on the screen, dated ones in its log; of several processes the first one speaks."""

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


@contextmanager
def logging_to(path: Path | None, aloud: bool) -> Iterator[None]:
    """Shows what is logged and writes it into the file at `path`, if one is given; nothing at all where `aloud` is false."""
    screen, file = (
        logging.StreamHandler(sys.stdout),
        logging.FileHandler(path or os.devnull, delay=True),
    )
    screen.setFormatter(logging.Formatter("%(message)s"))
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [screen, file] if aloud else [logging.NullHandler()]
    root = logging.getLogger()
    level, before = root.level, root.handlers
    root.handlers = handlers
    root.setLevel(logging.INFO)
    tqdm.set_lock(
        RLock()
    )  # its own is a semaphore that a process which leaves at once would leave behind
    try:
        with logging_redirect_tqdm() if aloud else warnings.catch_warnings(action="ignore"):
            yield
    finally:
        root.setLevel(level)
        root.handlers = before
        file.close()
