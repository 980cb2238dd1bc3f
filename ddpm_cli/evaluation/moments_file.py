"""Means and covariances of features in an .npz file, as the programs that measure FID keep them."""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from ddpm_cli.files import near_path_advice, regular_file, write_atomically
from ddpm_cli.metrics import Extractor, Moments

LARGEST = 2**30  # bytes of an array: a covariance of 11,585 features
SPATIAL = "inception_spatial"  # features that have names of their own in a file, after ADM
NOTES = {"n": "i", "by": "U", "about": "U"}  # what our files say besides, and its kind of values
SHOWN = 8  # names of arrays in a message
ROUNDING = 1e-5  # of covariances, relative to the largest variance
UNREADABLE = (OSError, EOFError, MemoryError, ValueError, RuntimeError, BadZipFile, zlib.error)


@dataclass(frozen=True)
class StoredMoments:
    """Moments of features. n: the number of images; by: the name of the extractor.

    A file of another program names neither. about: the images, in words.
    """

    moments: Moments
    n: int | None = None
    by: str = ""
    about: str = ""

    @property
    def content_hash(self) -> str:
        """The first digits of a hash of the numbers, wherever they lie."""
        numbers = self.moments.mean.numpy().tobytes(), self.moments.covariance.numpy().tobytes()
        return hashlib.blake2b(b"".join(numbers)).hexdigest()[:10]

    def misfit(self, extractor: Extractor, count: int) -> str:
        """The reason why these are not the moments of an extractor's `count` features, or ''."""
        own = len(self.moments.mean)
        if own != count:
            return f"is of {own:,} features, but {extractor.name} gives {count:,}"
        if self.by not in ("", extractor.name):
            return f"is of the features of {self.by}, not of {extractor.name}"
        return ""


def moment_names(features: str) -> tuple[str, str]:
    """The names of mean and covariance in a file."""
    return ("mu_s", "sigma_s") if features == SPATIAL else ("mu", "sigma")


def array_names(path: Path, option: str = "reference") -> list[str]:
    """The names of the arrays in an .npz file, the value of an option.

    Raises ValueError if it cannot be read.
    """
    try:
        with ZipFile(regular_file(path)) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except FileNotFoundError as error:
        advice = near_path_advice(path)
        raise ValueError(f"{option}: there is no file at {str(path)!r}{advice}") from error
    except UNREADABLE as error:
        raise ValueError(f"{option}: {str(path)!r} cannot be read as .npz: {error}") from error


def read_moments(path: Path, features: str, option: str = "reference") -> StoredMoments | None:
    """The moments of features in a file; None if the file has none of these features.

    Raises ValueError if they cannot be those of any features. No pickle is opened.
    """
    own, there = moment_names(features), array_names(path, option)
    if not {*own} & {*there}:
        return None
    if missing := [name for name in own if name not in there]:
        rule = f"{option} must hold {own[0]} and {own[1]}"
        raise ValueError(f"{rule}, but {str(path)!r} lacks {missing[0]}: {held_names(there)}")
    try:
        with ZipFile(path) as archive:
            mean, covariance = (load_member(archive, name) for name in own)
            ending = own[0].removeprefix("mu")
            notes = {
                name: load_member(archive, name + ending)
                for name in NOTES
                if name + ending in there
            }
    except UNREADABLE as error:
        raise ValueError(f"{option}: {str(path)!r} cannot be read: {error}") from error
    where = f"{own[0]} and {own[1]} in {str(path)!r}"
    numbers = checked_moments(mean, covariance, f"{option}: {where}")
    plain = {
        name: array.item()
        for name, array in notes.items()
        if array.ndim == 0 and array.dtype.kind == NOTES[name]
    }
    return StoredMoments(numbers, **plain)


def load_member(archive: ZipFile, name: str) -> NDArray[Any]:
    """An array of an .npz file. Raises ValueError if it is a pickle or too large."""
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > LARGEST:
        raise ValueError(
            f"{name} must be of at most {LARGEST:,} bytes, but is {member.file_size:,}"
        )
    return np.lib.format.read_array(BytesIO(archive.read(member)), allow_pickle=False)


def checked_moments(mean: NDArray[Any], covariance: NDArray[Any], what: str) -> Moments:
    """The moments in two arrays; what: their names and place. Raises ValueError for others."""
    count = len(mean) if mean.ndim == 1 else 0
    if not count or covariance.shape != (count, count):
        shapes = f"{list(mean.shape)} and {list(covariance.shape)}"
        raise ValueError(f"{what} must be [D] and [D, D], but are {shapes}")
    if kinds := [array.dtype for array in (mean, covariance) if array.dtype.kind not in "fiu"]:
        raise ValueError(f"{what} must be finite numbers, but one is of {kinds[0]}")
    first, second = (
        torch.from_numpy(array.astype(np.float64, order="C")) for array in (mean, covariance)
    )
    if not (first.isfinite().all() and second.isfinite().all()):
        raise ValueError(f"{what} must be finite numbers, but are not")
    variances, apart = second.diagonal(), float((second - second.T).abs().max())
    lowest, slack = float(variances.min()), ROUNDING * float(variances.max())
    if lowest < -slack or apart > slack:
        fault = f"its lowest variance is {lowest:.3g}, and its largest asymmetry {apart:.3g}"
        raise ValueError(f"{what} must be a mean and a covariance, but of the latter {fault}")
    return Moments(first, (second + second.T) / 2)


def held_names(names: list[str]) -> str:
    """What a file holds, in words."""
    return f"it holds {', '.join(names[:SHOWN]) or 'nothing'}" + ", ..." * (len(names) > SHOWN)


def write_moments(path: Path, moments: Mapping[str, StoredMoments]) -> None:
    """Write moments by features, under the names that the programs of EDM, ADM and FID read."""
    arrays: dict[str, Any] = {}
    for features, each in moments.items():
        mean, covariance = moment_names(features)
        ending = mean.removeprefix("mu")
        arrays |= {mean: each.moments.mean.numpy(), covariance: each.moments.covariance.numpy()}
        arrays |= {f"{name}{ending}": getattr(each, name) for name in NOTES}
    write_atomically(path, lambda partial: np.savez(partial, **arrays))
