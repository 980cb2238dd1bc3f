"""Images in zip or tar files, read where they lie; nothing is unpacked, no link leads outside."""

import glob
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from PIL import Image

from ddpm_cli.data.sources.folders import folder_classes, is_image_name
from ddpm_cli.data.sources.labels import class_numbers, class_order
from ddpm_cli.data.sources.source import Rules, Source, files_version
from ddpm_cli.files import user_path
from ddpm_cli.images import open_image

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")  # a range of shards in the notation of WebDataset
LARGEST = 2**30  # the most bytes of an image
Member: TypeAlias = tuple[str, Callable[[], bytes]]
BAD_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
BROKEN = (OSError, EOFError, LookupError, RuntimeError, ValueError, *BAD_ARCHIVE)


def archive(*, path: str, rules: Rules = 2) -> Source:
    """All images in an archive, or in several by a pattern, in the order of their names.

    Images of compressed tar files are kept in memory. Classes are the texts of KEY.cls beside
    KEY.jpg (as in a WebDataset), if any; else the folders, if there are several.
    rules: the version of the rules by which images and classes are read.
    """
    files = matching_files(path)
    members = [(file, *member) for file in files for member in image_members(file)]
    if not members:
        raise ValueError(f"path must hold images (.jpg, .png, ...), but {path!r} holds none")
    places, names, reads, texts = zip(*members, strict=True)
    labels, classes = (texts, class_order(texts)) if any(texts) else folder_classes(names)

    def open_member(index: int) -> Image.Image:
        try:
            return open_image(BytesIO(reads[index]()))
        except OSError:  # its number tells a fault of the image from one of the machine
            raise
        except BROKEN as error:
            raise ValueError(str(error)) from error

    return Source(
        len(members),
        open_member,
        lambda index: f"{names[index]!r} in {str(places[index])!r}",
        (lambda: class_numbers(labels, classes)) if classes else None,
        classes,
        lambda: files_version(map(str, files)),
        rules=rules,
    )


def image_members(file: Path) -> list[tuple[str, Callable[[], bytes], str | None]]:
    """The images in an archive by name, each with the text of its .cls file."""
    try:
        # The last of several members of one name counts, as when an archive is unpacked.
        last = dict(zip_members(file) if zipfile.is_zipfile(file) else tar_members(file))
        members = sorted(last.items())
        labels = {
            example_key(name): read().decode().strip() or None
            for name, read in members
            if name.endswith(".cls")
        }
    except BROKEN as error:
        reason = f"{str(file)!r} cannot be read as one: {error}"
        raise ValueError(f"path must be a zip or tar file, but {reason}") from error
    return [
        (name, read, labels.get(example_key(name)))
        for name, read in members
        if not name.endswith(".cls")
    ]


def example_key(name: str) -> str:
    """The key of an example in a WebDataset: its path up to the first dot of the file's name."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def zip_members(file: Path) -> Iterator[Member]:
    """Yield the images and labels in a zip.

    Each process opens the zip for itself: processes that share a file share its position.
    """
    handles = {os.getpid(): zipfile.ZipFile(file)}

    def read_member(member: zipfile.ZipInfo) -> bytes:
        if os.getpid() not in handles:
            handles[os.getpid()] = zipfile.ZipFile(file)
        return handles[os.getpid()].read(member)

    for member in handles[os.getpid()].infolist():
        if is_wanted(member.filename, member.file_size):
            yield member.filename, partial(read_member, member)


def tar_members(file: Path) -> Iterator[Member]:
    """Yield the images and labels in a tar."""
    with tarfile.open(file) as tar:
        uncompressed = isinstance(tar.fileobj, BufferedReader)
        for member in tar:
            if (member.isfile() or member.islnk()) and is_wanted(member.name, member.size):
                in_place = uncompressed and member.isreg() and not member.issparse()
                content = None if in_place else tar.extractfile(member)
                yield (
                    member.name,
                    partial(bytes, content.read())
                    if content
                    else partial(read_bytes, file, member.offset_data, member.size),
                )
        # tarfile takes a damaged header or a truncated file for the end of the archive.
        stream: Any = tar.fileobj
        stream.seek(tar.offset)
        rest = stream.read(2**20)
        if not rest or any(rest):
            raise ValueError(f"it is damaged or cut off at byte {tar.offset:,}")


def is_wanted(name: str, size: int) -> bool:
    """Whether a member is a visible image or label. Raises ValueError if it is too large."""
    *folders, last = PurePosixPath(name).parts or ("",)
    hidden = last.startswith(".") or any(part.startswith((".", "__")) for part in folders)
    if hidden or name.endswith("/") or not (is_image_name(last) or last.endswith(".cls")):
        return False
    if size > LARGEST:
        raise ValueError(f"{name!r} in it would take {size:,} bytes, more than {LARGEST:,}")
    return True


def read_bytes(file: Path, start: int, size: int) -> bytes:
    """Read some bytes of a file."""
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(size)


def is_pattern(path: str) -> bool:
    """Whether a path is no file but a pattern, which may name several files."""
    return not user_path(path).exists() and (
        bool(BRACES.search(path)) or "*" in path or "?" in path
    )


def matching_files(path: str) -> list[Path]:
    """The files that a path or pattern names, in order. Raises ValueError if one is missing."""
    matches = []
    for name in expand_braces(str(user_path(path))) if is_pattern(path) else [path]:
        named = sorted(glob.glob(name.replace("[", "[[]"))) if is_pattern(name) else [name]
        files = [file for each in named if (file := user_path(each)).is_file()]
        matches += files
        if not files:
            wanted = "a zip or tar file, or a pattern of some (*, ?, {000..012})"
            raise ValueError(f"path must be {wanted}, but there is none at {name!r}")
    return list(dict.fromkeys(matches))


def expand_braces(pattern: str) -> Iterator[str]:
    """Yield a pattern for each number in braces, as wide as the first number is written."""
    braces = BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    first, last = braces.groups()
    if int(first) > int(last):
        raise ValueError(f"numbers in braces must rise, but path is {pattern!r}")
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    for number in range(int(first), int(last) + 1):
        yield from expand_braces(f"{before}{number:0{len(first)}d}{after}")
