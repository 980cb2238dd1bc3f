"""Tensors by name in a file of another program, safetensors or `torch.save`'s, without its code."""

import os
import zipfile
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ddpm_cli.checkpoints.old_formats import UNREADABLE, check_archive, is_old_file, read_storage
from ddpm_cli.checkpoints.plain_pickle import read_pickle, rebuild
from ddpm_cli.checkpoints.safetensors_file import (
    LONGEST_NAME,
    METADATA,
    MOST_BYTES,
    MOST_TENSORS,
    DamagedError,
    check_places,
    file_size,
    parse_json,
)

State: TypeAlias = dict[str, Tensor]
PICKLE = b"\x80"  # the first byte of a pickle that is in no archive
BEFORE_ARCHIVES = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch's magic number, as a pickle
MOST_READS = 5  # of a file that another program replaces
REMEDY = "save net.state_dict() as safetensors with its own program"
SHOWN = 3  # names in a message


def read_weights(path: Path) -> State:
    """The tensors of a file by their names, as fp32; a safetensors file is mapped, not read.

    Raises ValueError for a file that holds anything else, or would run code.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(BEFORE_ARCHIVES))
        if begin == BEFORE_ARCHIVES:
            raise DamagedError("it is of torch's format before 1.6")
        if begin.startswith(PICKLE):
            raise DamagedError("a bare pickle runs code")
        state = read_archive(path) if is_old_file(path) else read_safetensors(path)
        if sum(tensor.nbytes for tensor in state.values()) > path.stat().st_size:
            raise DamagedError("its tensors share their numbers")
    except DamagedError as error:
        rule = f"{str(path)!r} is no plain table of tensors ({error})"
        raise ValueError(f"{rule}: {REMEDY}") from error
    return {name: tensor.float() for name, tensor in state.items()}


def read_archive(path: Path) -> State:
    """The state dict in an archive of `torch.save`. Raises DamagedError for other content."""
    storages, names = dict[Any, Tensor](), set[str]()

    def storage(archive: zipfile.ZipFile, folder: str, pid: Any) -> Tensor:
        if pid not in storages:  # networks trained in fp16 share one storage
            storages[pid] = read_storage(archive, folder, names, pid)
        return storages[pid]

    try:
        with zipfile.ZipFile(path) as archive:
            folder = check_archive(archive, path)
            text = archive.read(f"{folder}data.pkl")
            content = read_pickle(text, partial(storage, archive, folder), rebuild_weights)
    except UNREADABLE as error:
        why = str(error) if isinstance(error, DamagedError) else "it is damaged, or no archive"
        raise DamagedError(why) from error
    if not isinstance(content, dict) or not content or len(content) > MOST_TENSORS:
        raise DamagedError("it holds no dictionary of tensors")
    foreign = [str(name)[:40] for name, each in content.items() if not is_weight(name, each)]
    if foreign:
        more = f" and {len(foreign) - SHOWN} more" * (len(foreign) > SHOWN)
        raise DamagedError(f"it holds {', '.join(foreign[:SHOWN])}{more} beside tensors")
    return content


def rebuild_weights(name: Any, args: Any) -> Any:
    """The result of a call in a pickle; a parameter is its tensor, attributes are dropped."""
    if name == "torch._utils _rebuild_parameter" and isinstance(args[0], Tensor):
        return args[0]
    if name == "BUILD" and all(isinstance(each, dict) for each in args):
        return args[0]
    try:
        return rebuild(name, args)
    except DamagedError as error:
        raise DamagedError(f"{error}, {str(name)[:40]}, which would run code") from error


def is_weight(name: Any, value: Any) -> bool:
    """Whether an entry is a tensor of real numbers with a name."""
    named = type(name) is str and len(name) <= LONGEST_NAME and name.isprintable()
    return named and isinstance(value, Tensor) and value.is_floating_point()


def read_safetensors(path: Path) -> State:
    """The tensors of a safetensors file of any program.

    Raises DamagedError for other files, and if another program replaces the file at every read.
    """
    for _ in range(MOST_READS):
        with path.open("rb") as opened:
            names = tensor_names(opened)
            try:
                with safe_open(path, framework="pt") as file:
                    state = {name: file.get_tensor(name) for name in names}
            except (SafetensorError, RuntimeError) as error:
                raise DamagedError("it is damaged") from error
            if os.path.samestat(path.stat(), os.fstat(opened.fileno())):
                break
    else:
        raise DamagedError("another program replaces it while it is read")
    if foreign := [name for name, each in state.items() if not is_weight(name, each)]:
        raise DamagedError(f"{foreign[0][:40]} is no tensor of real numbers")
    return state


def tensor_names(file: BufferedIOBase) -> list[str]:
    """The names in the header of a safetensors file. Raises DamagedError for other files."""
    size = file_size(file)
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(MOST_BYTES, size - 8):
        raise DamagedError("it is neither safetensors nor an archive of torch.save")
    header = parse_json(file.read(length))
    if not isinstance(header, dict):
        raise DamagedError("its header is no table")
    check_places(header, size - 8 - length)
    return sorted(header.keys() - {METADATA})
