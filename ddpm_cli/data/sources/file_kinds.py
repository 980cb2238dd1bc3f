"""Kinds of files by their names: images that can be read, and other pictures and films."""

import os
from collections import Counter
from collections.abc import Iterable
from functools import cache

from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from PIL import Image, features

from ddpm_cli.data_files.labels import Remarks, Rules
from ddpm_cli.images import known_formats

EXTENSIONS = frozenset(ImageFolder.EXTENSIONS)  # with rules=1
CODECS = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}  # this Pillow may lack them
HEIF = (".heic", ".heics", ".heif", ".heifs", ".hif")
RAW = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mrw .nef .nrw .orf .pef .raf .raw .rw2 .srw"
)
PICTURES = ".ai .bpg .cdr .cur .dcm .djvu .emf .eps .exr .fit .fits .hdr .jbig .jxl .jxr .kra .nii"
MORE = ".pdf .pic .pict .ps .psb .svg .svgz .wdp .wmf .xcf"
FILMS = ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv"
OTHERS = frozenset(f"{RAW} {PICTURES} {MORE} {FILMS}".split())


@cache
def readable_extensions(rules: Rules) -> frozenset[str]:
    """The extensions of the images that are read."""
    if rules == 1:
        return EXTENSIONS
    formats = {
        name for name in known_formats() if name not in CODECS or features.check(CODECS[name])
    }
    return frozenset(
        extension for extension, name in Image.registered_extensions().items() if name in formats
    )


def is_image_name(name: str, rules: Rules) -> bool:
    """Whether a name is the name of a visible image file."""
    hidden = os.path.basename(name).startswith(".")
    return not hidden and extension(name) in readable_extensions(rules)


def extension(name: str) -> str:
    """The extension of a file's name, in small letters."""
    return os.path.splitext(name)[1].lower()


def files_left_out(names: Iterable[str], rules: Rules) -> Remarks:
    """The remark on pictures and films among these names that are not read, if there are any."""
    readable = readable_extensions(rules)
    known = (OTHERS | EXTENSIONS | {*HEIF, ".avif", ".avifs"}) - readable
    counts = Counter(each for each in map(extension, names) if each in known)
    by_count = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    kinds = ", ".join(f"{count:,} {each}" for each, count in by_count)
    remedy = " (in the clone, pip install '.[heif]' reads HEIC)" * any(
        each in HEIF for each in counts
    )
    text = f"{counts.total():,} files of kinds that are not read: {kinds}{remedy}"
    return [("left out", text)] if counts else []
