"""Format 5: one safetensors file, with tensors by name and a header of texts.

The header's texts are a checkpoint's fields: the configuration as YAML, other texts as they are,
and the rest as JSON. `checksums` holds the SHA-256 of each part: of its tensors' bytes, in the
order of their names. `checksum` is the SHA-256 of the whole JSON header, tensors and texts, with
this text empty: sorted keys, no spaces, other than ASCII as \\uXXXX.
"""

import hashlib
import json
import math
import os
from collections.abc import Collection, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ddpm_cli.checkpoints.tensor_names import PARTS
from ddpm_cli.files import write_atomically

FORMAT = 5
TEXTS = ("config", "fingerprint", "verdict", "checksum")  # the fields that are not JSON
METADATA = "__metadata__"
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}
MOST_BYTES, MOST_VALUES, MOST_TENSORS = 2**24, 2**21, 50_000  # of a header
MOST_AXES, LONGEST_NAME = 16, 1000  # of a tensor
EMPTY = hashlib.sha256().hexdigest()  # of a part that older files do not know
MARK = '"checksum":"'  # precedes the checksum in the file


class DamagedError(ValueError):
    """The file is damaged, or no checkpoint."""


def check_format(number: object) -> None:
    """Refuse a format other than this one."""
    if type(number) is not int or number != FORMAT:
        known = f"this version reads formats 1 to {FORMAT}: upgrade ddpm-cli"
        raise ValueError(f"its format is {str(number)[:20]}, but {known}")


def write_file(path: Path, fields: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a file of format 5 from contiguous tensors on the CPU, and flush it to the disk."""
    header = {"format": FORMAT, **fields, "checksum": "0" * 64}
    header["checksums"] = {part: checksum(tensors, part) for part in PARTS}
    texts = {
        name: value if name in TEXTS else json.dumps(value, allow_nan=False, ensure_ascii=False)
        for name, value in header.items()
    }

    def fill(partial: Path) -> None:
        mode = partial.stat().st_mode
        try:
            save_file(dict(tensors), partial, texts)
            partial.chmod(mode)  # the library lets nobody else read its files
        except SafetensorError as error:
            raise OSError(str(error)) from error
        with partial.open("r+b") as file:
            content = read_header(
                file, file_size(file)
            )  # the library misses an error of the last bytes
            file.seek(8)
            place = file.read(MOST_BYTES).index(f"{MARK}{texts['checksum']}".encode())
            file.seek(8 + place + len(MARK))
            file.write(header_checksum(content).encode())
            file.flush()
            os.fsync(file.fileno())

    write_atomically(path, fill)


def read_file(path: Path, parts: Collection[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The fields of a file of format 5, and the tensors of some parts, which map the file.

    Verifies the header and these parts. Raises ValueError, OSError or SafetensorError.
    """
    with path.open("rb") as opened:
        header = read_header(opened, file_size(opened))
        names = sorted(name for name in header if name.partition(".")[0] in parts)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in names}
        if not os.path.samestat(path.stat(), os.fstat(opened.fileno())):
            return read_file(path, parts)  # a run in training has replaced it
    fields = header_fields(header)
    sums = fields.pop("checksums", None)
    for part in parts:
        if not isinstance(sums, dict) or sums.get(part, EMPTY) != checksum(tensors, part):
            raise DamagedError(f"the checksum of {part!r} differs")
    return fields, tensors


def header_fields(header: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a header, after a check of its format and its checksum. Raises ValueError."""
    texts = header[METADATA]
    fields = {name: text if name in TEXTS else parse_json(text) for name, text in texts.items()}
    check_format(fields.pop("format", None))
    if fields.pop("checksum", None) != header_checksum(header):
        raise DamagedError("the checksum of the header differs")
    return fields


def checksum(tensors: Mapping[str, Tensor], part: str) -> str:
    """The SHA-256 of the tensors of a part, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(name for name in tensors if name.partition(".")[0] == part):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def header_checksum(header: Mapping[str, Any]) -> str:
    """The SHA-256 of a header in which the text of this checksum is empty."""
    empty = {**header, METADATA: {**header[METADATA], "checksum": ""}}
    text = json.dumps(empty, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_size(file: BufferedIOBase) -> int:
    """The bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def read_header(file: BufferedIOBase, size: int) -> dict[str, Any]:
    """Read the header of a file of `size` bytes.

    Raises ValueError where another reader might see another file.
    """
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= MOST_BYTES:
        raise DamagedError("the length of the header is impossible")
    if size < 8 + length:
        raise DamagedError("the file is cut off within its header")
    header = parse_json(file.read(length))
    texts = header.get(METADATA) if isinstance(header, dict) else None
    if not isinstance(texts, dict) or not all(type(text) is str for text in texts.values()):
        raise DamagedError("the header holds no texts")
    if not all(name.partition(".")[0] in PARTS for name in header.keys() - {METADATA}):
        raise DamagedError("a tensor is of an unknown part")
    check_places(header, size - 8 - length)
    return header


def check_places(header: Mapping[str, Any], size: int) -> None:
    """Check that tensors fill the `size` bytes after a header, without gaps and overlaps."""
    if len(header) > MOST_TENSORS:
        raise DamagedError(f"the header holds more than {MOST_TENSORS:,} tensors")
    places = sorted(place_of(name, header[name]) for name in header.keys() - {METADATA})
    ends = [0, *(end for _, end in places)]
    if [begin for begin, _ in places] != ends[:-1] or ends[-1] < size:
        raise DamagedError("the tensors overlap, or leave a gap")
    if ends[-1] > size:
        raise DamagedError("the file is cut off within its tensors")


def place_of(name: str, entry: Any) -> tuple[int, int]:
    """The first byte of a tensor and the byte after its last. Raises ValueError if impossible."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise DamagedError("a tensor has no type, shape and place")
    kind, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    known = len(name) <= LONGEST_NAME and type(kind) is str and kind in DTYPES
    if not (known and is_counts(shape) and is_counts(place) and len(place) == 2):
        raise DamagedError("a tensor has a long name or an unknown type, or impossible numbers")
    if place[1] - place[0] != math.prod(shape) * DTYPES[kind].itemsize:
        raise DamagedError("a tensor's place is not of the size of its shape")
    return place[0], place[1]


def is_counts(numbers: Any) -> bool:
    """Whether a value is a short list of numbers that are at least 0 and fit into 48 bits."""
    if not isinstance(numbers, list) or len(numbers) > MOST_AXES:
        return False
    return all(type(each) is int and 0 <= each < 2**48 for each in numbers)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of a bounded number of values, without repeated keys, NaN and infinities."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(mapping := dict(pairs)) < len(pairs):
            raise DamagedError("a key comes twice")
        return mapping

    def refuse(constant: str) -> None:
        raise DamagedError(f"{constant} is no number of JSON")

    try:
        text = text if isinstance(text, str) else text.decode()
        if sum(map(text.count, "[{,")) > MOST_VALUES:
            raise DamagedError("the header holds too many values")
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DamagedError("the header is not plain JSON") from error
