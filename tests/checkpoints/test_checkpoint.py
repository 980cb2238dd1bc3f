"""Checkpoints: whole or not at all, and nothing in them is executed."""

import math
import tomllib
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from checkpoint_files import ABOUT, CFG, edit, save, state
from omegaconf import OmegaConf
from torch import nn
from torch.amp import GradScaler

from ddpm_cli import checkpoints
from ddpm_cli.checkpoints import Checkpoint, safetensors_file
from ddpm_cli.checkpoints.checkpoint import environment
from ddpm_cli.checkpoints.faults import FIELDS, LATER_FIELDS
from ddpm_cli.parallel import network_state
from ddpm_cli.training import snapshot
from ddpm_cli.versions import package_version

ROOT = Path(__file__).resolve().parents[2]
SCALER = GradScaler("cpu").state_dict()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "x.safetensors"
    save(path, state())
    return path.read_bytes()


@pytest.fixture
def saved(tmp_path, written):
    (tmp_path / "x.safetensors").write_bytes(written)
    return tmp_path / "x.safetensors"


def test_what_is_saved_comes_back(saved):
    checkpoint, other = Checkpoint.load(saved), state(seed=1)
    snapshot.restore_snapshot(other, checkpoint)
    assert (checkpoint.config, other.step) == (CFG, 3)
    assert {name: getattr(checkpoint, name) for name in ABOUT} == ABOUT
    assert (checkpoint.lr_scale, checkpoint.skipped, checkpoint.overrides) == (1.0, 0, None)
    pairs = zip(
        state().denoiser.network.parameters(), other.denoiser.network.parameters(), strict=True
    )
    assert all(torch.equal(one, two) for one, two in pairs)
    assert torch.equal(
        other.optimizer.state_dict()["state"][0]["exp_avg"],
        state().optimizer.state_dict()["state"][0]["exp_avg"],
    )


def test_only_the_parts_that_are_asked_for_are_read(saved):
    checkpoint = Checkpoint.load(saved, parts=("ema",))
    assert {name.split(".")[0] for name in checkpoint.tensors} == {"ema"}
    assert checkpoint.part("ema").keys() == state().ema.state_dict().keys()


def test_a_file_of_a_version_without_averages_is_read(tmp_path, monkeypatch):
    older = [part for part in safetensors_file.PARTS if part != "power_ema"]
    with monkeypatch.context() as patch:
        patch.setattr(safetensors_file, "PARTS", older)
        save(tmp_path / "older.safetensors", state())
    checkpoint = Checkpoint.load(tmp_path / "older.safetensors")
    assert (checkpoint.part("power_ema"), checkpoint.step) == ({}, 3)


def test_a_part_that_is_not_read_is_not_verified(saved):
    file = bytearray(saved.read_bytes())
    file[-1] ^= 1  # the last bytes are moments of the optimizer
    saved.write_bytes(file)
    Checkpoint.load(saved, parts=("ema", "network"))
    with pytest.raises(ValueError, match="the checksum of 'optimizer' differs"):
        Checkpoint.load(saved)


def test_training_on_changes_no_file_that_is_mapped(saved):
    before, other = saved.read_bytes(), state(seed=1)
    snapshot.restore_snapshot(other, Checkpoint.load(saved))
    other.optimizer.step()
    assert saved.read_bytes() == before
    assert other.optimizer.state_dict()["state"][0]["step"] == 2


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_come_back_in_the_layout_of_the_network(tmp_path, layout):
    one, other = state(), state(seed=1)
    for each in (one, other):
        each.denoiser.network.to(memory_format=layout)
    save(tmp_path / "x.safetensors", one)
    snapshot.restore_snapshot(other, Checkpoint.load(tmp_path / "x.safetensors"))
    for mine, its in zip(
        one.denoiser.network.parameters(), other.denoiser.network.parameters(), strict=True
    ):
        assert torch.equal(mine, its) and mine.stride() == its.stride()


def test_weights_keep_their_type(tmp_path):
    half = state()
    half.ema.to(torch.bfloat16)
    save(tmp_path / "x.safetensors", half)
    weights = Checkpoint.load(tmp_path / "x.safetensors").part("ema")
    assert {each.dtype for each in weights.values()} == {torch.bfloat16}


def test_weights_of_another_network_are_refused(saved):
    with pytest.raises(ValueError, match="the weights do not fit this network"):
        snapshot.restore_snapshot(state(dim=16), Checkpoint.load(saved))


def test_the_file_of_a_newer_format_stands_in_for_last_pt(saved, caplog):
    caplog.set_level("INFO")
    assert Checkpoint.load(saved.with_suffix(".pt")).path == saved
    assert f"x.pt stands for {saved}" in caplog.text
    with pytest.raises(ValueError, match=r"there is no checkpoint at '.*y\.pt'"):
        Checkpoint.load(saved.with_name("y.pt"))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [..., True])
def test_fields_that_are_missing_or_of_another_type_are_told(saved, field, value):
    told = f"'{field}' is missing or not what it should be"
    if value is not ... and field in ("config", "fingerprint", "verdict"):
        return  # every text of the header is a text
    if value is ... and field in LATER_FIELDS:
        return  # an older file lacks it
    with pytest.raises(ValueError, match=told):
        Checkpoint.load(edit(saved, **{field: value}))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"step": -1}, "at least 0 and less than 100,000,000, but are -1 and 9"),
        ({"step": 10**12}, "'step' and 'steps' must be at least 0 and less than 100,000,000"),
        ({"steps": -(10**400)}, "'step' and 'steps' must be at least 0"),
        ({"step": 1.5}, "'step' is missing or not what it should be"),
        ({"shape": [1, 10**6, 8]}, "'shape' must be three numbers"),
        ({"shape": [True, 8, 8]}, "'shape' must be three numbers"),
        ({"shape": [8, 8]}, "'shape' must be three numbers"),
        ({"classes": [1]}, "'classes' must be names of at most 200 characters"),
        ({"classes": ["x" * 201]}, "'classes' must be names of at most 200 characters"),
        ({"classes": ["gr\udcfcn"]}, "'classes' must be names of at most 200 characters"),
        ({"classes": ["x"] * 70_000}, "'classes' must be names of at most 200 characters"),
        ({"skipped": 4}, "'skipped' must be at least 0 and at most the step, 3, but is 4"),
        ({"lr_scale": 0.0}, "'lr_scale' must be between 0 and 1"),
        ({"lr_scale": 2.0}, "'lr_scale' must be between 0 and 1"),
        ({"scaler": {"scale": 1.0}}, "'scaler' must be empty or hold scale, growth_factor,"),
        *(
            ({"scaler": {**SCALER, "scale": scale}}, "'scaler' must be empty or hold scale,")
            for scale in ("big", -1.0, 10**400, 1e300)
        ),
        ({"environment": {"python": 3}}, "'environment' must hold names and texts"),
        ({"environment": {"python": "3" * 4000}}, "'environment' must hold names and texts"),
        ({"cadences": {"sample_every": 0}}, "checkpoint_every, each from 1 to 100,000,000"),
        ({"cadences": {"sample_every": 1.5}}, "'cadences' must hold evaluate_every, "),
        ({"cadences": {"steps": 5}}, "'cadences' must hold evaluate_every, "),
        ({"stream": [1]}, "'stream' must hold a text for each process"),
        ({"overrides": [1]}, "'overrides' must be at most 500 texts"),
        (
            {"optimizer": {"network.stem.weight": 1}},
            "'optimizer' must hold the state of parameters",
        ),
        ({"config": "seed: 0x" + 4000 * "f"}, "its configuration is not plain text"),
        ({"format": 6}, "its format is 6, but this version reads formats 1 to 5: upgrade ddpm-cli"),
        ({"format": "[5]"}, r"its format is \[5\], but this version reads formats 1 to 5"),
        ({"randomness": 3}, "its noise is of version 3, but this version knows 1 to 2: upgrade"),
        ({"randomness": 10**40}, "of version 10000000000000000000, but"),
    ],
)
def test_contradictions_are_told(saved, fields, told):
    with pytest.raises(ValueError, match=told):
        Checkpoint.load(edit(saved, **fields))


@pytest.mark.parametrize(
    ("name", "tensor", "told"),
    [
        ("ema.x", torch.tensor(math.nan), "the numbers in 'ema' are not finite"),
        ("network.x", torch.tensor([1.0, math.inf]), "the numbers in 'network' are not finite"),
        ("history.x", torch.tensor([-math.inf]).bfloat16(), "the numbers in 'history' are not fin"),
        ("optimizer.x.exp_avg", torch.tensor([math.nan]), "the numbers in 'optimizer' are not fin"),
        ("optimizer.x.step", torch.tensor(-1.0), "a count in 'optimizer' is negative"),
    ],
)
def test_impossible_numbers_are_told(saved, name, tensor, told):
    with pytest.raises(ValueError, match=told):
        Checkpoint.load(edit(saved, {name: tensor}))


WEIGHT = "network.stem.weight"
MISFIT = "the optimizer's state does not fit Adam and this network"


@pytest.mark.parametrize(
    "moment",
    [torch.tensor(1.0), torch.empty(0), torch.zeros(3, 3), torch.zeros(16, dtype=torch.int64)],
)
def test_moments_of_other_shapes_never_reach_a_fused_kernel(saved, moment):
    checkpoint = Checkpoint.load(edit(saved, {f"optimizer.{WEIGHT}.exp_avg": moment}))
    with pytest.raises(ValueError, match=MISFIT):
        snapshot.restore_snapshot(state(), checkpoint)


@pytest.mark.parametrize("entry", [{"exp_avg": None}, {"more": 1.0}, {"step": "x"}])
def test_moments_that_are_none_are_told(saved, entry):
    checkpoint = Checkpoint.load(edit(saved, optimizer={WEIGHT: entry}))
    tensors = dict(checkpoint.tensors)
    tensors.pop(f"optimizer.{WEIGHT}.{next(iter(entry))}", None)
    with pytest.raises(ValueError, match=MISFIT):
        snapshot.restore_snapshot(state(), replace(checkpoint, tensors=tensors))


@pytest.mark.parametrize("name", ["optimizer.network.other.exp_avg", "optimizer.0.exp_avg"])
def test_moments_of_foreign_parameters_are_told(saved, name):
    checkpoint = Checkpoint.load(edit(saved, {name: torch.zeros(1)}))
    told = "the optimizer's state, of 136 parameters, is not of the 135 parameters"
    with pytest.raises(ValueError, match=told):
        snapshot.restore_snapshot(state(), checkpoint)


def test_a_parameter_that_never_got_a_gradient_has_nothing_to_remember(tmp_path):
    lazy, other = state(), state(seed=1)
    lazy.optimizer.state.pop(lazy.optimizer.param_groups[0]["params"][0])
    save(tmp_path / "x.safetensors", lazy)
    checkpoint = Checkpoint.load(tmp_path / "x.safetensors")
    snapshot.restore_snapshot(other, checkpoint)
    assert [name for name, entry in checkpoint.optimizer.items() if entry == {}] != []
    assert len(other.optimizer.state) == 134


OPTIMIZERS = ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam")
OPTIONS = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}


@pytest.mark.parametrize("name", [*OPTIMIZERS, "ASGD", "Rprop", "Adafactor"])
def test_every_optimizer_of_torch_goes_on_with_its_state(tmp_path, name):
    optimizer = partial(getattr(torch.optim, name), lr=1e-3, **OPTIONS.get(name, {}))
    one, other = state(optimizer=optimizer), state(seed=1, optimizer=optimizer)
    save(tmp_path / "x.safetensors", one)
    snapshot.restore_snapshot(other, Checkpoint.load(tmp_path / "x.safetensors"))
    for each in (one, other):
        for parameter in each.parameters:
            parameter.grad = torch.ones_like(parameter)
        each.optimizer.step()
    pairs = zip(one.parameters, other.parameters, strict=True)
    assert all(torch.equal(mine, its) for mine, its in pairs)


def test_the_state_of_a_fused_optimizer_is_checked_without_memory(tmp_path, monkeypatch):
    optimizer = partial(torch.optim.AdamW, lr=1e-3, fused=True)
    save(tmp_path / "x.safetensors", state(optimizer=optimizer))
    devices, zeros = [], torch.zeros

    def seen(*args, **options):
        devices.append(options.get("device"))
        return zeros(*args, **options)

    other = state(seed=1, optimizer=optimizer)
    monkeypatch.setattr(torch, "zeros", seen)
    snapshot.restore_snapshot(other, Checkpoint.load(tmp_path / "x.safetensors"))
    assert "meta" in devices and "cpu" not in devices


def test_what_would_be_refused_is_never_written(tmp_path):
    bad = state()
    next(bad.ema.parameters()).fill_(math.nan)
    with pytest.raises(ValueError, match="the numbers in 'ema' are not finite"):
        save(tmp_path / "x.safetensors", bad)
    assert not list(tmp_path.iterdir())


BOMBS = [
    "a: " + "[" * 130_000,
    "a: " + "[" * 60_000 + "]" * 60_000,
    "a: [" + "1," * 60_000 + "1]",
    "a: [" + "[]," * 40_000 + "[]]",
    "a: " + "{b: " * 60 + "1" + "}" * 60,
]
TAGS = ["!!timestamp x", "!!map [1]", "!!binary aGVsbG8=", "!!python/object/apply:os.getcwd []"]
SLY = [
    *BOMBS,
    *(f"a: {tag}" for tag in TAGS),
    *('a: "\\x24{oc.env:HOME}"', '"\\e[31mred": 1', "a: " + "x" * 70_000, "a: " + "[" * 2000),
]


def test_a_schedule_of_four_thousand_numbers_is_plain_text(tmp_path):
    cfg = OmegaConf.create({"schedule": {"betas": torch.linspace(1e-4, 0.02, 4000).tolist()}})
    save(tmp_path / "x.safetensors", state(), cfg)
    assert Checkpoint.load(tmp_path / "x.safetensors").config == cfg


@pytest.mark.parametrize(
    "text",
    [
        "a: ${oc.env:HOME}",
        "a: &x [1]\nb: [*x, *x]",
        "[1, 2]",
        "a: [",
        "a: !!python/object:os.system 1",
        *SLY,
    ],
)
def test_configurations_are_plain_text(saved, text):
    with pytest.raises(ValueError, match="its configuration is not plain text that can be read"):
        Checkpoint.load(edit(saved, config=text))


def test_copies_are_taken_again_into_the_same_memory():
    memory, live = checkpoints.StagingBuffers(), {"a": torch.zeros(2, 3).t()}
    first, complete = memory.copy(live)
    complete()
    live["a"] += 1
    second, complete = memory.copy(live)
    complete()
    assert second["a"] is first["a"]
    assert second["a"].is_contiguous()
    assert second["a"].tolist() == [[1.0, 1.0]] * 3


def test_buffers_are_copied_at_once_for_a_forward_pass_may_change_them():
    norm = nn.BatchNorm1d(2)
    before = network_state(norm)
    norm(torch.ones(4, 2))
    assert before["running_mean"].tolist() == [0, 0]
    assert before["weight"].data_ptr() == norm.weight.data_ptr()


def test_no_file_an_empty_file_and_a_folder_have_sentences_of_their_own(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"^there is no checkpoint at '.*x.safetensors'$"):
        Checkpoint.load(path)
    path.touch()
    with pytest.raises(ValueError, match=r"^the checkpoint '.*' is empty: the file has 0 bytes"):
        Checkpoint.load(path)


@pytest.fixture
def runs(tmp_path):
    """Two runs in a folder, the second with its last checkpoint, and a folder of no run."""
    for name in ("outputs/a/checkpoints/step_00000004", "outputs/b/checkpoints/last"):
        path = tmp_path / f"{name}.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1")
    (tmp_path / "photos").mkdir()
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("named", "read"),
    [
        ("b", "b/checkpoints/last.safetensors"),
        ("b/checkpoints", "b/checkpoints/last.safetensors"),
        ("a", "a/checkpoints/step_00000004.safetensors"),
        ("a/checkpoints", "a/checkpoints/step_00000004.safetensors"),
    ],
)
def test_a_folder_stands_for_the_last_checkpoint_of_its_run(runs, named, read):
    assert checkpoints.existing_file(runs / named) == runs / read


def test_a_folder_of_one_safetensors_file_stands_for_the_file(runs):
    only = runs.parent / "photos/model.safetensors"
    only.write_bytes(b"1")
    assert checkpoints.existing_file(only.parent) == only
    only.with_stem("other").write_bytes(b"1")
    told = "holds 2 checkpoints: name one of model.safetensors, other.safetensors"
    with pytest.raises(ValueError, match=told):
        checkpoints.existing_file(only.parent)


def test_a_folder_of_runs_and_a_folder_without_runs_are_refused(runs):
    with pytest.raises(ValueError, match=r"is a folder of 2 runs: name one, as '.*/outputs/[ab]'"):
        checkpoints.existing_file(runs)
    with pytest.raises(ValueError, match=r"^there is no checkpoint in the folder '.*photos'$"):
        checkpoints.existing_file(runs.parent / "photos")


def test_where_links_are_impossible_the_last_and_the_best_are_copies(tmp_path, monkeypatch):
    def impossible(*_):
        raise OSError("Operation not permitted")

    monkeypatch.setattr("os.link", impossible)
    for step in (1, 2):
        kept = state()
        kept.step = step
        checkpoint = snapshot.take_snapshot(kept, CFG, **ABOUT)
        checkpoints.write_and_prune(tmp_path, checkpoint, last=1, best=step == 1)
    folder = tmp_path / "checkpoints"
    names = sorted(path.stem for path in folder.iterdir())
    assert names == ["best", "last", "step_00000002"]
    found = [Checkpoint.load(folder / f"{name}.safetensors").step for name in ("best", "last")]
    assert found == [1, 2]


def test_the_newest_are_kept_and_the_last_is_one_of_them(tmp_path):
    for step in (1, 2, 10):
        kept = state()
        kept.step = step
        checkpoint = snapshot.take_snapshot(kept, CFG, **ABOUT)
        checkpoints.write_and_prune(tmp_path, checkpoint, last=2)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"{name}.safetensors" for name in ("last", "step_00000002", "step_00000010")]
    assert Checkpoint.load(tmp_path / "checkpoints/last.safetensors").step == 10
    assert checkpoints.newest_first(tmp_path)[0].stem == "step_00000010"


def test_a_run_of_an_old_format_goes_on_in_its_folder(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for step, link in ((1, "best"), (2, "last")):
        (folder / f"step_0000000{step}.pt").write_bytes(b"old")
        (folder / f"{link}.pt").hardlink_to(folder / f"step_0000000{step}.pt")
    checkpoint = snapshot.take_snapshot(state(), CFG, **ABOUT)
    checkpoints.write_and_prune(tmp_path, checkpoint, last=2)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["best.pt", "last.safetensors", "step_00000002.pt", "step_00000003.safetensors"]
    assert checkpoints.best_checkpoint(tmp_path)
    checkpoints.write_and_prune(tmp_path, checkpoint, last=2, best=True)
    assert (folder / "best.safetensors").exists()


def test_an_old_checkpoint_that_is_the_only_copy_is_never_deleted(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("last", "best"):
        (folder / f"{name}.pt").write_bytes(b"only copy")
    checkpoint = snapshot.take_snapshot(state(), CFG, **ABOUT)
    checkpoints.write_and_prune(tmp_path, checkpoint, last=1, best=True)
    assert {path.read_bytes() for path in folder.glob("*.pt")} == {b"only copy"}
    assert len([*folder.glob("*.pt")]) == 2


def test_a_checkout_that_is_not_installed_has_the_version_of_its_project(monkeypatch, tmp_path):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("ddpm_cli.versions.version", absent)
    versions = environment.__wrapped__()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert versions["ddpm-cli"] == project["version"]
    assert versions["numpy"] == package_version("ddpm-cli", tmp_path / "none") == "unknown"
