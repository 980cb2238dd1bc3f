"""Generated images as a source: what ddpm-sample or another program has written."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ddpm_cli.console import fact
from ddpm_cli.data import Source, arrays, folder
from ddpm_cli.data.sources.mixture import join_sources
from ddpm_cli.data.sources.source import files_version
from ddpm_cli.files import user_path
from ddpm_cli.generation.store import INDEX, PICTURES, ImageStore
from ddpm_cli.images import open_image

ARRAYS = 8  # files of arrays in memory


def generated_source(text: str) -> Source:
    """The images of an index of `ddpm-sample`, else of .npz files, else of a folder or one file."""
    path = user_path(text)
    if path.is_file():
        return arrays(path=text)
    for store in (ImageStore(path, png=False, npz=True), ImageStore(path, png=True, npz=False)):
        if rows := store.read_rows():
            return indexed_source(store, [rows[index] for index in sorted(rows)])
    if files := sorted(map(str, path.glob("*.npz"))):
        return join_sources([arrays(path=file) for file in files])
    return without_pictures(folder(path=text))


def indexed_source(store: ImageStore, rows: Sequence[dict[str, str]]) -> Source:
    """The images in the rows of an index."""
    kind, root = "npz" if store.npz else "png", store.folder
    files = [str(root / row[kind]) for row in rows]
    names = [row["label"] for row in rows]
    classes = sorted({*names} - {""})
    numbers = {name: number for number, name in enumerate(classes)}
    array = lru_cache(ARRAYS)(lambda file: arrays(path=file))
    return Source(
        len(rows),
        lambda index: (
            array(files[index]).open(int(rows[index]["row"]))
            if store.npz
            else open_image(files[index])
        ),
        lambda index: f"image {rows[index]['index']} in {files[index]}",
        (lambda: [*map(numbers.get, names)]) if classes else None,
        classes,
        lambda: files_version([*files, str(root / INDEX)]),
    )


def without_pictures(source: Source) -> Source:
    """A folder's images, apart from the pictures of many images that `ddpm-sample` writes."""
    names = [Path(source.name(index)).name for index in range(source.count)]
    places = [index for index, name in enumerate(names) if name not in PICTURES]
    if left := sorted({*names} & {*PICTURES}):
        fact("left out", f"{', '.join(left)}: pictures of many images")
    return replace(
        source,
        count=len(places),
        open=lambda index: source.open(places[index]),
        name=lambda index: source.name(places[index]),
        labels=None,
        classes=[],
    )
