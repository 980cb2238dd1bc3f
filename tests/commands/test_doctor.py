"""ddpm-doctor, and the same checks at the start of every run."""

from functools import wraps
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY
from PIL import Image
from run_files import tensors
from torch import nn

from ddpm_cli import losses
from ddpm_cli.commands.train import checks
from ddpm_cli.networks.unet import UNet
from ddpm_cli.preflight import resources as room

WARNED = [*TINY, "schedule=linear", "schedule.last=0.002", "trainer.steps=2", "hydra.run.dir=run"]


@pytest.fixture
def endless_gradient(monkeypatch):
    """The loss l2 with a gradient that is not finite."""
    clean = losses.l2

    @wraps(clean)
    def rooted(denoiser, batch):
        found = clean(denoiser, batch)
        return found + (found - found).sqrt()

    monkeypatch.setattr(losses, "l2", rooted)


@pytest.fixture
def idle_layer(monkeypatch):
    """UNets with a layer that is not used."""
    build = UNet.__init__

    @wraps(build)
    def with_layer(self, *args, **options):
        build(self, *args, **options)
        self.idle = nn.Linear(2, 2)

    monkeypatch.setattr(UNet, "__init__", with_layer)


def small_disk(monkeypatch, free):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))


def test_the_doctor_says_what_a_run_would_meet_and_writes_nothing(command):
    outcome = command("doctor", *TINY)
    levels = [
        line.split()[0] for line in outcome.out.splitlines() if not line.startswith("cached")
    ]  # by whatever test came first
    assert outcome.code == 0, outcome.err
    described = ["device", "peak", "data", "schedule", "model", "length"]
    assert levels == [*described, *["ok"] * 5, "checking", *["ok"] * 2, *["estimate"] * 2]
    assert not list(Path().iterdir())


@pytest.mark.slow
def test_the_doctor_sets_the_length_of_a_budget_and_leaves_nothing_of_it(command):
    outcome = command("doctor", *TINY, "trainer.minutes=5", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert "(set by trainer.minutes=5)" in outcome.out
    assert not list(Path().iterdir())


def test_a_run_tells_warnings_once_and_an_estimate_and_goes_on(command):
    outcome = command("train", *WARNED)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("warning: ") == 1
    assert (
        "warning: sampling starts from pure noise, which training never saw: expect tints"
        in outcome.out
    )
    assert "estimate   about " in outcome.out
    assert "ok " not in outcome.out


def test_a_gradient_that_is_not_finite_stops_a_run_before_its_first_step(command, endless_gradient):
    outcome = command("train", *TINY, "hydra.run.dir=run")
    diagnosis = command("doctor", *TINY)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith("error: the gradient of stem.weight, stem.bias, ")
    assert [path.name for path in Path("run").iterdir()] == ["train.log"]
    assert diagnosis.code == 1
    assert "error      the gradient of stem.weight" in diagnosis.out
    assert diagnosis.err.startswith(
        "error: ddpm-train would stop here: the gradient of stem.weight"
    )


def test_a_disk_that_is_too_small_is_a_warning_or_an_error(command, monkeypatch):
    small_disk(monkeypatch, 2**21)
    warned = command(
        "train", *TINY, "trainer.steps=2", "trainer.checkpoint_every=1", "hydra.run.dir=warned"
    )
    small_disk(monkeypatch, 1000)
    refused = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=refused")
    assert warned.code == 0, warned.err
    assert (
        "warning: disk: 4 checkpoints of 910.5 KiB take 3.6 MiB at most, 2.0 MiB are free"
        in warned.out
    )
    assert refused.code == 1
    assert "1000 bytes are free: not even one fits" in refused.err
    assert not Path("refused/checkpoints").exists()


def test_a_data_set_of_one_colour_is_told(command):
    Path("photos").mkdir()
    for index in range(16):
        Image.new("RGB", (8, 8), (200, 0, 0)).save(f"photos/{index}.png")
    outcome = command("doctor", *TINY, "data=folder", "data.path=photos", "data.size=8")
    assert outcome.code == 0, outcome.err
    assert "warning    16 of 16 images in a batch are of one colour" in outcome.out
    assert "warning    15 of 16 images in a batch are copies of others" in outcome.out


def test_a_parameter_without_a_gradient_is_told(command, idle_layer):
    out = command("train", *TINY, "trainer.steps=1").out
    assert "warning: idle.weight, idle.bias get no gradient and stay as they are" in out


def test_a_misspelt_option_is_told_by_the_doctor_in_one_line(command):
    outcome = command("doctor", "trainer.batch_size=abc")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: trainer.batch_size must be int or auto, but is 'abc'\n"


def test_the_doctor_looks_at_a_run_that_would_go_on_and_leaves_it_alone(command, trained):
    before = {path: path.read_bytes() for path in Path("trained").rglob("*") if path.is_file()}
    outcome = command("doctor", *TINY, "trainer.steps=6", "hydra.run.dir=trained", "resume=auto")
    assert outcome.code == 0, outcome.err
    assert "resumed    step 4 of" in outcome.out
    assert {
        path: path.read_bytes() for path in Path("trained").rglob("*") if path.is_file()
    } == before


def test_the_checks_change_no_bit_of_a_run(command, monkeypatch):
    command("train", *TINY, "model.network.dropout=0.1", "trainer.steps=3", "hydra.run.dir=with")
    monkeypatch.setattr(checks, "preflight_findings", lambda run: iter(()))
    command("train", *TINY, "model.network.dropout=0.1", "trainer.steps=3", "hydra.run.dir=without")
    one, other = tensors("with"), tensors("without")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len([name for name in one if name.startswith("network.")]) > 50
