"""Images in zip or tar files, read where they lie; nothing is unpacked, no link leads outside."""

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from ddpm_cli.data.sources.file_kinds import files_left_out, is_image_name
from ddpm_cli.data.sources.folders import folder_classes
from ddpm_cli.data.sources.pages import source_of_pages
from ddpm_cli.data.sources.source import Source, files_version
from ddpm_cli.data_files.labels import (
    DATASET_TOOL,
    Pages,
    Rules,
    labels_of_dataset_tool,
    number_classes,
)
from ddpm_cli.data_files.members import BROKEN, archive_members
from ddpm_cli.files import user_path
from ddpm_cli.images import open_image

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")  # a range of shards in the notation of WebDataset


@dataclass(frozen=True)
class ArchiveListing:
    """The images of an archive by name, their labels if it holds any, and its other files."""

    file: Path
    names: list[str]
    reads: list[Callable[[], bytes]]
    labels: Sequence[str | None] | None
    others: list[str]


def archive(*, path: str, pages: Pages = "first", rules: Rules = 2) -> Source:
    """All images in an archive, or in several by a pattern, in the order of their names.

    Images of compressed tar files are kept in memory. Classes are the texts of KEY.cls beside
    KEY.jpg (as in a WebDataset) or the labels of a dataset.json (of NVlabs' dataset_tool), if any;
    else the folders, if there are several. pages: the pages of a file that are images.
    rules: the version of the rules by which images and classes are read.
    """
    files = matching_files(path)
    listings = [list_archive(file, rules) for file in files]
    remarks = files_left_out((name for each in listings for name in each.others), rules)
    names = [name for each in listings for name in each.names]
    if not names:
        more = "".join(f"; {label} {text}" for label, text in remarks)
        raise ValueError(f"path must hold images (.jpg, .png, ...), but {path!r} holds none{more}")
    if folders := all(each.labels is None for each in listings):
        places, texts, more_remarks = folder_classes(names, rules)
        remarks += more_remarks
    else:
        places = range(len(names))
        texts = [text for each in listings for text in each.labels or [None] * len(each.names)]
    homes = [each.file for each in listings for _ in each.names]
    reads = [read for each in listings for read in each.reads]
    numbers, classes = number_classes(texts, rules, folders=folders)
    source = Source(
        len(places),
        lambda index: open_member(reads[places[index]]),
        lambda index: f"{names[places[index]]!r} in {str(homes[places[index]])!r}",
        numbers,
        classes,
        lambda: files_version(map(str, files)),
        rules=rules,
        remarks=remarks,
    )
    return source if pages == "first" else source_of_pages(source, [names[each] for each in places])


def open_member(read: Callable[[], bytes]) -> Image.Image:
    """Open the image in a member of an archive."""
    try:
        return open_image(BytesIO(read()))
    except OSError:  # its number tells a fault of the image from one of the machine
        raise
    except BROKEN as error:
        raise ValueError(str(error)) from error


def list_archive(file: Path, rules: Rules) -> ArchiveListing:
    """List the images in an archive, with the texts of .cls files or of a dataset.json."""
    listing = DATASET_TOOL if rules == 2 else None
    try:
        members = archive_members(
            file,
            lambda name: is_image_name(name, rules) or name.endswith(".cls") or name == listing,
        )
        images = {name: read for name, read in members if read and is_image_name(name, rules)}
        texts = {
            example_key(name): read().decode().strip() or None
            for name, read in members
            if read and name.endswith(".cls")
        }
        labels: Sequence[str | None] | None = None
        if any(texts.values()):
            labels = [texts.get(example_key(name)) for name in images]
        elif read := dict(members).get(DATASET_TOOL):
            labels = labels_of_dataset_tool(read(), list(images))
    except BROKEN as error:
        reason = f"{str(file)!r} cannot be read as one: {error}"
        raise ValueError(f"path must be a zip or tar file, but {reason}") from error
    others = [name for name, read in members if read is None]
    return ArchiveListing(file, list(images), list(images.values()), labels, others)


def example_key(name: str) -> str:
    """The key of an example in a WebDataset: its path up to the first dot of the file's name."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


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
