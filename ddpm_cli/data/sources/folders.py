"""Images in a folder, as deep as they lie."""

import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from PIL import Image

from ddpm_cli.data.sources.labels import class_numbers, labels_from_file
from ddpm_cli.data.sources.source import Source
from ddpm_cli.data.sources.versions import files_version

EXTENSIONS = frozenset(ImageFolder.EXTENSIONS)


def folder(*, path: str, labels: str | None = None) -> Source:
    """All images in a folder and the folders in it, whose names are the classes where there are several of one depth.

    `labels` is a CSV or JSONL file with file_name (relative to the folder) and label, whose labels are the classes instead.
    """
    root = os.path.abspath(os.path.expanduser(path))
    if not path or not os.path.isdir(root):
        raise ValueError(f"path must be a folder, but there is none at {path!r}")
    try:
        names = sorted(walk_images(root))
    except OSError as error:
        raise ValueError(
            f"path must be a folder that can be read, but {error.filename!r} cannot: {error.strerror}"
        ) from error
    if not names:
        raise ValueError(
            f"path must hold images (.jpg, .png, ...), in it or in folders below, but {path!r} holds none"
        )
    found, classes = folder_classes(names) if labels is None else labels_from_file(labels, names)
    files = [os.path.join(root, name) for name in names]
    places = (lambda: class_numbers(found, classes)) if classes else None
    return Source(
        len(names),
        lambda index: Image.open(files[index]),
        files.__getitem__,
        places,
        classes,
        lambda: files_version(names, root),
    )


def walk_images(root: str, inside: str = "") -> Iterator[str]:
    """The names of the images below a folder, dead links among them; links to folders are not followed."""
    with os.scandir(os.path.join(root, inside)) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith((".", "__")):
                    yield from walk_images(root, f"{inside}{entry.name}/")
            elif is_image_name(entry.name) and (
                entry.is_file() or (entry.is_symlink() and not entry.is_dir())
            ):
                yield inside + entry.name


def is_image_name(name: str) -> bool:
    """Whether a file is an image by its name, and not hidden."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS and not os.path.basename(
        name
    ).startswith(".")


def folder_classes(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The name of each image's folder, and the classes: these where the images lie equally deep in several, else none."""
    paths = [PurePosixPath(name) for name in names]
    folders = [path.parent.name for path in paths]
    several = len({len(path.parts) for path in paths}) == 1 < len({*folders})
    return folders, sorted({*folders}) if several else []
