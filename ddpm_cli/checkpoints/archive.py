"""The archive of a checkpoint: as torch writes it, without a foreign name in its pickle."""

import pickle
import pickletools
import zipfile
from pathlib import Path

from ddpm_cli.parallel.group import FAILURES

TYPES = "Float Double Half BFloat16 Long Int Short Char Byte Bool"
WRITTEN = {  # the names that `torch.save` pickles
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in TYPES.split()),
}
UNREADABLE = (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, *FAILURES)


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
