"""What a file may be before anything in it is believed: an archive as torch writes it, in which nothing foreign is named."""

import pickle
import pickletools
import zipfile
from pathlib import Path

from ddpm_cli.parallel.group import FAILURES

STORAGES = [
    f"torch {kind}Storage"
    for kind in (
        "Float",
        "Double",
        "Half",
        "BFloat16",
        "Long",
        "Int",
        "Short",
        "Char",
        "Byte",
        "Bool",
    )
]
WRITTEN = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *STORAGES,
}  # the names that `save` pickles
UNREADABLE = (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, *FAILURES)


def check_archive(path: Path) -> None:
    """Refuses a file that is no archive as torch writes it: nothing compressed, sums of all members right, no foreign name pickled."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        stored = all(each.compress_type == zipfile.ZIP_STORED for each in members) and len(
            set(archive.namelist())
        ) == len(members)
        if (
            not stored
            or sum(each.file_size for each in members) > path.stat().st_size
            or archive.testzip()
        ):
            raise zipfile.BadZipFile("compressed, repeated or damaged members")
        pickled = [archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl")]
        opcodes = [opcode for each in pickled for opcode in pickletools.genops(each)]
    named = {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"}
    if not named <= WRITTEN or any(opcode.name == "STACK_GLOBAL" for opcode, _, _ in opcodes):
        raise pickle.UnpicklingError(f"names of others: {named}")
