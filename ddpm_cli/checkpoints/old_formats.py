"""Formats 1 to 4: a zip archive of one pickle and its tensors, as `torch.save` wrote them.

Python's zipfile is the only reader of the archive.
"""

import struct
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ddpm_cli.checkpoints.plain_pickle import read_pickle
from ddpm_cli.checkpoints.safetensors_file import (
    FORMAT,
    LONGEST_NAME,
    MOST_TENSORS,
    DamagedError,
    check_format,
)
from ddpm_cli.checkpoints.tensor_names import split_optimizer, tensors_by_name
from ddpm_cli.config.build import FAILURES

TYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
ENCRYPTED = 1
PARTS_OF = {
    "network": "network",
    "ema": "ema",
    "loss": "loss",
    "history": "history.train_times",
    "verdict": "history.verdict",
}
FACTS = ("shape", "classes", "steps", "lr_scale", "skipped")
UNKNOWN: dict[str, Any] = {
    **{"overrides": None, "config_dir": None, "verdict": ""},
    **{"rules": 1, "randomness": 1},
}
END = struct.Struct("<4s4H2LH")  # the end record: mark, disks, counts, size, offset, comment
END_64 = struct.Struct("<4sQ2H2L4Q4s16x")  # its twin with wide numbers, and the twin's locator
UNREADABLE = (zipfile.BadZipFile, struct.error, EOFError, *FAILURES)
Content: TypeAlias = Mapping[str, Any]


def is_old_file(path: Path) -> bool:
    """Whether a file begins as a zip archive does."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read_old_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The fields and the tensors of a file of format 1 to 4, as format 5 has them."""
    try:
        with zipfile.ZipFile(path) as archive:
            folder, names = check_archive(archive, path), set[str]()
            text = archive.read(f"{folder}data.pkl")
            content = read_pickle(text, partial(read_storage, archive, folder, names))
    except UNREADABLE as error:
        why = str(error) if isinstance(error, DamagedError) else "not an archive of ddpm-train"
        raise DamagedError(why) from error
    number = content.get("format") if isinstance(content, dict) else None
    if type(number) is not int or number < 1 or number == FORMAT:  # no archive is of format 5
        raise ValueError("it is not a checkpoint of ddpm-train")
    while number in MIGRATIONS:
        content, number = MIGRATIONS[number](content), number + 1
    check_format(number)
    fields = dict(content)
    tensors = fields.pop("tensors")
    if sum(tensor.nbytes for tensor in tensors.values()) > path.stat().st_size:
        raise DamagedError("its tensors share their numbers")
    return fields, tensors


def check_archive(archive: zipfile.ZipFile, path: Path) -> str:
    """Check an archive and return its folder. Raises DamagedError if readers could differ."""
    size, members, names = path.stat().st_size, archive.infolist(), archive.namelist()
    with path.open("rb") as file:
        file.seek(max(0, size - END.size - END_64.size))
        tail = file.read()
    *_, count, length, offset, comment = END.unpack(tail[-END.size :])
    place = size - END.size
    if tail[:4] == b"PK\x06\x06" and tail[56:60] == b"PK\x06\x07":
        *_, count, length, offset, _ = END_64.unpack(tail[: END_64.size])
        place -= END_64.size
    if offset + length != place or count != len(members) or comment:
        raise DamagedError("the archive's directory is not at its end")
    prefix, folded = names[0].partition("/")[0], {name.casefold() for name in names}
    pickles = [name for name in names if name.casefold().endswith("pkl")]
    if len(folded) < len(names) or pickles != [f"{prefix}/data.pkl"]:
        raise DamagedError("the archive holds equal names, or not one pickle")
    stored = all(
        each.compress_type == zipfile.ZIP_STORED and not each.flag_bits & ENCRYPTED
        for each in members
    )
    if not stored or sum(each.file_size for each in members) > size:
        raise DamagedError("the archive is compressed or encrypted")
    return f"{prefix}/"


def read_storage(archive: zipfile.ZipFile, folder: str, names: set[str], pid: Any) -> Tensor:
    """The numbers of a storage that no other tensor uses. names: of the storages used so far."""
    if len(pid) != 5 or not all(type(each) in (str, int) for each in pid):
        raise DamagedError("a storage has no name")
    _, kind, key, _, count = pid
    if kind not in TYPES or key in names:
        raise DamagedError("a storage is of a foreign type, or is used twice")
    names.add(key)
    info = archive.getinfo(f"{folder}data/{key}")
    numbers = torch.empty(info.file_size, dtype=torch.uint8)
    with archive.open(info) as file:
        file.readinto(numbers.numpy().data)  # type: ignore[attr-defined]
        file.read(1)  # checks the member's checksum
    numbers = numbers.view(TYPES[kind])
    if len(numbers) != count:
        raise DamagedError("a storage is not of its size")
    return numbers


def with_scaler_and_counts(content: Content) -> Content:
    """Format 2 adds fp16's scaler, the skipped steps, and optimizer state for every parameter."""
    facts, optimizer = content.get("facts"), content.get("optimizer")
    facts = {"lr_scale": 1.0, "skipped": 0, **facts} if isinstance(facts, dict) else facts
    if optimizer == {} and isinstance(content.get("network"), dict):  # before the first step
        optimizer = {number: {} for number in range(len(content["network"]))}
    return {**content, "format": 2, "scaler": {}, "facts": facts, "optimizer": optimizer}


def with_loss_and_history(content: Content) -> Content:
    """Format 3 adds parameters of the loss, and the history of losses of the sampler of times."""
    return {**content, "format": 3, "loss": {}, "history": {}}


def with_stream(content: Content) -> Content:
    """Format 4 adds the position of every process in the stream; the first files had no verdict."""
    return {"verdict": {}, **content, "format": 4, "stream": []}


def with_tensors_by_name(content: Content) -> Content:
    """Format 5 has one table of tensors, and the facts as fields of their own."""
    groups = {new: dictionary(content, old, Tensor) for old, new in PARTS_OF.items()}
    optimizer, facts = dictionary(content, "optimizer", dict), dictionary(content, "facts", object)
    states = [dictionary(optimizer, number, object) for number in optimizer]
    if sum(map(len, [*groups.values(), *states])) > MOST_TENSORS:
        raise ValueError(f"it holds more than {MOST_TENSORS:,} tensors")
    tensors, rest = split_optimizer(optimizer)
    tensors |= tensors_by_name(groups)
    own = {
        name: content.get(name) for name in ("config", "step", "environment", "scaler", "stream")
    }
    own |= {name: facts.get(name) for name in FACTS}
    own |= {"fingerprint": content.get("data"), "optimizer": rest, "tensors": tensors}
    return {**UNKNOWN, **own}


def dictionary(content: Mapping[Any, Any], name: Any, kind: type) -> dict[Any, Any]:
    """Check and return a part of a content. Raises ValueError for other keys, values and types."""
    part, key = content.get(name), int if name == "optimizer" else str
    if not isinstance(part, dict) or not all(
        type(each) is key and isinstance(value, kind) and len(str(each)) < LONGEST_NAME
        for each, value in part.items()
    ):
        raise ValueError(f"{str(name)!r} is missing or not what it should be")
    return part


MIGRATIONS: dict[int, Callable[[Content], Content]] = {
    1: with_scaler_and_counts,
    2: with_loss_and_history,
    3: with_stream,
    4: with_tensors_by_name,
}
