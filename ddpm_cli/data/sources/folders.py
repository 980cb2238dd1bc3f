"""Images in a folder and its subfolders."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ddpm_cli.data.sources.concatenation import open_splits
from ddpm_cli.data.sources.file_kinds import files_left_out, is_image_name
from ddpm_cli.data.sources.pages import source_of_pages
from ddpm_cli.data.sources.source import Source, files_version
from ddpm_cli.data_files.labels import (
    DATASET_TOOL,
    LARGEST_LISTING,
    Pages,
    Remarks,
    Rules,
    labels_from_file,
    labels_of_dataset_tool,
    number_classes,
)
from ddpm_cli.data_files.walk import FolderWalk, listed_names
from ddpm_cli.images import open_image

STRAY = 0.2  # the largest share of images beside class folders that does not take the classes away


def folder(
    *,
    path: str,
    held_out_split: str | None = None,
    labels: str | None = None,
    pages: Pages = "first",
    rules: Rules = 2,
) -> Source:
    """All images in a folder, its subfolders and linked folders; subfolders' names are the classes.

    There are classes if the images lie equally deep in several subfolders; a few that lie elsewhere
    are left out. held_out_split: the subfolder of images that are held out of training, whose
    images are then those of the subfolder train. labels: a CSV or JSONL file with file_name
    (relative to the folder) and label, which gives other classes, as a dataset.json of NVlabs'
    dataset_tool does. pages: the pages of a file that are images. rules: the version of the rules
    by which images and classes are read.
    """
    if held_out_split is None:
        return whole_folder(path, labels, pages, rules)
    if labels is not None:
        raise ValueError(f"labels must be null with held_out_split, but is {labels!r}")
    return open_splits(
        lambda split: whole_folder(os.path.join(path, split), None, pages, rules),
        "train",
        held_out_split,
    )


def whole_folder(path: str, labels: str | None, pages: Pages, rules: Rules) -> Source:
    """The images in a folder, as `folder` says."""
    root = os.path.abspath(os.path.expanduser(path))
    if not path or not os.path.isdir(root):
        raise ValueError(f"path must be a folder, but there is none at {path!r}")
    names, remarks = folder_images(path, root, rules)
    places: Sequence[int] = range(len(names))
    listing = Path(root, DATASET_TOOL)
    texts: Sequence[str | None] | None = None
    if labels is not None:
        texts = labels_from_file(labels, names, rules)
    elif rules == 2 and listing.is_file():
        with listing.open("rb") as file:
            texts = labels_of_dataset_tool(file.read(LARGEST_LISTING + 1), names)
    if folders := texts is None:
        places, texts, more = folder_classes(names, rules)
        remarks += more
    numbers, classes = number_classes(texts, rules, folders=folders)
    names = [names[each] for each in places]
    files = [os.path.join(root, name) for name in names]
    source = Source(
        len(names),
        lambda index: open_image(files[index]),
        files.__getitem__,
        numbers,
        classes,
        lambda: files_version(names, root),
        rules=rules,
        remarks=remarks,
    )
    return source if pages == "first" else source_of_pages(source, names)


def folder_images(path: str, root: str, rules: Rules) -> tuple[list[str], Remarks]:
    """The names of the images in a folder, in order, and remarks.

    Raises ValueError if there are no images.
    """
    walk = FolderWalk(root)
    try:
        every = sorted([*walk.files(), *(walk.linked_files() if rules == 2 else ())])
    except OSError as error:
        reason = f"{error.filename!r} cannot: {error.strerror}"
        raise ValueError(f"path must be a folder that can be read, but {reason}") from error
    names = [name for name in every if is_image_name(name, rules)]
    remarks = [*walk.remarks(), *files_left_out(every, rules)]
    if not names:
        wanted = "images (.jpg, .png, ...), in it or in folders below"
        more = "".join(f"; {label} {text}" for label, text in remarks)
        raise ValueError(f"path must hold {wanted}, but {path!r} holds none{more}")
    return names, remarks


def folder_classes(
    names: Sequence[str], rules: Rules
) -> tuple[Sequence[int], Sequence[str | None], Remarks]:
    """The places of the images that are read, the folders of these as classes, and remarks.

    There are classes if the images lie equally deep in several folders; a few images at another
    depth are left out, but with rules=1 no image may lie there.
    """
    folders = [name.split("/")[:-1] for name in names]
    depths = Counter(map(len, folders))
    depth, count = max(depths.items(), key=lambda each: (each[1], each[0]))
    inside = [place for place, each in enumerate(folders) if len(each) == depth]
    classes = [folders[place][-1] for place in inside] if depth else []
    no_classes = range(len(names)), [None] * len(names)
    if len({*classes}) < 2:
        among, where = (
            len({*map(tuple, folders)}),
            f"one called {classes[0]}" if depth else "no folder",
        )
        remark = ("classes", f"none, because most of the images in {among} folders lie in {where}")
        return *no_classes, [remark] if among > 1 else []
    stray = [name for name, each in zip(names, folders, strict=True) if len(each) != depth]
    if len(stray) <= (STRAY * len(names) if rules == 2 else 0):
        where = f"images at another depth than the {count:,} in folders of classes"
        remark = ("left out", f"{len(stray):,} {where}: {listed_names(stray)}")
        return inside, classes, [remark] if stray else []
    where = ", ".join(f"{each:,} at depth {deep}" for deep, each in sorted(depths.items()))
    remark = ("classes", f"none, because the images lie at several depths: {where}")
    return *no_classes, [remark]
