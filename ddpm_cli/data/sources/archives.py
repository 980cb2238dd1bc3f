"""Images in zip or tar files, read where they lie: nothing is unpacked, no link out of them is followed."""

import lzma
import os
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
from ddpm_cli.data.sources.shards import matching_files
from ddpm_cli.data.sources.source import Source
from ddpm_cli.data.sources.versions import files_version

LARGEST = 2**30  # bytes of an image
Member: TypeAlias = tuple[str, Callable[[], bytes]]
BROKEN = (
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def archive(*, path: str) -> Source:
    """All images in an archive, or in several by a pattern, in the order of their names; compressed tar files are kept in memory.

    Classes are what a KEY.cls says beside KEY.jpg (as in a WebDataset), if there is any such, else folders where there are several.
    """
    files = matching_files(path)
    members = [(file, *member) for file in files for member in image_members(file)]
    if not members:
        raise ValueError(f"path must hold images (.jpg, .png, ...), but {path!r} holds none")
    places, names, reads, said = zip(*members, strict=True)
    found, classes = (said, class_order(said)) if any(said) else folder_classes(names)

    def opened(index: int) -> Image.Image:
        try:
            return Image.open(BytesIO(reads[index]()))
        except OSError:  # which says itself whether the image or the machine is to blame
            raise
        except BROKEN as error:
            raise ValueError(str(error)) from error

    def name(index: int) -> str:
        return f"{names[index]!r} in {str(places[index])!r}"

    labels = (lambda: class_numbers(found, classes)) if classes else None
    return Source(
        len(members), opened, name, labels, classes, lambda: files_version(map(str, files))
    )


def image_members(file: Path) -> list[tuple[str, Callable[[], bytes], str | None]]:
    """The images in an archive, by name, and what the .cls beside each says."""
    try:
        members = sorted(
            dict(zip_members(file) if zipfile.is_zipfile(file) else tar_members(file)).items()
        )  # of one name the last, as when unpacked
        labels = {
            example_key(name): read().decode().strip() or None
            for name, read in members
            if name.endswith(".cls")
        }
    except BROKEN as error:
        raise ValueError(
            f"path must be a zip or tar file, but {str(file)!r} cannot be read as one: {error}"
        ) from error
    return [
        (name, read, labels.get(example_key(name)))
        for name, read in members
        if not name.endswith(".cls")
    ]


def example_key(name: str) -> str:
    """What the files of an example share in a WebDataset: the name up to the first dot of its last part."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def zip_members(file: Path) -> Iterator[Member]:
    """The images and labels in a zip, which each process opens for itself: those that share a file share its position."""
    handles = {os.getpid(): zipfile.ZipFile(file)}

    def content(each: zipfile.ZipInfo) -> bytes:
        if os.getpid() not in handles:
            handles[os.getpid()] = zipfile.ZipFile(file)
        return handles[os.getpid()].read(each)

    members = handles[os.getpid()].infolist()
    yield from (
        (each.filename, partial(content, each))
        for each in members
        if is_wanted(each.filename, each.file_size)
    )


def tar_members(file: Path) -> Iterator[Member]:
    """The images and labels in a tar."""
    with tarfile.open(file) as opened:
        plain = isinstance(opened.fileobj, BufferedReader)
        for each in opened:
            if (each.isfile() or each.islnk()) and is_wanted(each.name, each.size):
                content = (
                    None
                    if plain and each.isreg() and not each.issparse()
                    else opened.extractfile(each)
                )
                yield (
                    each.name,
                    partial(bytes, content.read())
                    if content
                    else partial(read_piece, file, each.offset_data, each.size),
                )
        whole: Any = opened.fileobj
        whole.seek(opened.offset)
        rest = whole.read(
            2**20
        )  # tarfile takes a damaged header, and where the file is cut off, for the end
        if not rest or any(rest):
            raise ValueError(f"it is damaged or cut off at byte {opened.offset:,}")


def is_wanted(name: str, size: int) -> bool:
    """Whether a file is an image or a label by its name, not hidden and no folder; ValueError where it is larger than any."""
    *folders, last = PurePosixPath(name).parts or ("",)
    hidden = last.startswith(".") or any(
        part.startswith((".", "__")) for part in folders
    )  # __MACOSX
    if hidden or name.endswith("/") or not (is_image_name(last) or last.endswith(".cls")):
        return False
    if size > LARGEST:
        raise ValueError(f"{name!r} in it would take {size:,} bytes, more than {LARGEST:,}")
    return True


def read_piece(file: Path, start: int, size: int) -> bytes:
    """Some bytes of a file."""
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(size)
