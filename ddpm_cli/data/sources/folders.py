"""Images in a folder and its subfolders."""

import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

from ddpm_cli.data.sources.labels import class_numbers, labels_from_file
from ddpm_cli.data.sources.source import Rules, Source, files_version
from ddpm_cli.images import open_image

EXTENSIONS = frozenset(ImageFolder.EXTENSIONS)


def folder(*, path: str, labels: str | None = None, rules: Rules = 2) -> Source:
    """All images in a folder and its subfolders; the subfolders' names are the classes.

    There are classes if the images lie equally deep in several subfolders. labels: a CSV or JSONL
    file with file_name (relative to the folder) and label, which gives other classes.
    rules: the version of the rules by which images and classes are read.
    """
    root = os.path.abspath(os.path.expanduser(path))
    if not path or not os.path.isdir(root):
        raise ValueError(f"path must be a folder, but there is none at {path!r}")
    try:
        names = sorted(walk_images(root))
    except OSError as error:
        reason = f"{error.filename!r} cannot: {error.strerror}"
        raise ValueError(f"path must be a folder that can be read, but {reason}") from error
    if not names:
        wanted = "images (.jpg, .png, ...), in it or in folders below"
        raise ValueError(f"path must hold {wanted}, but {path!r} holds none")
    texts, classes = folder_classes(names) if labels is None else labels_from_file(labels, names)
    files = [os.path.join(root, name) for name in names]
    return Source(
        len(names),
        lambda index: open_image(files[index]),
        files.__getitem__,
        (lambda: class_numbers(texts, classes)) if classes else None,
        classes,
        lambda: files_version(names, root),
        rules=rules,
    )


def walk_images(root: str, inside: str = "") -> Iterator[str]:
    """Yield the names of the images below a folder, dead links included; follow no folder links."""
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
    """Whether a name is the name of a visible image file."""
    hidden = os.path.basename(name).startswith(".")
    return not hidden and os.path.splitext(name)[1].lower() in EXTENSIONS


def folder_classes(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The folder name of each image, and the classes.

    There are classes if the images lie equally deep in several folders.
    """
    paths = [PurePosixPath(name) for name in names]
    folders = [path.parent.name for path in paths]
    equally_deep = len({len(path.parts) for path in paths}) == 1
    return folders, sorted({*folders}) if equally_deep and len({*folders}) > 1 else []
