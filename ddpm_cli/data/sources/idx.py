"""A set of IDX files, such as MNIST and its kin (LeCun et al. 1998)."""

from dataclasses import replace
from pathlib import Path

from ddpm_cli.data.sources.arrays import arrays
from ddpm_cli.data.sources.concatenation import class_list, open_splits
from ddpm_cli.data.sources.hub import hub
from ddpm_cli.data.sources.source import Source
from ddpm_cli.data_files.idx import is_idx
from ddpm_cli.files import user_path

ALIASES = {"test": ("test", "t10k")}  # the names of a split in names of files


def idx(
    *,
    path: str,
    name: str | None = None,
    split: str = "train",
    held_out_split: str | None = None,
    classes: list[str] | None = None,
) -> Source:
    """The images of SPLIT-images-idx3-ubyte in a folder, and the labels of SPLIT-labels-idx1-ubyte.

    The files may be gzipped, and the split test may be called t10k. name: the data set of the hub
    with the same images, which is read if the folder has no such files. held_out_split: another
    split, whose images are held out of training. classes: the names of the classes, by number.
    """
    folder = user_path(path)
    if name is None or images_file(folder, split):

        def read(part: str) -> Source:
            return name_classes(arrays(path=str(existing_images(folder, part))), classes)

        remark = f"the IDX files in {path!r}"
        source = open_splits(read, split, held_out_split)
    else:
        absence = f"no IDX files of the split {split!r} are in {path!r}"
        try:
            source = hub(name=name, split=split, held_out_split=held_out_split)
        except ValueError as error:
            raise ValueError(f"{error}; and {absence}") from error
        source, remark = name_classes(source, classes), f"{name!r} of the hub: {absence}"
    return replace(source, remarks=[("read", remark), *source.remarks])


def images_file(folder: Path, split: str) -> Path | None:
    """The IDX file of a split's images, if there is one."""
    stems = (
        f"{alias}-images{dot}idx3-ubyte" for alias in ALIASES.get(split, (split,)) for dot in "-."
    )
    files = (folder / f"{stem}{suffix}" for stem in stems for suffix in ("", ".gz"))
    return next(filter(is_idx, files), None)


def existing_images(folder: Path, split: str) -> Path:
    """The IDX file of a split's images. Raises ValueError if there is none."""
    if file := images_file(folder, split):
        return file
    wanted = f"{ALIASES.get(split, (split,))[-1]}-images-idx3-ubyte, gzipped or not"
    rule = f"path must be a folder with the IDX files of the split {split!r} ({wanted})"
    raise ValueError(f"{rule}, but {str(folder)!r} holds none")


def name_classes(source: Source, names: list[str] | None) -> Source:
    """A source with other names of its classes, by the numbers that its labels have."""
    if names is None or source.labels is None:
        return source
    read, numbers = source.labels, list(range(len(source.classes)))
    if all(map(str.isdecimal, source.classes)):
        numbers = [int(each) for each in source.classes]
    if max(numbers) >= len(names) or len({*names}) < len(names):
        rule = f"classes must be {max(numbers) + 1:,} different names or more"
        raise ValueError(f"{rule}, but are {class_list(names)}")

    def labels() -> list[int | None]:
        return [None if each is None else numbers[each] for each in read()]

    return replace(source, classes=names, labels=labels)
