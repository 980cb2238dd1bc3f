"""Checkpoints of formats 1 to 4: read as they were, and nothing is believed of a stranger's."""

import math
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from checkpoint_files import GOLDEN, archive, assert_refused, members

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints.old_formats import MIGRATIONS
from ddpm_cli.checkpoints.safetensors_file import FORMAT

FORMAT_1 = GOLDEN / "format_1.pt"


def test_every_old_format_has_a_way_to_the_newest():
    assert [*MIGRATIONS] == [*range(1, FORMAT)]


def test_a_file_of_format_1_is_read_as_one_of_the_newest():
    checkpoint = Checkpoint.load(FORMAT_1)
    content = torch.load(FORMAT_1, weights_only=True)
    assert content["format"] == 1
    assert (checkpoint.step, checkpoint.scaler, checkpoint.stream) == (4, {}, [])
    assert (checkpoint.lr_scale, checkpoint.skipped, checkpoint.overrides) == (1.0, 0, None)
    for part in ("network", "ema"):
        read = checkpoint.part(part)
        assert read.keys() == content[part].keys()
        assert all(torch.equal(read[name], content[part][name]) for name in read)
    moment = content["optimizer"][0]["exp_avg"]
    assert torch.equal(checkpoint.optimizer_state()["0"]["exp_avg"], moment)


def changed(path, **fields):
    """Write the content of format 1 with other fields, as `torch.save` writes it."""
    torch.save({**torch.load(FORMAT_1, weights_only=True), **fields}, path)
    return path


@pytest.mark.parametrize(
    "field", ["config", "step", "data", "network", "ema", "optimizer", "environment", "facts"]
)
def test_a_migration_makes_up_nothing_that_is_missing(tmp_path, field):
    named = "fingerprint" if field == "data" else field
    with pytest.raises(ValueError, match=f"'{named}' is missing or not what it should be"):
        Checkpoint.load(changed(tmp_path / "x.pt", **{field: None}))


def test_an_optimizer_of_format_1_that_had_made_no_step_has_nothing_to_remember(tmp_path):
    state = Checkpoint.load(changed(tmp_path / "x.pt", optimizer={})).optimizer_state()
    assert state == {str(number): {} for number in range(71)}


def test_formats_of_the_future_are_told(tmp_path):
    with pytest.raises(ValueError, match="its format is 99, but this version reads formats 1 to 5"):
        Checkpoint.load(changed(tmp_path / "x.pt", format=99))


class Touch:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


class Named:
    """A name of a module in a pickle."""

    def __init__(self, module, name):
        self.module, self.name = module, name


PICKLE = members(FORMAT_1)["archive/data.pkl"]
CONTENT = torch.load(FORMAT_1, weights_only=True)


def with_pickle(text):
    """The archive of format 1 with another pickle."""
    return archive({**members(FORMAT_1), "archive/data.pkl": text}.items())


def saved(path, content):
    torch.save(content, path)
    return path.read_bytes()


def content(**fields):
    """The archive of format 1 with other fields."""
    return lambda path: saved(path, {**CONTENT, **fields})


def file(change):
    """The bytes of format 1, changed."""
    return lambda path: change(bytearray(FORMAT_1.read_bytes()))


def pickled(text):
    return lambda path: with_pickle(text)


def zipped(*entries, without=(), compression=zipfile.ZIP_STORED):
    """The archive of format 1 with more members, or with fewer."""
    kept = [(name, each) for name, each in members(FORMAT_1).items() if name not in without]
    return lambda path: archive([*kept, *entries], compression)


def second_directory(good):
    """Another archive behind the end record of the first, inside the comment of the second."""
    return good + bytes(archive([("archive/data.pkl", PICKLE)]))


def field_of_end(offset, value):
    """A number of the wide end record, which is the last but the locator and the end record."""

    def change(good):
        good[len(good) - 98 + offset : len(good) - 98 + offset + 8] = struct.pack("<Q", value)
        return good

    return change


def number(text):
    """A pickle of one number or one text."""
    return b"\x80\x02" + text + b"."


def bits(good, place, mask=1):
    good[place] ^= mask
    return good


MANY, LONG_NAME = torch.zeros(10**5), {"A" * 10**6: torch.zeros(1)}
COLLIDING = b"".join(  # whole multiples of 2^61 - 1 hash to 0
    b"\x8a\x0a" + (each * (2**61 - 1)).to_bytes(10, "little") + b"N" for each in range(1, 20_000)
)
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"


def tensor_of(count, offset, shape, stride):
    """A pickle of one tensor in member 0 of the archive."""
    ids = STORAGE + b"J" + struct.pack("<i", count) + b"tQ"
    sides = b"(" + b"".join(b"J" + struct.pack("<i", each) for each in shape) + b"t"
    strides = b"(" + b"".join(b"J" + struct.pack("<i", each) for each in stride) + b"t"
    more = b"\x89ccollections\nOrderedDict\n)R"
    start = b"J" + struct.pack("<i", offset)
    return number(REBUILD + ids + start + sides + strides + more + b"tR")


HOSTILE = {
    "object that acts": lambda path: saved(path, {"format": 1, "step": Touch()}),
    "plain pickle": lambda path: pickle.dumps({"format": 1}),
    "plain pickle that acts": lambda path: pickle.dumps(Touch()),
    "sparse tensor": content(s=torch.eye(2).to_sparse()),
    "parameter": content(s=torch.nn.Parameter(torch.zeros(1))),
    "bytes": content(s=bytearray(8)),
    "set": content(s={1, 2}),
    "complex numbers": content(s=torch.zeros(1, dtype=torch.complex64)),
    "expanded tensor": content(ema={**CONTENT["ema"], "x": torch.zeros(1).expand(9)}),
    "transposed tensor": content(ema={**CONTENT["ema"], "x": torch.zeros(2, 3).t()}),
    "NaN": content(ema={**CONTENT["ema"], "x": torch.tensor(math.nan)}),
    "names of tensors": content(network={1: torch.zeros(1)}),
    "names of a megabyte": content(facts={**CONTENT["facts"], "classes": ["A" * 10**6] * 20_000}),
    "environment of a megabyte": content(
        environment=dict.fromkeys(map(str, range(9_000)), "A" * 10**6)
    ),
    "step of a thousand digits": content(step=10**1000),
    "format is a text": content(format="1"),
    "format is true": content(format=True),
    "format 0": content(format=0),
    "format 5 in an archive": content(format=5, tensors=[1]),
    "no dictionary": lambda path: saved(path, [1, 2]),
    "compressed": zipped(compression=zipfile.ZIP_DEFLATED),
    "recased pickle": zipped(("archive/DATA.PKL", PICKLE), without=("archive/data.pkl",)),
    "second pickle, recased": zipped(("archive/DATA.PKL", PICKLE)),
    "second pickle elsewhere": zipped(("other/data.pkl", PICKLE)),
    "pickle of another name": zipped(("archive/more.pkl", PICKLE)),
    "recased storage": zipped(("ARCHIVE/data/0", b"")),
    "no pickle": zipped(without=("archive/data.pkl",)),
    "no storage": zipped(without=("archive/data/0",)),
    "no members": lambda path: archive([]),
    "bytes in front": file(lambda good: b"x" + good),
    "archive in front": file(lambda good: bytes(good) + bytes(good)),
    "second directory": file(second_directory),
    "bytes behind": file(lambda good: good + b"x"),
    "cut off": file(lambda good: good[: len(good) // 2]),
    "directory elsewhere": file(field_of_end(48, 4)),
    "directory shorter": file(field_of_end(40, 4)),
    "other count": file(field_of_end(32, 3)),
    "flipped bit in a tensor": file(lambda good: bits(good, good.index(b"archive/data/0") + 200)),
    "flipped bit in the directory": file(lambda good: bits(good, good.index(b"PK\x01\x02") + 16)),
    "encrypted": file(lambda good: bits(good, good.rindex(b"PK\x01\x02") + 8)),
    "foreign opcode": pickled(number(b"\x8f")),
    "stack of names": pickled(number(b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93")),
    "global of the system": pickled(number(b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R")),
    "global with dots": pickled(number(b"ctorch\n_utils._rebuild_tensor_v2\n)R")),
    "memo of 2 GiB": pickled(number(b"K\x01r\xff\xff\xff\x7f")),
    "a million opcodes": pickled(number(b"K\x010" * 600_000 + b"N")),
    "text beyond the end": pickled(b"\x80\x02X\xff\xff\xff\x7fa."),
    "pickle without end": pickled(PICKLE[:-1]),
    "deep tuples": pickled(number(b"(" * 200_000 + b"t" * 200_000)),
    "tensor beyond its storage": pickled(tensor_of(10**6, 0, (10**6,), (1,))),
    "tensor of negative sides": pickled(tensor_of(4, 0, (-1, -4), (1, 1))),
    "tensor before its storage": pickled(tensor_of(4, -4, (4,), (1,))),
    "tensor of a huge number of sides": pickled(tensor_of(4, 0, (1,) * 1000, (1,) * 1000)),
    "one storage for many tensors": content(ema=dict.fromkeys(map(str, range(9000)), MANY)),
    "names of parameters of a megabyte": content(optimizer=dict.fromkeys(range(4000), LONG_NAME)),
    "moments by numbers": content(optimizer={0: {1: 2, "a": 3}}),
    "key of a deep tuple": pickled(number(b"}" + b")" + b"\x85" * 400_000 + b"Ns")),
    "key of shared tuples": pickled(number(b"})" + b"q\x00h\x00\x86" * 60 + b"Ns")),
    "keys of one hash": pickled(number(b"}(" + COLLIDING + b"u")),
    "storage named by shared tuples": pickled(number(b")" + b"q\x00h\x00\x86" * 60 + b"Q")),
    "tensor of a huge side": pickled(tensor_of(4, 0, (2**30, 2**30), (0, 0))),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pt"
    path.write_bytes(HOSTILE[kind](path))
    assert_refused(path)
    assert not Path("owned").exists()
