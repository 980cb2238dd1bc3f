"""Checkpoints: whole or not at all, and nothing in them is executed."""

import math
import pickle
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from problems import save
from torch import nn
from torch.amp import GradScaler

from ddpm_cli import checkpoints, schedules
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints.formats import to_newest_format
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.networks.unet import UNet
from ddpm_cli.parallel import network_state, optimizer_state
from ddpm_cli.training import TrainState, snapshot

FORMAT_1 = Path(__file__).parents[1] / "golden/format_1.pt"
SCALER = GradScaler("cpu").state_dict()
CFG = OmegaConf.create({"seed": 0, "model": {"dims": [1, 2]}})
ABOUT = {"data": "print", "facts": {"shape": [1, 8, 8], "classes": ["a"], "steps": 9}}


def state(seed=0, dim=8):
    torch.manual_seed(seed)
    diffusion = GaussianDiffusion.from_betas(schedules.cosine(steps=10))
    fresh = TrainState.fresh(
        Denoiser(diffusion, UNet(1, 1, dim=dim, dim_mults=(1, 2))),
        partial(torch.optim.Adam, lr=1e-3),
    )
    fresh.denoiser(torch.zeros(1, 1, 8, 8), 3).output.sum().backward()
    fresh.optimizer.step()
    fresh.step = 3
    return fresh


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "x.pt"
    save(path, state(), CFG, **ABOUT)
    return path.read_bytes()


@pytest.fixture
def saved(tmp_path, written):
    (tmp_path / "x.pt").write_bytes(written)
    return tmp_path / "x.pt"


class Touch:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def test_what_is_saved_comes_back(saved):
    checkpoint, other = Checkpoint.load(saved), state(seed=1)
    snapshot.restore_snapshot(other, checkpoint)
    assert (checkpoint.config, checkpoint.fingerprint, other.step) == (CFG, "print", 3)
    facts = {name: getattr(checkpoint, name) for name in checkpoints.FACTS}
    assert facts == {**ABOUT["facts"], "lr_scale": 1.0, "skipped": 0}
    pairs = zip(
        state().denoiser.network.parameters(), other.denoiser.network.parameters(), strict=True
    )
    assert all(torch.equal(one, two) for one, two in pairs)
    assert torch.equal(
        other.optimizer.state_dict()["state"][0]["exp_avg"],
        state().optimizer.state_dict()["state"][0]["exp_avg"],
    )


def test_weights_of_another_network_are_refused(saved):
    with pytest.raises(ValueError, match="the weights do not fit this network"):
        snapshot.restore_snapshot(state(dim=16), Checkpoint.load(saved))


@pytest.mark.parametrize(
    "damage", [lambda file: file[:3000], lambda file: b"x" + file, lambda file: b"\x80\x04."]
)
def test_damaged_files_are_told_in_one_line(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(ValueError, match="it is damaged, or no checkpoint, or would run code"):
        Checkpoint.load(saved)


def test_no_file_an_empty_file_and_a_folder_have_sentences_of_their_own(tmp_path):
    path = tmp_path / "x.pt"
    with pytest.raises(ValueError, match=r"^there is no checkpoint at '.*x.pt'$"):
        Checkpoint.load(path)
    path.touch()
    with pytest.raises(ValueError, match=r"^the checkpoint '.*x.pt' is empty: the file has 0 byt"):
        Checkpoint.load(path)
    with pytest.raises(ValueError, match=r"is a folder, not a checkpoint: name a file in it, in t"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    "write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))]
)
def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write({"format": 1, "step": Touch()}, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match="would run code"):
        Checkpoint.load(tmp_path / "bad.pt")
    assert not Path("owned").exists()


@pytest.mark.parametrize("field", [*checkpoints.FIELDS])
@pytest.mark.parametrize("value", [None, 1.5])
def test_fields_that_are_missing_or_of_another_type_are_told(saved, field, value):
    torch.save({**torch.load(saved, weights_only=True), field: value}, saved)
    with pytest.raises(ValueError, match=f"'{field}' is missing or not what it should be"):
        Checkpoint.load(saved)


def altered(saved, change):
    content = torch.load(saved, weights_only=True)
    change(content)
    torch.save(content, saved)
    return saved


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda content: content.update(step=-1),
            "'step' and 'steps' must be at least 0 and less than 100,000,000",
        ),
        (
            lambda content: content.update(step=10**12),
            "'step' and 'steps' must be at least 0 and less than 100,000,000",
        ),
        (lambda content: content.update(step=True), "'step' is missing or not what it should be"),
        (
            lambda content: content["facts"].update(shape=[1, 10**6, 8]),
            "'shape' must be three numbers",
        ),
        (
            lambda content: content["facts"].update(shape=[True, 8, 8]),
            "'shape' must be three numbers",
        ),
        (lambda content: content["facts"].update(shape=[8, 8]), "'shape' must be three numbers"),
        (lambda content: content["facts"].update(classes=[1]), "'classes' must be names"),
        (
            lambda content: content["network"].update({1: torch.zeros(1)}),
            "'network' must hold names and dense tensors",
        ),
        (
            lambda content: content["ema"].update(x=torch.zeros(1).expand(9)),
            "'ema' must hold names and dense tensors",
        ),
        (
            lambda content: content["ema"].update(x=torch.tensor(float("nan"))),
            "the numbers in 'ema' are not finite",
        ),
        (
            lambda content: content["facts"].update(skipped=4),
            "'skipped' must be at least 0 and at most the step, 3, but is 4",
        ),
        (
            lambda content: content["facts"].pop("skipped"),
            "'skipped' is missing or not what it should be",
        ),
        (
            lambda content: content["facts"].pop("lr_scale"),
            "'lr_scale' is missing or not what it should be",
        ),
        (
            lambda content: content["facts"].update(lr_scale=0.0),
            "'lr_scale' must be between 0 and 1",
        ),
        (
            lambda content: content["scaler"].update(scale=1.0),
            "'scaler' must be empty or hold scale, growth_factor,",
        ),
        *(
            (
                lambda content, scale=scale: content["scaler"].update(SCALER, scale=scale),
                "'scaler' must be empty or hold scale,",
            )
            for scale in ("big", math.inf, -1.0, 10**400, 1e300)
        ),
        (
            lambda content: content["environment"].update({None: "x"}),
            "'environment' must hold names and texts",
        ),
        (
            lambda content: content["optimizer"][0].update(exp_avg=torch.tensor([math.nan])),
            "the moments in 'optimizer' are not finite",
        ),
        (
            lambda content: content["optimizer"][0].update(step=torch.tensor(-1.0)),
            "a count in 'optimizer' is negative",
        ),
        (
            lambda content: content.update(config="seed: 0x" + 4000 * "f"),
            "its configuration is not plain text that can be read",
        ),
        (lambda content: content.update(format="1"), "is not a checkpoint"),
        (lambda content: content.update(format=True), "is not a checkpoint"),
        (lambda content: content.update(format=0), "is not a checkpoint"),
    ],
)
def test_contradictions_are_told(saved, change, told):
    with pytest.raises(ValueError, match=told):
        Checkpoint.load(altered(saved, change))


@pytest.mark.parametrize(
    "moment",
    [
        torch.tensor(1.0),
        torch.empty(0),
        torch.zeros(3, 3),
        torch.zeros(1).expand(16),
        torch.zeros(16, dtype=torch.int64),
        None,
        "x",
    ],
)
def test_moments_of_other_shapes_never_reach_a_fused_kernel(saved, moment):
    checkpoint = Checkpoint.load(
        altered(saved, lambda content: content["optimizer"][0].update(exp_avg=moment))
    )
    with pytest.raises(
        ValueError, match="the optimizer's state does not fit Adam and this network"
    ):
        snapshot.restore_snapshot(state(), checkpoint)


@pytest.mark.parametrize("moments", [None, 3, {"step": torch.tensor(1.0)}])
def test_moments_that_are_none_are_told(saved, moments):
    checkpoint = Checkpoint.load(
        altered(saved, lambda content: content["optimizer"].update({0: moments}))
    )
    with pytest.raises(
        ValueError, match="the optimizer's state does not fit Adam and this network"
    ):
        snapshot.restore_snapshot(state(), checkpoint)


@pytest.mark.parametrize(
    "change",
    [dict.clear, lambda moments: moments.pop(0), lambda moments: moments.update({135: {}})],
)
def test_an_optimizer_that_misses_a_parameter_never_starts_afresh(saved, change):
    checkpoint = Checkpoint.load(altered(saved, lambda content: change(content["optimizer"])))
    with pytest.raises(
        ValueError, match=r"the optimizer's state is of \d+ parameters, but the network has 135"
    ):
        snapshot.restore_snapshot(state(), checkpoint)


def test_a_parameter_that_never_got_a_gradient_has_nothing_to_remember(tmp_path):
    lazy, other = state(), state(seed=1)
    lazy.optimizer.state.pop(lazy.optimizer.param_groups[0]["params"][0])
    save(tmp_path / "x.pt", lazy, CFG, **ABOUT)
    checkpoint = Checkpoint.load(tmp_path / "x.pt")
    snapshot.restore_snapshot(other, checkpoint)
    assert checkpoint.optimizer[0] == {}
    assert optimizer_state(other.optimizer).keys() == checkpoint.optimizer.keys()


def test_what_would_be_refused_is_never_written(tmp_path):
    bad = state()
    next(bad.ema.parameters()).fill_(math.nan)
    with pytest.raises(ValueError, match="the numbers in 'ema' are not finite"):
        save(tmp_path / "x.pt", bad, CFG, **ABOUT)
    assert not list(tmp_path.iterdir())


def test_every_format_has_a_way_to_the_newest():
    assert [*checkpoints.MIGRATIONS] == [*range(1, checkpoints.FORMAT)]


def test_a_file_of_format_1_is_read_as_one_of_the_newest():
    checkpoint = Checkpoint.load(FORMAT_1)
    content = torch.load(FORMAT_1, weights_only=True)
    assert content["format"] == 1
    assert to_newest_format(content)["format"] == checkpoints.FORMAT
    assert (checkpoint.step, checkpoint.scaler) == (4, {})
    assert (checkpoint.lr_scale, checkpoint.skipped) == (1.0, 0)


@pytest.mark.parametrize(
    "field", ["config", "step", "data", "network", "ema", "optimizer", "environment", "facts"]
)
def test_a_migration_makes_up_nothing_that_is_missing(tmp_path, field):
    torch.save({**torch.load(FORMAT_1, weights_only=True), field: None}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=f"'{field}' is missing or not what it should be"):
        Checkpoint.load(tmp_path / "x.pt")


def test_an_optimizer_of_format_1_that_had_made_no_step_has_nothing_to_remember(tmp_path):
    torch.save({**torch.load(FORMAT_1, weights_only=True), "optimizer": {}}, tmp_path / "x.pt")
    assert Checkpoint.load(tmp_path / "x.pt").optimizer == {number: {} for number in range(71)}


def test_copies_are_taken_again_into_the_same_memory():
    memory, live = checkpoints.StagingBuffers(), {"a": torch.zeros(2, 3).t(), "b": {"c": 1}}
    first, complete = memory.copy(live)
    complete()
    live["a"] += 1
    second, complete = memory.copy(live)
    complete()
    assert second["a"] is first["a"]
    assert second["a"].is_contiguous()
    assert (second["a"].tolist(), second["b"]) == ([[1.0, 1.0]] * 3, {"c": 1})


def test_buffers_are_copied_at_once_for_a_forward_pass_may_change_them():
    norm = nn.BatchNorm1d(2)
    before = network_state(norm)
    norm(torch.ones(4, 2))
    assert before["running_mean"].tolist() == [0, 0]
    assert before["weight"].data_ptr() == norm.weight.data_ptr()


def test_a_flipped_bit_is_found(saved):
    file = bytearray(saved.read_bytes())
    file[len(file) // 2] ^= 1
    saved.write_bytes(file)
    with pytest.raises(ValueError, match="it is damaged"):
        Checkpoint.load(saved)


def test_compressed_archives_are_refused_before_they_are_unpacked(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="it is damaged, or no checkpoint"):
        Checkpoint.load(saved)


def test_names_that_torch_allows_but_we_do_not_write_are_refused(saved):
    with pytest.raises(ValueError, match="would run code"):
        Checkpoint.load(altered(saved, lambda content: content["facts"].update(x=bytearray(8))))


def test_formats_of_the_future_are_told(saved):
    torch.save({**torch.load(saved, weights_only=True), "format": 99}, saved)
    with pytest.raises(
        ValueError, match="has format 99, but this version reads formats 1 to 4: upgrade ddpm-cli"
    ):
        Checkpoint.load(saved)


SLY = ['a: "\\x24{oc.env:HOME}"', '"\\e[31mred": 1', "a: " + "x" * 70_000, "a: " + "[" * 2000]


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
    torch.save({**torch.load(saved, weights_only=True), "config": text}, saved)
    with pytest.raises(ValueError, match="its configuration is not plain text that can be read"):
        Checkpoint.load(saved)


def test_a_save_that_fails_leaves_what_was_there(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(content, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        save(saved, state(), CFG, **ABOUT)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["x.pt"]


def test_what_the_disk_says_is_told_and_not_what_torch_makes_of_it(tmp_path):
    with Path("/dev/full").open("wb") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode: full)
        with pytest.raises(OSError, match="No space left on device"):
            save(tmp_path / "x.pt", state(), CFG, **ABOUT)


def test_the_newest_are_kept_and_the_last_is_one_of_them(tmp_path):
    for step in (1, 2, 10):
        kept = state()
        kept.step = step
        checkpoints.write_and_prune(
            tmp_path / "checkpoints", snapshot.take_snapshot(kept, CFG, **ABOUT), last=2
        )
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["last.pt", "step_00000002.pt", "step_00000010.pt"]
    assert Checkpoint.load(tmp_path / "checkpoints/last.pt").step == 10
    assert checkpoints.newest_first(tmp_path)[0].name == "step_00000010.pt"


def test_where_links_are_impossible_the_last_and_the_best_are_copies(tmp_path, monkeypatch):
    def impossible(*_):
        raise OSError("Operation not permitted")

    monkeypatch.setattr("os.link", impossible)
    for step in (1, 2):
        kept = state()
        kept.step = step
        content = snapshot.take_snapshot(kept, CFG, **ABOUT)
        checkpoints.write_and_prune(tmp_path / "checkpoints", content, last=1, best=step == 1)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.pt", "last.pt", "step_00000002.pt"]
    found = [Checkpoint.load(tmp_path / f"checkpoints/{name}.pt").step for name in ("best", "last")]
    assert found == [1, 2]
