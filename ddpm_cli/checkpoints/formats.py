"""Formats of checkpoint files: what an archive may hold, and how a format becomes the next."""

import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ddpm_cli.config.build import FAILURES

TYPES = "Float Double Half BFloat16 Long Int Short Char Byte Bool"
WRITTEN = {  # the names that `torch.save` pickles
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in TYPES.split()),
}
UNREADABLE = (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, *FAILURES)
Content: TypeAlias = Mapping[str, Any]
FORMAT = 4


def check_archive(path: Path) -> None:
    """Refuse an archive with compressed, repeated or damaged members, or with a foreign name."""
    with zipfile.ZipFile(path) as archive:
        members, names = archive.infolist(), archive.namelist()
        stored = all(each.compress_type == zipfile.ZIP_STORED for each in members)
        size = sum(each.file_size for each in members)
        if not stored or len(set(names)) < len(names) or size > path.stat().st_size:
            raise zipfile.BadZipFile("compressed or repeated members")
        if archive.testzip():
            raise zipfile.BadZipFile("damaged members")
        pickles = [archive.read(name) for name in names if name.endswith("/data.pkl")]
    opcodes = [opcode for each in pickles for opcode in pickletools.genops(each)]
    foreign = {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"} - WRITTEN
    if foreign or any(opcode.name == "STACK_GLOBAL" for opcode, _, _ in opcodes):
        raise pickle.UnpicklingError(f"foreign names: {foreign}")


def with_scaler_and_counts(content: Content) -> Content:
    """Format 2 adds fp16's scaler, the skipped steps, and optimizer state for every parameter.

    A damaged part stays as it is: `faults` finds it in the newest format.
    """
    facts, optimizer, network = (
        content.get("facts"),
        content.get("optimizer"),
        content.get("network"),
    )
    facts = {"lr_scale": 1.0, "skipped": 0, **facts} if isinstance(facts, dict) else facts
    if optimizer == {} and isinstance(network, dict):  # before the first step
        optimizer = {number: {} for number in range(len(network))}
    return {**content, "format": 2, "scaler": {}, "facts": facts, "optimizer": optimizer}


def with_loss_and_history(content: Content) -> Content:
    """Format 3 adds parameters of the loss, the sampler's history of losses, and the verdict."""
    return {**content, "format": 3, "loss": {}, "history": {}, "verdict": {}}


def with_stream(content: Content) -> Content:
    """Format 4 adds the position of every process in the stream."""
    return {**content, "format": 4, "stream": []}


MIGRATIONS: dict[int, Callable[[Content], Content]] = {
    1: with_scaler_and_counts,
    2: with_loss_and_history,
    3: with_stream,
}


def to_newest_format(content: Content) -> Content:
    """The content in the newest format. Raises ValueError if its format is unknown."""
    while (number := content["format"]) != FORMAT:
        if number not in MIGRATIONS:
            raise ValueError(
                f"has format {str(number)[:20]}, "
                f"but this version reads formats 1 to {FORMAT}: upgrade ddpm-cli"
            )
        content = MIGRATIONS[number](content)
    return content
