"""Images in a zip or tar file, read where they lie: nothing is unpacked, no link is followed."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from PIL import Image

from ddpm_cli.data.sources import Source

LARGEST = 2**30  # bytes of an image
Member: TypeAlias = tuple[str, Callable[[], bytes]]
BROKEN = (OSError, EOFError, RuntimeError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def archive(*, path: str) -> Source:
    """All images in an archive, whose folders are the classes where there are several; compressed tar files are kept in memory."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"path must be a zip or tar file, but there is none at {path!r}")
    try:
        members = sorted(zipped(file) if zipfile.is_zipfile(file) else tarred(file), key=lambda each: each[0])
    except BROKEN as error:
        raise ValueError(f"path must be a zip or tar file, but {path!r} cannot be read as one: {error}") from error
    if not members:
        raise ValueError(f"path must hold images (.jpg, .png, ...), but {path!r} holds none")
    folders = [PurePosixPath(name).parent.name for name, _ in members]
    classes = sorted(set(folders)) if len(set(folders)) > 1 else []

    def opened(index: int) -> Image.Image:
        try:
            return Image.open(BytesIO(members[index][1]()))
        except BROKEN as error:
            raise ValueError(str(error)) from error

    numbers = {name: place for place, name in enumerate(classes)}
    labels = (lambda: [numbers[each] for each in folders]) if classes else None
    return Source(len(members), opened, lambda index: f"{members[index][0]!r} in {path!r}", labels, classes)


def zipped(file: Path) -> Iterator[Member]:
    """The images in a zip."""
    opened = zipfile.ZipFile(file)
    yield from ((each.filename, partial(opened.read, each)) for each in opened.infolist() if wanted(each.filename, each.file_size))


def tarred(file: Path) -> Iterator[Member]:
    """The images in a tar."""
    with tarfile.open(file) as opened:
        plain = isinstance(opened.fileobj, BufferedReader)
        for each in opened:
            if each.isfile() and wanted(each.name, each.size):
                content = None if plain else opened.extractfile(each)
                yield each.name, partial(bytes, content.read()) if content else partial(piece, file, each.offset_data, each.size)
        assert opened.fileobj is not None
        opened.fileobj.seek(opened.offset)
        if any(opened.fileobj.read(2**20)):  # tarfile takes a damaged header for the end
            raise ValueError(f"what stands at byte {opened.offset:,} is damaged")


def wanted(name: str, size: int) -> bool:
    """Whether a file is an image by its name; ValueError where it is larger than any."""
    if PurePosixPath(name).suffix.lower() not in ImageFolder.EXTENSIONS:
        return False
    if size > LARGEST:
        raise ValueError(f"{name!r} in it would take {size:,} bytes, more than {LARGEST:,}")
    return True


def piece(file: Path, start: int, size: int) -> bytes:
    """Some bytes of a file."""
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(size)
