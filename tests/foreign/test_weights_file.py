"""Weights of other programs are read as they are, and no file runs code."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ddpm_cli.foreign import weights_file
from ddpm_cli.foreign.weights_file import read_weights

REMEDY = "save net.state_dict() as safetensors with its own program"


class Touch:
    def __reduce__(self):
        return os.mkdir, ("owned",)


def same(state, expected):
    assert state.keys() == expected.keys()
    return all(torch.equal(state[name], expected[name].detach().float()) for name in state)


def test_a_state_dict_with_its_attributes_is_read(tmp_path):
    state = nn.Sequential(nn.Conv2d(2, 3, 3), nn.GroupNorm(1, 3)).state_dict()
    assert hasattr(state, "_metadata")
    torch.save(state, tmp_path / "x.pt")
    assert same(read_weights(tmp_path / "x.pt"), state)


def test_an_average_of_parameters_is_read(tmp_path):
    state = OrderedDict(a=nn.Parameter(torch.rand(2, 3)), b=torch.rand(3).half())
    torch.save(state, tmp_path / "x.pt")
    assert same(read_weights(tmp_path / "x.pt"), state)


def test_views_of_one_flat_tensor_are_read(tmp_path):
    flat = torch.rand(10)
    state = {"a": flat[:6].view(2, 3), "b": flat[6:]}
    torch.save(state, tmp_path / "x.pt")
    assert same(read_weights(tmp_path / "x.pt"), state)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_any_program_are_read(tmp_path, metadata):
    state = {"conv_in.weight": torch.rand(2, 3), "half": torch.rand(3).bfloat16()}
    save_file(state, tmp_path / "x.safetensors", metadata)
    assert same(read_weights(tmp_path / "x.safetensors"), state)


def edm(path):
    path.write_bytes(pickle.dumps({"ema": Touch()}))


def before_archives(path):
    torch.save({"a": torch.rand(2)}, path, _use_new_zipfile_serialization=False)


def other_object(path):
    torch.save({"a": torch.rand(2), "b": Touch()}, path)


def whole_module(path):
    torch.save(nn.Linear(2, 2), path)


def run_of_another_program(path):
    torch.save({"step": 3, "model": {"a": torch.rand(2)}, "ema": 0.5}, path)


def whole_numbers(path):
    torch.save({"a": torch.arange(3)}, path)


def overlapping(path):
    flat = torch.rand(2**16)
    torch.save({str(number): flat for number in range(64)}, path)


def empty(path):
    torch.save({}, path)


def cut_off(path):
    torch.save({"a": torch.rand(100)}, path)
    path.write_bytes(path.read_bytes()[:-50])


def cut_off_safetensors(path):
    save_file({"a": torch.rand(100)}, path)
    path.write_bytes(path.read_bytes()[:-1])


def text(path):
    path.write_text("no weights, but a text")


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (edm, "a bare pickle runs code"),
        (before_archives, "it is of torch's format before 1.6"),
        (other_object, "the pickle names a foreign object, posix mkdir, which would run code"),
        (whole_module, "the pickle "),
        (run_of_another_program, "it holds step, model, ema beside tensors"),
        (whole_numbers, "it holds a beside tensors"),
        (overlapping, "its tensors share their numbers"),
        (empty, "it holds no dictionary of tensors"),
        (cut_off, "it is damaged, or no archive"),
        (cut_off_safetensors, "the file is cut off within its tensors"),
        (text, "it is neither safetensors nor an archive of torch.save"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, monkeypatch, write, told):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.pt")
    with pytest.raises(ValueError, match="is no plain table of tensors") as error:
        read_weights(tmp_path / "x.pt")
    assert told in str(error.value)
    assert str(error.value).endswith(f": {REMEDY}")
    assert not Path("owned").exists()


def test_a_file_that_is_replaced_at_every_read_is_refused(tmp_path, monkeypatch):
    state = {"a": torch.rand(2)}
    save_file(state, tmp_path / "x.safetensors")
    stats = iter([False, True, *[False] * weights_file.MOST_READS])
    monkeypatch.setattr(os.path, "samestat", lambda *_: next(stats))
    assert same(read_weights(tmp_path / "x.safetensors"), state)
    with pytest.raises(ValueError, match="another program replaces it while it is read"):
        read_weights(tmp_path / "x.safetensors")
