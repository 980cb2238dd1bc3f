"""Locks on what commands write: one launch at a time writes a training, images or a report.

A writer holds the system's lock, which ends with its process, and renews a sign of life. The sign
decides where nodes do not see one another's locks, or where a file system has none.
"""

import errno
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Literal, TypeAlias

from filelock import FileLock, Timeout

Artifact: TypeAlias = Literal["training", "images", "evaluation", "tuning", "report"]
LOCK, SIGN = ".{}.lock", ".{}.owner"  # the system's lock, and the sign of life
RENEWAL, LIFETIME = 15, 120  # seconds between signs of life, and seconds for which a sign counts
LONGEST = 4096  # the most characters of a sign of life
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Owner:
    """The process that writes, and when it began, in UTC.

    launch: the launch of the command, the same in all its processes.
    """

    host: str
    process: int
    launch: str
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} (launch {self.launch}, since {self.since})"


def this_process() -> Owner:
    """This process as an owner; torchrun names the launch of its processes."""
    run = os.environ.get("TORCHELASTIC_RUN_ID", "none")  # none: torchrun was given no name
    launch = secrets.token_hex(4) if run == "none" else run
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Owner(socket.gethostname(), os.getpid(), launch, since)


@contextmanager
def writer_lock(folder: Path, artifact: Artifact, *, first: bool = True) -> Iterator[None]:
    """Hold the lock of what this launch writes into a folder.

    first: whether this is the first process of its launch; the others share its lock. Raises
    ValueError if another launch writes, or if the folder cannot be written to.
    """
    if not first:
        yield
        return
    path, sign = (folder / name.format(artifact) for name in (LOCK, SIGN))
    lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
    owner, ended = this_process(), Event()
    try:
        claim(lock, sign, owner)
    except OSError as error:
        lock.release()
        raise ValueError(refusal_text(folder, artifact, read_owner(sign), error)) from None
    thread = Thread(target=renew_sign, args=(sign, owner, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if read_owner(sign) == owner:
            with suppress(OSError):  # Windows removes the file of the lock itself
                sign.unlink()
                path.unlink(missing_ok=True)
        lock.release()


def claim(lock: FileLock, sign: Path, owner: Owner) -> None:
    """Acquire the system's lock, if the file system has locks, and leave a sign of life.

    Raises Timeout or FileExistsError if another launch writes, and OSError if nothing can be
    written.
    """
    is_locked, before = has_locked(lock), read_owner(sign)
    is_dead = is_locked and before is not None and before.host == owner.host
    is_ours = before is not None and before.launch == owner.launch
    if not (is_dead or is_ours) and sign_age(sign, Path(lock.lock_file)) < LIFETIME:
        raise FileExistsError
    sign.unlink(missing_ok=True)
    with sign.open("x", encoding="utf-8") as file:  # fails if another process was quicker
        json.dump(asdict(owner), file)


def refusal_text(folder: Path, artifact: Artifact, owner: Owner | None, error: OSError) -> str:
    """The reason why a folder cannot be written to, and a remedy."""
    if not isinstance(error, Timeout | FileExistsError):
        return f"{str(folder)!r} must be a folder that can be written to: {error.strerror}"
    busy = f"{owner or 'another process'} is writing the {artifact} in {str(folder)!r}"
    end = "" if isinstance(error, Timeout) else f" ({LIFETIME} s after its last sign of life)"
    return f"{busy}; wait until it has ended{end}, or stop it"


def has_locked(lock: FileLock) -> bool:
    """Acquire a lock of the system; return False where the file system has no locks."""
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return lock.is_locked


def sign_age(sign: Path, lock: Path) -> float:
    """The seconds since the last sign of life, infinite if there is none.

    Both times are of the file system's clock, because the clocks of nodes may differ.
    """
    if not sign.exists():
        return float("inf")
    lock.touch()
    return lock.stat().st_mtime - sign.stat().st_mtime


def renew_sign(sign: Path, owner: Owner, ended: Event) -> None:
    """Renew the sign of life until the end, unless the file is gone or another process's."""
    while not ended.wait(RENEWAL):
        if read_owner(sign) == owner:
            with suppress(OSError):
                os.utime(sign)


def read_owner(sign: Path) -> Owner | None:
    """Read who writes; None if no owner can be read."""
    if not sign.is_file():
        return None
    try:
        with sign.open(encoding="utf-8") as file:
            content = json.loads(file.read(LONGEST))
        texts = {name: str(content[name]) for name in ("host", "launch", "since")}
        return Owner(process=int(content["process"]), **texts)
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None
