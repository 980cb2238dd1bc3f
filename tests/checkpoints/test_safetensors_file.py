"""A safetensors file: any tool reads it, and nothing is believed of one that a stranger wrote."""

import json
import resource
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from checkpoint_files import assert_refused, put_together, save, sealed, state, take_apart

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints.safetensors_file import METADATA, header_checksum


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "x.safetensors"
    save(path, state())
    return path


def test_other_tools_read_the_tensors_by_name(good):
    tensors = safetensors.torch.load_file(good)
    ema = state().ema.state_dict()
    assert torch.equal(tensors["ema.stem.weight"], ema["stem.weight"])
    with safetensors.safe_open(good, framework="pt") as file:
        assert torch.equal(file.get_tensor("ema.stem.weight"), ema["stem.weight"])
        assert json.loads(file.metadata()["step"]) == 3
    assert "optimizer.network.stem.weight.exp_avg" in tensors


@pytest.mark.parametrize("region", ["length", "header", "text", "tensor", "ema", "optimizer"])
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path, good, region):
    file = bytearray(good.read_bytes())
    header, _ = take_apart(file)
    start = 8 + int.from_bytes(file[:8], "little")
    tensors = {
        name: start + each["data_offsets"][0] for name, each in header.items() if name != METADATA
    }
    place = {
        "length": 1,
        "header": file.index(b"data_offsets") + 20,
        "text": file.index(b"torch"),
        "tensor": tensors["network.stem.weight"],
        "ema": tensors["ema.stem.weight"] + 1,
        "optimizer": len(file) - 1,
    }[region]
    for bit in range(8):
        flipped = bytearray(file)
        flipped[place] ^= 1 << bit
        (tmp_path / "x.safetensors").write_bytes(flipped)
        with pytest.raises(ValueError, match="it is damaged") as error:
            Checkpoint.load(tmp_path / "x.safetensors")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0, "is empty: the file has 0 bytes"),
        (0.001, "the file is cut off within its header"),
        (0.5, "the file is cut off within its tensors"),
        (0.999, "the file is cut off within its tensors"),
    ],
)
def test_a_file_that_is_cut_off_is_told(tmp_path, good, share, told):
    file = good.read_bytes()
    (tmp_path / "x.safetensors").write_bytes(file[: int(len(file) * share)])
    with pytest.raises(ValueError, match=told):
        Checkpoint.load(tmp_path / "x.safetensors")


def test_a_disk_without_room_for_the_last_bytes_is_an_error(tmp_path):
    path = tmp_path / "x.safetensors"
    save(path, state())
    size, before = path.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (size - 1, size // 2, 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises((OSError, ValueError)):
                save(path, state(seed=1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [each.name for each in tmp_path.iterdir()] == ["x.safetensors"]
    assert Checkpoint.load(path).step == 3


def entry(**changes):
    """A change of one tensor's entry in the header."""

    def change(header, data):
        header["ema.stem.weight"] = {**header["ema.stem.weight"], **changes}
        return sealed(header, data)

    return change


def text(name, value):
    """A change of one text of the header."""

    def change(header, data):
        return sealed({**header, METADATA: {**header[METADATA], name: value}}, data)

    return change


def raw(make):
    """A header's text that is made of the good one."""
    return lambda header, data: put_together(make(json.dumps(header)).encode(), data)


def moved(header, data):
    offsets = header["ema.stem.weight"]["data_offsets"]
    header["ema.stem.weight"]["data_offsets"] = [each + 8 for each in offsets]
    return sealed(header, data)


def twice(header, data):
    return sealed({**header, "ema.again": header["ema.stem.weight"]}, data)


def renamed(name):
    def change(header, data):
        return sealed({**header, name: header.pop("ema.stem.weight")}, data)

    return change


DEEP = "[" * 100_000
HOSTILE = {
    "empty": lambda header, data: b"",
    "seven bytes": lambda header, data: b"\0" * 7,
    "no header": lambda header, data: put_together(b"", data),
    "length of a terabyte": lambda header, data: (2**40).to_bytes(8, "little") + data,
    "length of all bits": lambda header, data: b"\xff" * 8 + data,
    "length beyond the file": lambda header, data: (2**20).to_bytes(8, "little") + b"{}",
    "header of 17 MiB": lambda header, data: put_together(b" " * (17 * 2**20) + b"{}"),
    "header of spaces": lambda header, data: put_together(b" " * 100),
    "header is a list": lambda header, data: put_together(b"[]", data),
    "header is a number": lambda header, data: put_together(b"12", data),
    "header is not UTF-8": lambda header, data: put_together(b"\xff{}", data),
    "header without texts": lambda header, data: put_together({}, b""),
    "texts are a list": lambda header, data: put_together({METADATA: []}, b""),
    "text is a number": text("step", 3),
    "text is a list": text("step", []),
    "deep header": lambda header, data: put_together(DEEP.encode(), data),
    "deep entry": raw(lambda good: good.replace('"shape": [', f'"shape": [{DEEP}', 1)),
    "deep text": text("environment", DEEP),
    "many lists": lambda header, data: put_together(b"[" + b"[]," * 2**22 + b"[]]", data),
    "many numbers": text("stream", "[" + "1," * 2**22 + "1]"),
    "big number": text("step", "9" * 5000),
    "NaN as text": text("lr_scale", "NaN"),
    "infinity as text": text("lr_scale", "-Infinity"),
    "text is no JSON": text("step", "three"),
    "key twice": raw(lambda good: good.replace("{", '{"ema.stem.weight": {}, ', 1)),
    "texts twice": raw(lambda good: good[:-1] + f', "{METADATA}": {{}}}}'),
    "field twice in a text": text("scaler", '{"scale": 1, "scale": 2}'),
    "overlap": twice,
    "moved": moved,
    "gap": lambda header, data: sealed(header, data + b"\0" * 8),
    "short data": lambda header, data: sealed(header, data[:-8]),
    "unknown type": entry(dtype="F8_E4M3"),
    "type is a list": entry(dtype=["F32"]),
    "wider type": entry(dtype="F64"),
    "negative side": entry(shape=[-1, -9]),
    "fractional side": entry(shape=[1.0]),
    "side is true": entry(shape=[True]),
    "side beyond 64 bits": entry(shape=[2**70]),
    "product beyond 64 bits": entry(shape=[2**40] * 3),
    "many axes": entry(shape=[1] * 1000),
    "shape is a text": entry(shape="1"),
    "negative place": entry(data_offsets=[-8, 0]),
    "place backwards": entry(data_offsets=[64, 0]),
    "place of three": entry(data_offsets=[0, 8, 16]),
    "more in an entry": entry(more=1),
    "foreign part": renamed("other.weight"),
    "part without a name": renamed("stem"),
    "many tensors": lambda header, data: sealed(
        {
            **header,
            **{
                f"ema.{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
                for i in range(60_000)
            },
        },
        data,
    ),
    "format as a fraction": text("format", "5.0"),
    "long fingerprint": text("fingerprint", "x" * 10**6),
    "long name": renamed("ema." + "x" * 2000),
    "checksum of another header": lambda header, data: put_together(
        {**header, METADATA: {**header[METADATA], "step": "4"}}, data
    ),
    "no checksum": lambda header, data: put_together(
        {**header, METADATA: {k: v for k, v in header[METADATA].items() if k != "checksum"}}, data
    ),
    "no checksums of parts": text("checksums", "{}"),
    "checksums are a list": text("checksums", "[]"),
    "other data behind good sums": lambda header, data: sealed(header, b"\1" * len(data)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(tmp_path, good, kind):
    header, data = take_apart(good.read_bytes())
    path = tmp_path / "x.safetensors"
    path.write_bytes(HOSTILE[kind](header, data))
    assert_refused(path)


def test_the_checksum_of_the_header_is_over_all_but_itself(good):
    header, _ = take_apart(Path(good).read_bytes())
    assert header[METADATA]["checksum"] == header_checksum(header)
