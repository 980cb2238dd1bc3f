"""Checkpoints: whole or not at all, and nothing in them is executed."""

import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from ddpm_cli import checkpoints, schedules
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.networks.unet import UNet
from ddpm_cli.training import TrainState

CFG = OmegaConf.create({"seed": 0, "model": {"dims": [1, 2]}})
ABOUT = {"data": "print", "facts": {"shape": [1, 8, 8], "classes": ["a"], "steps": 9}}


def state(seed=0, dim=8):
    torch.manual_seed(seed)
    diffusion = GaussianDiffusion.from_betas(schedules.cosine(steps=10))
    fresh = TrainState.fresh(Denoiser(diffusion, UNet(1, 1, dim=dim, dim_mults=(1, 2))), partial(torch.optim.Adam, lr=1e-3))
    fresh.denoiser(torch.zeros(1, 1, 8, 8), 3).output.sum().backward()
    fresh.optimizer.step()
    fresh.step = 3
    return fresh


@pytest.fixture
def saved(tmp_path):
    checkpoints.save(tmp_path / "x.pt", state(), CFG, **ABOUT)
    return tmp_path / "x.pt"


class Touch:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def test_what_is_saved_comes_back(saved):
    content, other = checkpoints.load(saved), state(seed=1)
    checkpoints.restore(other, content)
    assert (content["config"], content["data"], content["facts"], other.step) == (CFG, "print", ABOUT["facts"], 3)
    pairs = zip(state().denoiser.network.parameters(), other.denoiser.network.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert torch.equal(other.optimizer.state_dict()["state"][0]["exp_avg"], state().optimizer.state_dict()["state"][0]["exp_avg"])


def test_weights_of_another_network_are_refused(saved):
    with pytest.raises(ValueError, match="the weights do not fit this network"):
        checkpoints.restore(state(dim=16), checkpoints.load(saved))


@pytest.mark.parametrize("damage", [lambda file: b"", lambda file: file[:3000], lambda file: b"x" + file, lambda file: b"\x80\x04."])
def test_damaged_files_are_told_in_one_line(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(ValueError, match="it is damaged, or no checkpoint, or would run code"):
        checkpoints.load(saved)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write({"format": 1, "step": Touch()}, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match="would run code"):
        checkpoints.load(tmp_path / "bad.pt")
    assert not Path("owned").exists()


@pytest.mark.parametrize("field", [*checkpoints.FIELDS])
@pytest.mark.parametrize("value", [None, [1]])
def test_fields_that_are_missing_or_of_another_type_are_told(saved, field, value):
    torch.save({**torch.load(saved, weights_only=True), field: value}, saved)
    with pytest.raises(ValueError, match=f"'{field}' is missing or not what it should be"):
        checkpoints.load(saved)


def test_formats_of_the_future_are_told(saved):
    torch.save({**torch.load(saved, weights_only=True), "format": 99}, saved)
    with pytest.raises(ValueError, match="has format 99; this version reads format 1"):
        checkpoints.load(saved)


@pytest.mark.parametrize("text", ["a: ${oc.env:HOME}", "a: &x [1]\nb: [*x, *x]", "[1, 2]", "a: [", "a: !!python/object:os.system 1"])
def test_configurations_are_plain_text(saved, text):
    torch.save({**torch.load(saved, weights_only=True), "config": text}, saved)
    with pytest.raises(ValueError, match="its configuration is not plain text that can be read"):
        checkpoints.load(saved)


def test_a_save_that_fails_leaves_what_was_there(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(content, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(saved, state(), CFG, **ABOUT)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["x.pt"]


def test_the_newest_are_kept_and_the_last_is_one_of_them(tmp_path):
    for step in (1, 2, 10):
        kept = state()
        kept.step = step
        checkpoints.keep(tmp_path / "checkpoints", kept, CFG, **ABOUT, last=2)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["last.pt", "step_00000002.pt", "step_00000010.pt"]
    assert checkpoints.load(tmp_path / "checkpoints/last.pt")["step"] == 10
    assert checkpoints.newest(tmp_path).name == "step_00000010.pt"
