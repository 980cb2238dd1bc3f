"""`ddpm-export`: a checkpoint of an old format goes on as the same run in the new format."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import GOLDEN

from ddpm_cli.checkpoints import Checkpoint

RECIPE = (
    "trainer.batch_size=8 trainer.warmup=0 trainer.steps=14 trainer.device=cpu sampler.steps=3 "
    "model.network.dim=4 model.network.dim_mults=[1] model.network.heads=1 "
    "model.network.head_dim=4 model.network.groups=1"
).split()
HELD_OUT = ["data.holdout=0.1", "trainer.evaluate_every=2"]
OWN = {
    1: ["schedule.steps=100", "data.holdout=0.0"],
    2: ["schedule.steps=100", "data.holdout=0.0"],
    3: ["schedule.steps=10", "loss=uncertain", "train_times=loss_aware", "train_times.kept=1"],
    4: ["schedule.steps=100", "model.conditional=true"],
}
OWN[3] += HELD_OUT
OWN[4] += HELD_OUT
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SUMS = {
    1: {
        "network": "8263f750088e61afc365f3f9158eacee849e6986514088ee849f27f664838829",
        "ema": "20db46c115a16e637372657ab2dbc830c14887577696da7ed2313626d8d645c5",
        "optimizer": "86ae6665dfc037d9b54b376e0249338ee702e57092a69e977187aae1e4ffbddc",
    },
    2: {
        "network": "fb08ec0c6ee34550d3321a1cbc8a6a5ed8cbdced87c3ddd55cab545c78e9ef0e",
        "ema": "4b14188eec213103befb33e389b77599c6ea1bb906391515bd44271ec8f97c1e",
        "optimizer": "601745872b97adaf2e66542940ae0940142681f5bc627c59b3aa78dea55616d4",
    },
    3: {
        "network": "e07904d95db05fa1c28e9cdef4ef796d6398caa70d0ef12acd51504de6c117dd",
        "ema": "582cfdd453abc3566c1b45d5ec70db61dad6f3f2c9cd27e5d47c898cb565cad3",
        "loss": "119005af8cccdcd87aad449f453fe7adafd9f6793c5b828ce71cd3d9e4166497",
        "history": "4351354617bdb6603bcae9078d4c514fbeb8ef9700c3651b20da6a010f235f70",
        "verdict": "c6f351f161ee1bbc1949a425d6fdb3db1e8d1107e9d71f839d034c6794efa0c8",
        "optimizer": "733413c3c6b2dfc1a031be87716ffd49bb09230ebfcc0d1897dd6e57237af46e",
    },
    4: {
        "network": "81a295099c78f0d8bb715eaec7b1eccbb9b81ab8f7034b0a8ed40fdbb3f6a4aa",
        "ema": "486eee65c29605368e52ec6d8e1edff8fc2dd2bb7bc3eaa0eb8d5e3a2b063277",
        "verdict": "0b3e3f09746f5ef49c5ceec722455e2195b21a9611dcf0de7ffc33c763f15e21",
        "optimizer": "1f484e1ac348732c7f22142bbc8bdaa5cd63e23e5968bbb6398859de50aa53d1",
    },
}


def digest(tensors):
    """The SHA-256 of tensors in this order."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(np.ascontiguousarray(tensor.numpy()))
    return found.hexdigest()


def part(checkpoint, name):
    tensors = checkpoint.part(name)
    return digest(tensors[each] for each in sorted(tensors))


def exported(command, number):
    """The conversion of the frozen file of a format."""
    old, new = GOLDEN / f"format_{number}.pt", Path("new.safetensors")
    outcome = command("export", f"ckpt={old}", "to=ckpt", f"out={new}")
    assert outcome.code == 0, outcome.err
    assert "exported   new.safetensors" in outcome.out
    return old, new


@pytest.mark.parametrize("number", OWN)
def test_weights_and_moments_of_frozen_files_are_what_they_were(command, number):
    content = torch.load(GOLDEN / f"format_{number}.pt", weights_only=True)
    names = [f"{part}.{name}" for part in ("network", "loss") for name in content.get(part, ())]
    for path, keys in zip(exported(command, number), (range(len(names)), names), strict=True):
        checkpoint = Checkpoint.load(path)
        state = checkpoint.optimizer_state()
        moments = [state[str(key)][name] for key in keys for name in ("exp_avg", "exp_avg_sq")]
        assert checkpoint.step == 4
        assert {
            "network": part(checkpoint, "network"),
            "ema": part(checkpoint, "ema"),
            "loss": part(checkpoint, "loss"),
            "history": part(checkpoint, "history.train_times"),
            "verdict": part(checkpoint, "history.verdict"),
            "optimizer": digest(moments),
        } == {**dict.fromkeys(("loss", "history", "verdict"), EMPTY), **SUMS[number]}


@pytest.mark.parametrize("number", OWN)
def test_ten_steps_from_a_frozen_file_are_those_from_its_conversion(command, number):
    ends = []
    for path in exported(command, number):
        folder = path.suffix.removeprefix(".")
        resume = [f"resume={path}", f"hydra.run.dir={folder}"]
        outcome = command("train", *RECIPE, *OWN[number], *resume)
        assert outcome.code == 0, outcome.err
        assert "resumed    step 4 of" in outcome.out
        ends.append(Checkpoint.load(Path(folder, "checkpoints/last.safetensors")))
    one, other = (end.tensors for end in ends)
    assert (ends[0].step, ends[1].step) == (14, 14)
    assert one.keys() == other.keys() and len(one) > 200
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("number", OWN)
def test_images_of_a_frozen_file_are_those_of_its_conversion(command, number):
    for path in exported(command, number):
        folder = path.suffix.removeprefix(".")
        where = [f"ckpt={path}", f"hydra.run.dir={folder}"]
        outcome = command("sample", *where, "n=3", "sampler.steps=2", "png=true")
        assert outcome.code == 0, outcome.err
    images = sorted(Path("pt").rglob("*.png"))
    assert len(images) > 3
    for image in images:
        assert image.read_bytes() == Path("safetensors", image.relative_to("pt")).read_bytes()


def test_a_conversion_may_be_read_by_whom_other_files_may(command):
    _, new = exported(command, 1)
    Path("other").touch()
    assert new.stat().st_mode == Path("other").stat().st_mode


def test_files_that_exist_are_not_written_over(command):
    _, new = exported(command, 1)
    before = new.read_bytes()
    outcome = command("export", f"ckpt={GOLDEN / 'format_2.pt'}", "to=ckpt", f"out={new}")
    assert outcome.code == 1
    assert "out must be a new file, but 'new.safetensors' exists" in outcome.err
    assert new.read_bytes() == before


def test_the_new_file_is_called_what_it_is(command):
    outcome = command("export", f"ckpt={GOLDEN / 'format_1.pt'}", "out=new.pt")
    assert outcome.code == 1
    assert "out must end in .safetensors, but is 'new.pt'" in outcome.err
