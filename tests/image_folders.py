"""Folders of small images, and the names that a source gives to the images."""

from PIL import Image

from ddpm_cli.data import Preparation

GREY = Preparation(size=4, channels=1, flip=False)


def tree(root, names):
    """A folder with these images."""
    for level, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), level).save(root / name, "png")
    return root


def names(source, root):
    return [source.name(index).removeprefix(f"{root}/") for index in range(source.count)]
