"""`ddpm-export` to a folder and to the hub, and a model of the hub read back."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from checkpoint_files import GOLDEN, change, change_config, edit
from conftest import TINY
from fake_hub import TOKEN, Model, serving
from huggingface_hub import constants

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.export.card import origin_text, public_command
from ddpm_cli.commands.export.command import Options, with_licence
from ddpm_cli.commands.export.public_checkpoint import public_checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.hub.address import HubAddress, parse_address, path_text
from ddpm_cli.run_folder.evaluations import append_evaluations

# of the hub's library, about its own client
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on loopback with the user's token, and an empty cache."""
    with serving() as hub:
        url = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


@pytest.fixture
def published(command, trained, hub, runs):
    """The export of a tiny run, in a folder and on the hub."""
    if not (runs / "export").exists():
        outcome = command("export", f"ckpt={trained}", f"out={runs / 'export'}", "licence=mit")
        assert outcome.code == 0, outcome.err
    shutil.copytree(runs / "export", "mine")
    hub.models["me/digits"] = Model(private=True)
    hub.models["me/digits"].commit(contents("mine"))
    return hub.models["me/digits"]


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_the_folder_holds_the_ema_alone_and_a_card(command, trained):
    outcome = command("export", f"ckpt={trained}", "out=mine", "licence=cc-by-4.0")
    assert outcome.code == 0, outcome.err
    names = {"model.safetensors", "README.md", "samples.png"}
    assert {path.name for path in Path("mine").iterdir()} == names
    ours, theirs = Checkpoint.load(Path("mine/model.safetensors")), Checkpoint.load(trained)
    assert {name.partition(".")[0] for name in ours.tensors} == {"ema"}
    assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)
    assert (ours.overrides, ours.config_dir, ours.optimizer, ours.step) == (None, None, {}, 4)
    card = Path("mine/README.md").read_text()
    fields = yaml.safe_load(card.split("---")[1])
    assert fields["library_name"] == "ddpm-cli"
    assert fields["tags"] == ["ddpm", "diffusion", "unconditional-image-generation"]
    assert fields["license"] == "cc-by-4.0"
    for part in ("ddpm-sample ckpt=model.safetensors", "digits", "ddpm-train model.network.dim=8"):
        assert part in card


def test_the_card_of_a_conditional_model_says_so(command, conditional):
    assert command("export", f"ckpt={conditional}", "out=mine").code == 0
    card = Path("mine/README.md").read_text()
    fields = yaml.safe_load(card.split("---")[1])
    assert fields["tags"] == ["ddpm", "diffusion", "class-conditional-image-generation"]
    assert "unconditional" not in card
    assert "ddpm-sample ckpt=model.safetensors n=64 label=all guidance=2\n" in card
    assert "in 1 channel, conditional on 10 classes, " in card


@pytest.mark.slow
def test_samples_of_the_folder_are_those_of_the_checkpoint(command, trained):
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    for name, ckpt in (("one", trained), ("two", "mine/model.safetensors")):
        outcome = command("sample", f"ckpt={ckpt}", "n=2", f"hydra.run.dir={name}")
        assert outcome.code == 0, outcome.err
    assert Path("one/grid.png").read_bytes() == Path("two/grid.png").read_bytes()


def test_info_counts_the_parameters_of_an_export_and_raw_weights_are_refused(command, trained):
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    assert "parameters  58,273" in command("info", "ckpt=mine/model.safetensors").out
    outcome = command("sample", "ckpt=mine/model.safetensors", "weights=raw")
    told = "weights=raw: mine/model.safetensors has none (an export has the EMA)"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_no_run_goes_on_from_an_export(command, trained):
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    outcome = command("train", "resume=mine/model.safetensors", "hydra.run.dir=run")
    told = "is an export, which holds the EMA alone: no run goes on from it, but recipe=mine/model"
    assert outcome.code == 1
    assert told in outcome.err


def test_without_a_licence_the_card_says_so(command, trained):
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    card = Path("mine/README.md").read_text()
    assert "license" not in card.split("---")[1]
    assert "No licence is named: ask the owner before any use." in card


def test_figures_stand_on_the_card_with_their_protocol(command, trained):
    figures = {"value": 1.5, "low": 1.25, "high": 1.75, "protocol": "nll | n 8 | ddpm-cli"}
    rows = [{"metric": "nll", "step": step, "protocol_id": "1", **figures} for step in (3, 4)]
    append_evaluations(trained, rows)
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    lines = Path("mine/README.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| nll")]
    assert rows == [r"| nll | 1.5 | 1.25 to 1.75 | nll \| n 8 \| ddpm-cli |"]


def test_nothing_of_the_machine_is_published(command, trained, tmp_path):
    def name_paths(config):
        config.data.cache = str(tmp_path / "store")
        config.resume = str(Path.home() / "old.safetensors")

    change_config(trained, name_paths)
    change(trained, config_dir=str(tmp_path), overrides=[f"data.cache={tmp_path}/store"])
    (tmp_path / "yaml").mkdir()
    outcome = command("export", f"--config-dir={tmp_path}/yaml", f"ckpt={trained}", "out=mine")
    assert outcome.code == 0, outcome.err
    assert Checkpoint.load(Path("mine/model.safetensors")).config.data.cache == "store"
    content = b"".join(path.read_bytes() for path in Path("mine").iterdir())
    for secret in (tmp_path, Path.home(), Path(__file__).resolve().parents[2]):
        assert str(secret).encode() not in content


def test_no_logger_and_no_trust_is_published(command, trained):
    def name_services(config):
        config.trainer.loggers = ["tensorboard", "mlflow"]
        config.logger.mlflow = {"project": "secret", "uri": "https://me@host"}
        config.trust = ["secret_module"]

    change_config(trained, name_services)
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    config = Checkpoint.load(Path("mine/model.safetensors")).config
    assert not {"logger", "resume", "trust"} & config.keys()
    content = b"".join(path.read_bytes() for path in Path("mine").iterdir())
    for secret in (b"me@host", b"mlflow", b"secret"):
        assert secret not in content


@pytest.mark.slow
def test_an_old_file_is_exported_as_the_newest_format(command):
    ckpt = f"ckpt={GOLDEN / 'format_1.pt'}"
    assert command("export", ckpt, "out=mine").code == 0
    assert Checkpoint.load(Path("mine/model.safetensors"), ["ema"]).step == 4


@pytest.mark.slow
def test_the_program_gives_the_networks_outputs_for_any_batch(command, conditional):
    outcome = command("export", f"ckpt={conditional}", "out=mine", "to=torch_export")
    assert outcome.code == 0, outcome.err
    program = torch.export.load("mine/model.pt2").module()
    checkpoint = Checkpoint.load(conditional)
    network = load_denoiser(checkpoint, weights="ema", device="cpu", trust=[]).network
    for count in (1, 2, 5):
        x, t = torch.randn(count, 1, 8, 8), torch.rand(count) * 999
        label = torch.arange(count) - 1
        with torch.no_grad():
            torch.testing.assert_close(program(x, t, label), network(x, t, label))
    for secret in (Path(__file__).resolve().parents[2], Path(torch.__file__).parent):
        assert str(secret).encode() not in Path("mine/model.pt2").read_bytes()


def test_what_goes_up_is_said_before_and_is_private(command, trained, hub):
    outcome = command("export", f"ckpt={trained}", "out=mine", "push=me/digits", "licence=MIT")
    assert outcome.code == 0, outcome.err
    model, files = hub.models["me/digits"], contents("mine")
    assert model.private and model.newest[1] == files
    lines = outcome.out.splitlines()
    assert f"push       to {hub.url}/me/digits, private:" in lines
    for name in files:
        assert any(re.fullmatch(rf" +{name}, [0-9.]+ (bytes|KiB)", line) for line in lines)
    assert f"pushed     hf://me/digits@{model.newest[0]}" in outcome.out
    assert "ckpt=hf://me/digits" in Path("mine/README.md").read_text()


def test_no_other_file_of_a_folder_goes_up_and_its_card_names_the_model(command, trained, hub):
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    Path("mine/photo.png").write_bytes(b"mine")
    Path("mine/README.md").write_text(Path("mine/README.md").read_text() + "\nMy own words.\n")
    outcome = command("export", f"ckpt={trained}", "out=mine", "push=me/digits")
    assert outcome.code == 0, outcome.err
    files = hub.models["me/digits"].newest[1]
    assert "photo.png" not in files
    assert b"ddpm-sample ckpt=hf://me/digits n=64" in files["README.md"]
    assert b"My own words." in files["README.md"]


def test_a_model_of_the_hub_is_read_back_and_its_commit_recorded(command, published, hub):
    commit = published.newest[0]
    for name, ckpt in (("one", "mine/model.safetensors"), ("two", "hf://me/digits")):
        outcome = command("sample", f"ckpt={ckpt}", "n=2", "png=true", f"hydra.run.dir={name}")
        assert outcome.code == 0, outcome.err
    assert f"checkpoint hf://me/digits@{commit}: step 4, ema weights" in outcome.out
    assert Path("one/grid.png").read_bytes() == Path("two/grid.png").read_bytes()
    one, two = (json.loads(Path(name, "samples.json").read_text()) for name in ("one", "two"))
    assert two["files"]["ckpt"] == f"hf://me/digits@{commit}"
    assert two["recipe"] == one["recipe"]
    assert f"hub         hf://me/digits@{commit}" in command("info", "ckpt=hf://me/digits").out


def test_a_commit_in_the_cache_needs_no_hub(command, published, hub, monkeypatch):
    commit = published.newest[0]
    assert command("info", "ckpt=hf://me/digits").code == 0
    hub.requests.clear()
    assert command("info", f"ckpt=hf://me/digits@{commit}").code == 0
    assert hub.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert command("info", "ckpt=hf://me/digits").code == 0
    assert hub.requests == []


def test_a_recipe_of_the_hub_trains_again(command, published, composed):
    outcome = command("train", "recipe=hf://me/digits", "hydra.run.dir=again")
    assert outcome.code == 0, outcome.err
    again = Checkpoint.load(Path("again/checkpoints/last.safetensors"))
    assert again.config == composed("train", *TINY, "trainer.steps=4")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\3\4" + bytes(2**20), "no checkpoint of format 5 (the length of the header"),
        (b"\x02" + bytes(7) + b"{}" + bytes(2**20), "(the header holds no texts)"),
    ],
    ids=["archive", "empty header"],
)
def test_a_foreign_file_is_refused_by_its_head_and_not_fetched(command, hub, content, told):
    hub.models["a/b"] = Model(private=False)
    hub.models["a/b"].commit({"model.safetensors": content + bytes(2**24)})
    outcome = command("sample", "ckpt=hf://a/b")
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert "error: cannot read model.safetensors of hf://a/b@main: " in outcome.err
    assert told in outcome.err
    assert hub.sent < 2**23
    assert not list(Path("cache").rglob("*.safetensors"))


def test_a_file_that_is_cut_off_is_refused_by_its_size(command, published, hub):
    published.commit({"model.safetensors": published.newest[1]["model.safetensors"][:-1]})
    outcome = command("info", "ckpt=hf://me/digits")
    assert outcome.code == 1
    assert "the file is cut off within its tensors" in outcome.err


@pytest.mark.parametrize(
    ("ckpt", "told"),
    [
        ("hf://a/none", "the hub has none of this name or revision; if it is private or gated"),
        ("hf://me/digits@abc", "the hub has none of this name or revision"),
        ("hf://digits", "a model on the hub is hf://OWNER/NAME[@REVISION], but is 'hf://digits'"),
        ("hf://a/../b", "a model on the hub is hf://OWNER/NAME[@REVISION]"),
    ],
)
def test_a_model_that_is_not_there_is_told_in_one_line(command, published, ckpt, told):
    outcome = command("info", f"ckpt={ckpt}")
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert told in outcome.err


def test_a_private_model_needs_a_token(command, published, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    outcome = command("info", "ckpt=hf://me/digits")
    assert outcome.code == 1
    assert "the hub denies access (401): set HF_TOKEN or run `hf auth login`" in outcome.err


def test_a_push_without_a_token_keeps_the_folder_and_goes_on(command, trained, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    push = ["export", f"ckpt={trained}", "out=mine", "push=me/digits", "licence=mit"]
    outcome = command(*push)
    told = (
        "push=me/digits: there is no token: set HF_TOKEN or run `hf auth login` "
        "('mine' is complete, and the same command pushes it)"
    )
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert hub.models == {}
    Path("mine/README.md").write_text(Path("mine/README.md").read_text() + "\nMy own words.\n")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert command(*push).code == 0
    assert b"My own words." in hub.models["me/digits"].newest[1]["README.md"]


def test_a_push_without_a_network_or_with_a_wrong_token_is_one_line(
    command, trained, hub, monkeypatch
):
    push = ["export", f"ckpt={trained}", "out=mine", "push=me/digits"]
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    outcome = command(*push)
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert "the hub denies access (401)" in outcome.err
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    outcome = command(*push)
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert "push=me/digits: http://127.0.0.1:9 cannot be reached" in outcome.err
    assert Path("mine/model.safetensors").exists()


def test_a_public_push_takes_the_licence_of_the_import(trained):
    public = Options(ckpt="a", to="auto", out="a", push="a/b", private=False, trust=[])
    checkpoint = Checkpoint.load(trained, [])
    for carried in ({}, {"licence": "unknown"}):
        with pytest.raises(ValueError, match="private=false needs licence="):
            with_licence(public, replace(checkpoint, origin=carried))
    imported = replace(checkpoint, origin={"licence": "MIT"})
    assert with_licence(public, imported).licence == "MIT"
    assert with_licence(replace(public, licence="isc"), imported).licence == "isc"


def test_the_card_of_a_fine_tuned_model_names_its_first_weights(trained):
    init = {"source": "base.safetensors", "step": "9", "weights": "raw", "tensors": "8 of 9"}
    tuned = replace(public_checkpoint(Checkpoint.load(trained)), init=init)
    assert public_command(tuned).endswith(" init=base.safetensors init_weights=raw")
    began = "Training began with weights from base.safetensors (step 9, raw weights), 8 of 9 ten"
    assert origin_text(tuned)[1].startswith(began)
    origin = {"file": "theirs", "source": "hf://a/b", "licence": "MIT"}
    _, text = origin_text(replace(tuned, origin=origin))
    imported = "imported weights: theirs. Source: hf://a/b. Licence: MIT."
    assert text.splitlines()[1] == f"Training began with {imported}"
    _, text = origin_text(replace(tuned, origin=origin, init={}, steps=0, step=0))
    assert text.startswith("The weights were imported: theirs.")
    assert origin_text(replace(tuned, init={})) == []


def test_a_private_push_never_goes_to_a_public_model(command, trained, hub):
    hub.models["me/digits"] = Model(private=False)
    push = ["export", f"ckpt={trained}", "out=mine", "push=me/digits", "licence=mit"]
    outcome = command(*push)
    assert outcome.code == 1
    assert "push=me/digits: it is public already: private=false pushes to it" in outcome.err
    assert hub.models["me/digits"].newest[1] == {}
    assert command(*push, "private=false").code == 0
    assert "model.safetensors" in hub.models["me/digits"].newest[1]


def test_a_folder_of_another_checkpoint_or_licence_is_not_pushed(command, trained, hub):
    assert command("export", f"ckpt={trained}", "out=mine", "licence=mit").code == 0
    push = ["export", "out=mine", "push=me/digits"]
    outcome = command(*push, f"ckpt={GOLDEN / 'format_1.pt'}")
    assert "'mine' is an export of another checkpoint; name another folder" in outcome.err
    outcome = command(*push, f"ckpt={trained}", "licence=apache-2.0")
    assert "licence=apache-2.0 is not in 'mine/README.md': write it there" in outcome.err
    assert hub.models == {}


def whole(path, trained):
    shutil.copy(trained, path)


def with_overrides(path, trained):
    change(path, overrides=["data.path=/home/me/photos"])


def with_logger(path, trained):
    change_config(path, lambda config: config.update({"logger": {"mlflow": {"uri": "me@host"}}}))


def with_note(path, trained):
    edit(path, note=["/home/me"])


@pytest.mark.parametrize("spoil", [whole, with_overrides, with_logger, with_note])
def test_a_folder_with_more_than_an_export_is_not_pushed(command, trained, hub, spoil):
    assert command("export", f"ckpt={trained}", "out=mine").code == 0
    spoil(Path("mine/model.safetensors"), trained)
    outcome = command("export", f"ckpt={trained}", "out=mine", "push=me/digits")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "'mine/model.safetensors' holds more than an export: name another" in outcome.err
    assert hub.models == {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["out=a", "push=digits"], "push must be OWNER/NAME of a model on the hub"),
        (["out=a.safetensors", "push=a/b"], "push='a/b' has no effect with a single file"),
        (["out=a", "private=false"], "private=false has no effect without push"),
        (["out=a", "push=a/b", "private=false"], "private=false needs licence=..."),
        (["out=a", "licence='a\nb'"], "licence must be a name of 1 to 100 characters"),
        (["out=a", "licence=unknown"], "licence must be a name, but is 'unknown': leave it out"),
        (["out=a.safetensors", "to=safetensors"], "out must be a folder with to=safetensors"),
        (["out=a", "to=ckpt"], "out must end in .safetensors, but is 'a'"),
    ],
)
def test_options_that_do_not_fit_are_told(command, trained, options, told):
    outcome = command("export", f"ckpt={trained}", *options)
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert told in outcome.err
    assert not Path("a").exists()


def test_a_path_in_the_cache_is_the_address_of_its_commit():
    commit = "0123456789" * 4
    path = Path("cache/models--me--my--digits/snapshots", commit, "model.safetensors")
    assert path_text(path) == f"hf://me/my--digits@{commit}"
    assert parse_address(f"hf://me/digits@{commit}") == HubAddress("me/digits", commit)
    assert path_text(Path("run/checkpoints/last.safetensors")) == "run/checkpoints/last.safetensors"


def test_a_checkpoint_without_an_ema_is_not_exported(trained):
    with pytest.raises(ValueError, match="holds no EMA"):
        public_checkpoint(Checkpoint.load(trained, ["network"]))
