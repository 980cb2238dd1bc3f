"""The members of a zip or tar file; each is read by itself, so that no archive stays open."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

LARGEST = 2**30  # the most bytes of an image
ZIP_HEADER, ZIP_MAGIC, ENCRYPTED = 30, b"PK\x03\x04", 1
Member: TypeAlias = tuple[str, Callable[[], bytes] | None]
BAD_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
BROKEN = (OSError, EOFError, LookupError, RuntimeError, ValueError, *BAD_ARCHIVE)


def archive_members(file: Path, is_wanted: Callable[[str], bool]) -> list[Member]:
    """The visible members of an archive in the order of their names.

    An unwanted member has a name alone. The last of several members of one name counts, as when an
    archive is unpacked.
    """
    members = zip_members if zipfile.is_zipfile(file) else tar_members
    return sorted(dict(members(file, is_wanted)).items())


def zip_members(file: Path, is_wanted: Callable[[str], bool]) -> Iterator[Member]:
    """Yield the visible members of a zip."""
    with zipfile.ZipFile(file) as opened:
        for member in opened.infolist():
            name = member.filename
            if is_visible(name):
                wanted = is_wanted(name) and is_small(name, member.file_size)
                yield name, partial(read_zip_member, file, member) if wanted else None


def read_zip_member(file: Path, member: zipfile.ZipInfo) -> bytes:
    """Read a member where the directory of the zip says that it lies."""
    if member.flag_bits & ENCRYPTED:
        raise ValueError("it is encrypted")
    with file.open("rb") as opened:
        opened.seek(member.header_offset)
        header = opened.read(ZIP_HEADER)
        if header[:4] != ZIP_MAGIC or len(header) < ZIP_HEADER:
            raise zipfile.BadZipFile("it does not lie where the directory says")
        name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        opened.seek(name + extra, 1)
        with zipfile.ZipExtFile(opened, "r", member) as content:
            return content.read(member.file_size)


def tar_members(file: Path, is_wanted: Callable[[str], bool]) -> Iterator[Member]:
    """Yield the visible members of a tar; members of a compressed tar are kept in memory."""
    with tarfile.open(file) as tar:
        uncompressed = isinstance(tar.fileobj, BufferedReader)
        for member in tar:
            if (member.isfile() or member.islnk()) and is_visible(member.name):
                read = None
                if is_wanted(member.name) and is_small(member.name, member.size):
                    in_place = uncompressed and member.isreg() and not member.issparse()
                    content = None if in_place else tar.extractfile(member)
                    read = (
                        partial(bytes, content.read())
                        if content
                        else partial(read_bytes, file, member.offset_data, member.size)
                    )
                yield member.name, read
        # tarfile takes a damaged header or a truncated file for the end of the archive.
        stream: Any = tar.fileobj
        stream.seek(tar.offset)
        rest = stream.read(2**20)
        if not rest or any(rest):
            raise ValueError(f"it is damaged or cut off at byte {tar.offset:,}")


def is_visible(name: str) -> bool:
    """Whether a name is the name of a visible file in visible folders."""
    *folders, last = PurePosixPath(name).parts or ("",)
    hidden = last.startswith(".") or any(part.startswith((".", "__")) for part in folders)
    return not hidden and not name.endswith("/")


def is_small(name: str, size: int) -> bool:
    """Refuse a member that is too large."""
    if size > LARGEST:
        raise ValueError(f"{name!r} in it would take {size:,} bytes, more than {LARGEST:,}")
    return True


def read_bytes(file: Path, start: int, size: int) -> bytes:
    """Read some bytes of a file."""
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(size)
