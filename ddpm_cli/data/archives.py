"""Images in a zip or tar file, read where they lie: nothing is unpacked, no link out of it is followed."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from PIL import Image

from ddpm_cli.data.sources import Source

LARGEST = 2**30  # bytes of an image
Member: TypeAlias = tuple[str, Callable[[], bytes]]
BROKEN = (OSError, EOFError, LookupError, RuntimeError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


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
    depths = {len(PurePosixPath(name).parts) for name, _ in members}  # several are no classes for `folder` either
    classes = sorted(set(folders)) if len(depths) == 1 < len(set(folders)) else []

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
            if (each.isfile() or each.islnk()) and wanted(each.name, each.size):
                content = None if plain and each.isreg() and not each.issparse() else opened.extractfile(each)
                yield each.name, partial(bytes, content.read()) if content else partial(piece, file, each.offset_data, each.size)
        whole: Any = opened.fileobj
        whole.seek(opened.offset)
        rest = whole.read(2**20)  # tarfile takes a damaged header, and where the file is cut off, for the end
        if not rest or any(rest):
            raise ValueError(f"it is damaged or cut off at byte {opened.offset:,}")


def wanted(name: str, size: int) -> bool:
    """Whether a file is an image by its name, not hidden and no folder; ValueError where it is larger than any."""
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__")) for part in path.parts)  # __MACOSX
    if hidden or name.endswith("/") or path.suffix.lower() not in ImageFolder.EXTENSIONS:
        return False
    if size > LARGEST:
        raise ValueError(f"{name!r} in it would take {size:,} bytes, more than {LARGEST:,}")
    return True


def piece(file: Path, start: int, size: int) -> bytes:
    """Some bytes of a file."""
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(size)
