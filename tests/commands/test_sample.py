"""Sampling runs: from a checkpoint alone, image by image, whatever the batch."""

import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from checkpoint_files import GOLDEN, change, edit, take_apart
from conftest import TINY
from PIL import Image

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints.safetensors_file import METADATA

INDICES = "indices must be at least 0 and less than 1,000,000,000"


def test_a_checkpoint_is_all_that_sampling_needs(command, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    outcome = command("sample", f"ckpt={trained}", "n=4", f"hydra.run.dir={tmp_path}/out")
    assert outcome.code == 0
    assert Image.open(tmp_path / "out/grid.png").size == (2 * 50 + 2, 2 * 50 + 2)


def test_the_screen_says_what_is_sampled_with_what(command, trained):
    out = command("sample", f"ckpt={trained}", "n=2", "sampler.steps=3", "hydra.run.dir=out").out
    assert "device     cpu (1 thread), fp32, 64 images at a time" in out
    assert re.search(r"checkpoint .*last.safetensors: step 4, ema weights, images of 1x8x8", out)
    assert "sampler    ddim, 3 steps, 3 network evaluations an image, seed 0" in out
    assert re.search(r"written    .*out/grid.png", out)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sample", ["n=1"]),
        ("evaluate", ["metrics=[kid_pixels]", "samples=8", "sampler.steps=2"]),
        ("compare", ["samplers=[ddim]", "steps=[2]", "n=4"]),
    ],
)
def test_the_screen_names_the_checkpoint_that_was_read(command, trained, name, options):
    out = command(name, f"ckpt={trained.with_suffix('.pt')}", *options, "hydra.run.dir=out").out
    assert f"checkpoint {trained}: step 4, ema weights" in out
    assert "last.pt: " not in out


def test_every_form_of_output(command, trained):
    outcome = command(
        "sample",
        f"ckpt={trained}",
        "n=12",
        "sampler.steps=20",
        "png=true",
        "npz=true",
        "film=true",
        "hydra.run.dir=out",
    )
    assert outcome.code == 0
    assert [path.name for path in sorted(Path("out/png").iterdir())] == [
        f"{index:08d}.png" for index in range(12)
    ]
    array = np.load("out/npz/00000000.npz")["arr_0"]
    assert (array.shape, array.dtype) == ((12, 8, 8, 1), np.uint8)
    assert np.array_equal(array[7, :, :, 0], np.asarray(Image.open("out/png/00000007.png")))
    assert Image.open("out/film.png").size == (10 * 50 + 2, 10 * 50 + 2)
    assert Image.open("out/film_x0.png").size == (10 * 50 + 2, 10 * 50 + 2)
    assert Image.open("out/film.gif").n_frames == 21


def test_image_i_is_the_same_for_batches_of_1_7_and_16(command, trained):
    sampler = ["sampler=ancestral", "sampler.steps=5"]
    for batch in (1, 7, 16):
        command(
            "sample",
            f"ckpt={trained}",
            "n=16",
            f"batch={batch}",
            *sampler,
            "npz=true",
            f"hydra.run.dir=batch{batch}",
        )
    one, seven, sixteen = (arrays(f"batch{batch}") for batch in (1, 7, 16))
    assert np.abs(one - sixteen).max() <= 1
    assert np.abs(seven - sixteen).max() <= 1
    assert np.abs(sixteen[0] - sixteen[1]).max() > 1


def arrays(folder):
    """All images of a folder, in their order."""
    return np.concatenate(
        [np.load(path)["arr_0"].astype(int) for path in sorted(Path(folder, "npz").iterdir())]
    )


def test_seeds_and_weights_change_the_images(command, trained):
    for name, options in {"plain": [], "seed": ["seed=1"], "raw": ["weights=raw"]}.items():
        command(
            "sample",
            f"ckpt={trained}",
            "n=2",
            "sampler.steps=3",
            *options,
            "npz=true",
            f"hydra.run.dir={name}",
        )
    plain, seed, raw = (arrays(name) for name in ("plain", "seed", "raw"))
    assert not np.array_equal(plain, seed)
    assert not np.array_equal(plain, raw)


@pytest.mark.parametrize(
    "sampler",
    [
        ["sampler=ancestral", "sampler.draws=3"],
        ["sampler=ddim", "sampler.eta=1"],
        ["sampler.spacing=even"],
    ],
)
def test_every_sampler_draws(command, trained, sampler):
    outcome = command(
        "sample", f"ckpt={trained}", "n=2", *sampler, "sampler.steps=4", "hydra.run.dir=out"
    )
    assert outcome.code == 0, outcome.err
    assert Path("out/grid.png").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["model.predicts=v"], "model is not an option; it comes with the checkpoint"),
        (["+model.predicts=v"], "model is not an option; it comes with the checkpoint"),
        (["model=convnext"], "model is not an option; it comes with the checkpoint"),
        (["sampler.eta=-1"], "sampler.eta must be between 0 and 1, but is -1"),
        (["sampler.eta=nan"], "sampler.eta must be a finite number, but is nan"),
        (["n=0"], "n must be at least 1, but is 0"),
        (
            ["n=99999999999999999999"],
            "n must be at most 1,000,000,000, but is 99999999999999999999",
        ),
        (["n=many"], "n must be int, but is 'many'"),
        (["indices=[]"], f"{INDICES}, but are []"),
        (["indices=[3,-1]"], f"{INDICES}, but are [3, -1]"),
        (["indices=[0,1000000000]"], f"{INDICES}, but are [0, 1000000000]"),
        (["indices=[99999999999999999999]"], f"{INDICES}, but are [99999999999999999999]"),
        (
            ["indices=3"],
            "indices must be a list of int or null, but is 3; did you mean 'indices=[3]'?",
        ),
        (["indices=[3]", "n=5"], "n=5 has no effect with indices"),
        (
            ["indices=[0,1]", "interpolate=[1,2]"],
            "indices=[0, 1] has no effect with interpolate, whose images are the first n",
        ),
        (
            ["sampler=heun", "sampler.churn_noise=1.01"],
            "sampler.churn_min, churn_max and churn_noise have no effect without sampler.churn",
        ),
        (["weights=last"], "weights must be one of ema, raw, but is 'last'"),
        (["grid=false"], "grid, png, npz and film are all false: nothing would be written"),
        (
            ["sampler.steps=2000"],
            "sampler.steps must be between 1 and 1000, the schedule's steps, but is 2000",
        ),
        (
            ["sampler=euler"],
            "sampler=euler is not a choice; there are ancestral, ddim, dpmpp_2m, dpmpp_2m_sde, "
            "heun, unipc; did you mean sampler=ddim?",
        ),
        (
            ["sampler=ancestral", "sampler.draws=0"],
            "sampler.draws must be between 1 and 1,000, but is 0",
        ),
        (["steps=10"], "steps is not an option; did you mean sampler.steps=10?"),
    ],
)
def test_bad_options_are_told_in_one_line_and_nothing_is_written(command, trained, options, told):
    outcome = command("sample", f"ckpt={trained}", *options, "hydra.run.dir=out")
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert not Path("out").exists()


class Payload:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


FORMAT_4 = GOLDEN / "format_4.pt"
UNET = "ddpm_cli.networks.unet.UNet"
CHANGED = {  # a checkpoint's configuration: the old and the new text of each change
    "target": [(UNET, "os.system")],
    "room": [(UNET, "ddpm_cli.data.folder")],
    "trust": [("trust: []", "trust: [os]"), (UNET, "os.system")],
    "interpolation": [("seed: 0", "seed: ${oc.env:HOME}")],
    "size": [("dim: 8", "dim: 1000000")],
    "huge": [("dim: 8", "dim: 1000000000000")],
    "steps": [("steps: 1000\n", "steps: 1000000000000\n")],
}


def damaged(kind, trained):
    bad = Path("bad.safetensors")
    bad.write_bytes(trained.read_bytes())
    config = take_apart(bad.read_bytes())[0][METADATA]["config"]
    for old, new in CHANGED.get(kind, []):
        assert old in config
        config = config.replace(old, new)
    network = Checkpoint.load(trained).part("network")
    others = {
        "pickle": lambda: torch.save(
            {**torch.load(FORMAT_4, weights_only=True), "facts": Payload()}, bad
        ),
        "foreign": lambda: torch.save({"state_dict": network}, bad),
        "weights alone": lambda: safetensors.torch.save_file(network, bad),
        "weights": lambda: change(bad, tensors={"network.x": torch.zeros(1)}),
        "shape": lambda: edit(bad, shape=[3, 8, 8]),
        "nothing": lambda: edit(bad, config="seed: 0"),
    }
    others.get(kind, lambda: edit(bad, config=config))()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        *(
            (
                kind,
                "cannot read the checkpoint 'bad.safetensors': it is damaged, or no checkpoint, "
                "or would run code",
            )
            for kind in ("pickle", "weights alone")
        ),
        (
            "target",
            "model.network._target_ must name a function or class of ddpm_cli.networks, but is "
            "'os.system'",
        ),
        (
            "room",
            "model.network._target_ must name a function or class of ddpm_cli.networks, but is "
            "'ddpm_cli.data.folder'",
        ),
        (
            "trust",
            "model.network._target_ must name a function or class of ddpm_cli.networks, but is "
            "'os.system'",
        ),
        (
            "interpolation",
            "the checkpoint 'bad.safetensors': its configuration is not plain text that can be "
            "read",
        ),
        ("foreign", "the checkpoint 'bad.safetensors': it is not a checkpoint of ddpm-train"),
        ("weights", "weights=ema: bad.safetensors has none (an export has the EMA)"),
        ("shape", "the weights do not fit this network"),
        ("size", "the weights do not fit this network"),
        ("huge", "model.network: "),
        ("steps", "schedule: steps must be at least 1 and at most 1,000,000"),
        ("nothing", "schedule must be given"),
    ],
)
def test_hostile_and_foreign_checkpoints_run_nothing(command, trained, kind, told):
    damaged(kind, trained)
    outcome = command("sample", "ckpt=bad.safetensors", "hydra.run.dir=out")
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {told}")
    assert outcome.err.count("\n") == 1
    assert not Path("out").exists()
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (None, "there is no checkpoint at 'x.safetensors'"),
        (0, "error: the checkpoint 'x.safetensors' is empty: the file has 0 bytes\n"),
        (5000, "cannot read"),
    ],
)
def test_missing_empty_and_truncated_checkpoints_are_told(command, trained, size, told):
    Path("x.safetensors").write_bytes(trained.read_bytes()[:size]) if size is not None else None
    outcome = command("sample", "ckpt=x.safetensors")
    assert outcome.code == 1
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_resumed_training_accepts_only_its_own_kind_of_file(command, trained):
    Path("bad.safetensors").write_bytes(b"not a checkpoint")
    outcome = command("train", *TINY, "resume=bad.safetensors")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)


def test_a_checkpoint_says_all_about_its_run(trained):
    checkpoint = Checkpoint.load(trained)
    facts = {
        "shape": [1, 8, 8],
        "classes": [str(digit) for digit in range(10)],
        "steps": 4,
        "lr_scale": 1.0,
        "skipped": 0,
    }
    assert {name: getattr(checkpoint, name) for name in facts} == facts
    assert checkpoint.environment["torch"] == torch.__version__
