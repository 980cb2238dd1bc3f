"""The commands: help, messages, and what a user may add."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY
from PIL import Image

from ddpm_cli.config import CONFIG_DIR

MODELS = ", ".join(sorted(path.stem for path in (CONFIG_DIR / "model").glob("*.yaml")))


@pytest.fixture
def photographs(tmp_path):
    """A folder of twenty images, one of them cut off."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(20):
        Image.effect_noise((20, 24), 60).convert("RGB").save(folder / f"{index}.jpg")
    (folder / "7.jpg").write_bytes((folder / "7.jpg").read_bytes()[:-300])
    (tmp_path / "empty").mkdir()
    return folder


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["model.network.dimm=8"],
            "model.network.dimm is not an option; did you mean model.network.dim=8?",
        ),
        (
            ["+model.network.dimm=8"],
            "model.network.dimm is not an option of ddpm_cli.networks.unet.UNet; did you mean dim?",
        ),
        (["+sead=1"], "sead is not an option; did you mean seed?"),
        (["modle=resnet"], "modle is not an option; did you mean model=resnet?"),
        (["trainer.batch_size=abc"], "trainer.batch_size must be int or auto, but is 'abc'"),
        (["trainer.batch_size=1.5"], "trainer.batch_size must be int or auto, but is 1.5"),
        (["data.flip=1"], "data.flip must be bool or auto, but is 1"),
        (
            ["trainer.optimizer.lr=fast"],
            "trainer.optimizer.lr must be float or auto, but is 'fast'",
        ),
        (
            ["model.predicts=velocity"],
            "model.predicts must be one of eps, x0, v or auto, but is 'velocity'; "
            "did you mean model.predicts=v?",
        ),
        (["data.channels=6"], "data.channels must be one of 1, 2, 3, 4, 5, but is 6"),
        (["model=vgg"], f"model=vgg is not a choice; there are {MODELS}"),
        (
            ["model=resnet50"],
            f"model=resnet50 is not a choice; there are {MODELS}; did you mean model=resnet?",
        ),
        (
            ["loss=hubert"],
            "loss=hubert is not a choice; there are auto, huber, hybrid, l1, l2, min_snr, p2, "
            "uncertain, vlb; did you mean loss=huber?",
        ),
        (
            ["data=folder", "data.path=nowhere"],
            "data.path must be a folder, but there is none at 'nowhere'",
        ),
        (
            ["data=folder", "data.path=empty"],
            "data: path must hold images (.jpg, .png, ...), in it or in folders below, but "
            "'empty' holds none",
        ),
        (
            ["data.path=photos"],
            "data.path is not an option of data=digits; did you mean data=folder data.path=photos?",
        ),
        (["path=a.npz"], "path is not an option; did you mean data=arrays data.path=a.npz?"),
        (
            ["data=photos"],
            "data=photos is not a choice; there are archive, arrays, celeba, cifar10, digits, "
            "fashion_mnist, flowers, folder, hub, idx, imagenet, lsun_church, mnist, several; did "
            "you mean data=folder data.path=photos?",
        ),
        (
            ["loss.delta=1"],
            "loss.delta is not an option of loss=auto; did you mean loss=huber loss.delta=1?",
        ),
        (
            ["steps=9"],
            "steps is not an option; did you mean trainer.steps=9, schedule.steps=9 or "
            "sampler.steps=9?",
        ),
        (["model.dim=64"], "model.dim is not an option; did you mean model.network.dim=64?"),
        (["trainer.step=9"], "trainer.step is not an option; did you mean trainer.steps=9?"),
        (["dataset=hub"], "dataset is not an option; did you mean data=hub?"),
        (
            ["experiment=small_data"],
            "experiment is not an option; did you mean +experiment=small_data?",
        ),
        (
            ["+experiment=cifar10"],
            "experiment=cifar10 is not a choice; there are celeba64, cifar10_ho2020, "
            "cifar10_iddpm, digits_conditional, fashion_mnist, flowers128, flowers_tutorial, "
            "imagenet64_adm, imagenet64_iddpm, lsun_church_ho2020, small_data; did you mean "
            "+experiment=cifar10_ho2020 or +experiment=cifar10_iddpm?",
        ),
        (
            ["seed=1,2"],
            "seed has several values: -m runs the command once for each, and 'seed=[1,2]' is one "
            "list",
        ),
        (["data=folder"], "data.path must be given: folder of the images"),
        (
            ["data.size=9"],
            "image sides must be multiples of 4 for 3 dim_mults, but one is 9; the nearest that "
            "work: 8 and 12",
        ),
        (
            ["model.network.dim=12"],
            "model.network: ResNet widths (dim times dim_mults) must be multiples of 8, but one "
            "is 12",
        ),
        (
            ["schedule=linear", "schedule.steps=10"],
            "schedule: betas must lie between 0 and 1, but run from 0.01 to 2",
        ),
        (["model.network.heads=0"], "model.network: heads must be at least 1, but is 0"),
        (["model.network.groups=0"], "model.network: groups must be at least 1, but is 0"),
        (["model.network.dropout=2"], "model.network: dropout must be between 0 and 1, but is 2"),
        (
            ["model.network.dim=0"],
            "model.network: dim must be even and at least 4, dim_mults 1 to 16 positive "
            "numbers, but they are 0 and [1, 2, 4]",
        ),
        (["loss=huber", "loss.delta=0"], "loss.delta must be positive, but is 0"),
        (
            ["schedule=linear", "schedule.first=1"],
            "schedule: first must be positive and at most last, but they are 1 and 0.02",
        ),
        (
            ["trainer.optimizer.lr=inf"],
            "trainer.optimizer.lr must be a finite number or auto, but is inf",
        ),
        (["trainer.optimizer.lr=-1"], "trainer.optimizer: Invalid learning rate: -1"),
        (["~trainer"], "trainer must be given: a choice of the group, or a node with _target_"),
        (
            ["data=hub", "data.name=nope.parquet"],
            "data: name must be a data set, a folder, or a .parquet or .arrow file that is "
            "there, but is 'nope.parquet'",
        ),
        (["trainer.ema=1"], "trainer: ema must be at least 0 and less than 1, but is 1"),
        (
            ["model.network.dim=4000000"],
            "model.network: 30,314,696,601,335,221 parameters take 110284.2 TiB, which the memory "
            "of cpu has no room for; choose a smaller network, as by a smaller model.network.dim",
        ),
        (["seed=-1"], "seed must be at least 0 and less than 2^64, but is -1"),
        (
            ["loss=hybrid"],
            "hybrid trains a learned variance: it needs model.variance=learned, but that is "
            "'small'",
        ),
        (
            ["resume=auto"],
            "resume=auto goes on in the folder that hydra.run.dir=FOLDER names, but none is named",
        ),
        (["resume=none.pt"], "there is no checkpoint at 'none.pt'"),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_nothing(command, photographs, overrides, told):
    outcome = command("train", *overrides)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {told}\n")
    assert not list(Path("outputs").rglob("*.*"))


@pytest.mark.parametrize(
    ("holdout", "most"),
    [
        ("0.05", "1725, the images there are when data.holdout=0.05 are held out"),
        ("0.0", "1797, the images there are"),
    ],
)
def test_a_batch_larger_than_the_data_is_told_the_most_that_is_left(command, holdout, most):
    options = ["trainer.batch_size=1798", f"data.holdout={holdout}"]
    command("train", *options, "hydra.run.dir=first")  # says that the images are in the cache now
    outcome = command("train", *options)
    told = f"error: trainer.batch_size must be at most {most}, but is 1798\n"
    assert (outcome.code, outcome.out, outcome.err) == (1, "", told)
    assert not list(Path("outputs").rglob("*.*"))


def test_a_truncated_image_is_named(command, photographs):
    outcome = command("train", *TINY, "data=folder", "data.path=photos", "data.size=16")
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: cannot read {photographs}/7.jpg: ")
    assert outcome.err.count("\n") == 1


def test_a_folder_of_images_trains(command, photographs):
    (photographs / "7.jpg").unlink()
    outcome = command(
        "train",
        *TINY,
        "data=folder",
        "data.path=photos",
        "data.size=[24,16]",
        "data.holdout=0.0",
        "trainer.steps=2",
    )
    assert outcome.code == 0, outcome.err
    assert "data       19 images, 24 x 16, 3 channels, no classes" in outcome.out


def test_a_hub_data_set_without_network_fails_at_once_in_one_line(command, monkeypatch):
    monkeypatch.setattr("ddpm_cli.hub.connection.is_online", lambda: False)
    err = command("train", "data=flowers", "model.network.dim=8").err
    assert err.startswith(
        "error: data: cannot load the data set 'huggan/flowers-102-categories': "
        "https://huggingface.co cannot be reached"
    )
    assert err.count("\n") == 1


def test_a_mistake_in_a_users_own_yaml_is_told(command):
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/wide.yaml").write_text("defaults: [resnet, _self_]\nnetwork:\n  dimm: 64\n")
    err = command("train", "--config-dir", "mine", "model=wide").err
    assert (
        err == "error: model.network.dimm is not an option of ddpm_cli.networks.unet.UNet; did you "
        "mean dim?\n"
    )


OWN_SAMPLER = """
from itertools import pairwise

def halving(denoise, diffusion, x, times, noise, *, strength: float = 0.5):
    for t, s in pairwise(times):
        x = (1 - strength) * x + strength * denoise(x, t).x0
        yield x
"""


@pytest.fixture
def own_sampler(tmp_path):
    (tmp_path / "mine/sampler").mkdir(parents=True)
    (tmp_path / "my_samplers.py").write_text(OWN_SAMPLER)
    yaml = "_target_: my_samplers.halving\nsteps: 5\nspacing: even\nstrength: 0.7\n"
    (tmp_path / "mine/sampler/halving.yaml").write_text(yaml)


def test_a_sampler_of_ones_own_is_a_function_and_a_yaml_file(command, trained, own_sampler):
    mine = [
        "--config-dir",
        "mine",
        f"ckpt={trained}",
        "sampler=halving",
        "n=2",
        "hydra.run.dir=out",
    ]
    refused = command("sample", *mine)
    trusted = command("sample", *mine, "trust=[my_samplers]")
    assert (
        "sampler._target_ must name a function or class of ddpm_cli.samplers, but is "
        "'my_samplers.halving'" in refused.err
    )
    assert trusted.code == 0, trusted.err
    assert "sampler    halving, 5 steps" in trusted.out


def test_a_refused_command_leaves_folders_of_others_alone(command):
    Path("mine").mkdir()
    Path("mine/.gitkeep").touch()
    assert command("train", "hydra.run.dir=mine", "trainer.steps=-1").code == 1
    assert [path.name for path in Path("mine").iterdir()] == [".gitkeep"]


def test_a_refused_command_leaves_the_run_in_its_folder_alone(command, trained):
    before = {path: path.read_bytes() for path in Path("trained").rglob("*") if path.is_file()}
    assert command("train", "hydra.run.dir=trained", "seed=3").code == 1
    assert command("sample", f"ckpt={trained}", "n=0", "hydra.run.dir=trained").code == 1
    assert {
        path: path.read_bytes() for path in Path("trained").rglob("*") if path.is_file()
    } == before


def test_a_path_that_hydra_cannot_read_is_told_how_to_be_quoted(command):
    err = command("train", "data=folder", "data.path=~/x").err
    assert "is quoted twice: 'data.path=\"~/photos\"'" in err
    assert err.count("\n") == 1


def test_a_yaml_file_with_a_mistake_in_it_is_told_in_one_line(command):
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/wrong.yaml").write_text("network: {dim: 3\n")
    outcome = command("train", "--config-dir", "mine", "model=wrong")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)


def test_trust_is_given_on_the_command_line_alone(command, own_sampler):
    Path("mine/experiment").mkdir()
    Path("mine/experiment/sly.yaml").write_text("# @package _global_\ntrust: [my_samplers]\n")
    outcome = command("train", "--config-dir", "mine", "+experiment=sly", "sampler=halving")
    assert (outcome.code, outcome.err) == (
        1,
        "error: trust can be given on the command line only\n",
    )


PROBE = """
import sys, time
sys.argv = ["ddpm-train", {arguments}]
import hydra
start = time.perf_counter()
from ddpm_cli.cli import train
try:
    train()
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules, "torch was imported"
"""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [('"--help"', [MODELS, "ddpm-train -m"]), ('"--cfg", "job"', ["seed: 0"])],
)
def test_help_and_configuration_import_no_torch(arguments, told):
    outcome = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert all(text in outcome.stdout for text in told)


@pytest.mark.parametrize("folder", ["made", "a/b"])
def test_a_failing_command_leaves_the_folder_that_the_user_has_made(command, folder):
    Path(folder).mkdir(parents=True)
    for name in ("sample", "evaluate"):
        assert command(name, "ckpt=missing.pt", f"hydra.run.dir={folder}").code == 1
        assert Path(folder).is_dir()


def test_a_failing_command_leaves_no_folder_of_its_own(command):
    assert command("sample", "ckpt=missing.pt", "hydra.run.dir=new").code == 1
    assert command("sample", "ckpt=missing.pt").code == 1
    assert not list(Path().iterdir())
