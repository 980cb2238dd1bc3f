"""tuned.json: written beside a checkpoint, read as a stranger's, and taken where it is free."""

import json
import re
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from PIL import Image

from ddpm_cli.checkpoints import Checkpoint, file_hash
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.generation.tuned import TunedSetting, read_tuned, write_tuned

OPTIONS = {
    "guidance": 2.0,
    "guidance_interval": [0.2, 5.0],
    "guider": "apg",
    "sampler": "dpmpp_2m",
    "sampler.steps": 7,
}
GUIDANCE = ["guidance=2.0", "guidance_interval=[0.2, 5.0]", "guider=apg"]
SAMPLER = ["sampler=dpmpp_2m", "sampler.steps=7"]


@pytest.fixture
def setting(conditional):
    """A checkpoint of classes with a setting beside it."""
    write_tuned(
        Checkpoint.load(conditional, []), TunedSetting(OPTIONS, file_hash(str(conditional)))
    )
    return conditional


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["label=all"], [*GUIDANCE, *SAMPLER]),
        ([], SAMPLER),
        (["label=3", "guidance=1.5"], SAMPLER),
        (["label=3", "guidance=1.5", "guider=cfg"], SAMPLER),
        (["label=3", "sampler=ddim", "sampler.steps=2"], GUIDANCE),
        (["label=3", "sampler.eta=0.5", "sampler.steps=2"], GUIDANCE),
        (["label=3", "sampler.steps=2"], [*GUIDANCE, *SAMPLER[:1]]),
        (["sampler.spacing=even"], SAMPLER),
        (["label=3", "start=start.png", "sampler.steps=2"], GUIDANCE),
        (["label=3", "tuned=false", "sampler.steps=2"], []),
    ],
)
def test_typed_options_win(command, setting, options, expected):
    Image.new("L", (8, 8)).save("start.png")
    outcome = command("sample", f"ckpt={setting}", "n=2", *options, "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    lines = [line for line in outcome.out.splitlines() if line.startswith("tuned ")]
    end = " (tuned.json; tuned=false for the defaults)"
    assert lines == [f"tuned      {each}{end}" for each in expected]
    assert all(f"{line}\n" in Path("out/sample.log").read_text() for line in lines)


def test_a_sampler_comes_with_its_own_options_and_the_typed_ones(command, setting):
    out = command("sample", f"ckpt={setting}", "n=1", "sampler.spacing=even").out
    assert "sampler    dpmpp_2m, 7 steps, 7 network evaluations" in out
    (settings,) = Path("outputs").rglob("samples.json")
    sampler = json.loads(settings.read_text())["recipe"]["sampler"]
    assert (sampler["spacing"], sampler["lower_order_final"]) == ("even", True)


GUIDED = {"guidance": 2.0, "threshold": "dynamic", "quantile": 0.9}


def guided(conditional, **own):
    """A setting that was found with a guide, which is the checkpoint itself."""
    sha256 = file_hash(str(conditional))
    options = {**GUIDED, "guide": str(conditional)}
    tuned = TunedSetting(options, sha256, **{"guide_sha256": sha256, **own})
    write_tuned(Checkpoint.load(conditional, []), tuned)


def taken(command, conditional, *options):
    """The names of the options that ddpm-sample takes, and its screen."""
    outcome = command("sample", f"ckpt={conditional}", "n=1", "sampler.steps=2", *options)
    assert outcome.code == 0, outcome.err
    return re.findall(r"^tuned +([\w.]+)=", outcome.out, re.MULTILINE), outcome.out


def test_what_all_settings_of_the_search_shared_is_taken_too(command, conditional):
    guided(conditional)
    names, out = taken(command, conditional, "label=all")
    assert names == ["guidance", "threshold", "quantile", "guide"]
    assert f"guidance 2 away from {conditional}" in out
    assert taken(command, conditional, "label=all", "threshold=none")[0] == ["guidance", "guide"]
    assert taken(command, conditional)[0] == ["threshold", "quantile"]


def test_guidance_without_a_label_is_that_of_images_without_a_label(command, conditional):
    guided(conditional, label=None)
    assert taken(command, conditional)[0] == ["guidance", "threshold", "quantile", "guide"]
    assert taken(command, conditional, "label=all")[0] == ["threshold", "quantile"]


def test_the_setting_of_a_class_is_taken_for_this_class_alone(command, conditional):
    guided(conditional, label=3)
    assert "guide" in taken(command, conditional, "label=3")[0]
    names, out = taken(command, conditional, "label=all")
    assert names == [] and "tuned.json is not taken: it is of label=3\n" in out


def test_another_guide_than_that_of_the_search_is_not_taken(command, conditional):
    guided(conditional, guide_sha256="0" * 64)
    names, out = taken(command, conditional, "label=all")
    assert names == [] and "is not taken: last.safetensors is not its guide\n" in out


def test_the_setting_of_another_checkpoint_is_not_taken(command, setting):
    path = setting.parent / "tuned.json"
    content = json.loads(path.read_text())
    content["checkpoint"]["sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    out = command("sample", f"ckpt={setting}", "n=1", "sampler.steps=2").out
    told = f"warning: {path} is not taken: it is of another checkpoint than last.safetensors\n"
    assert told in out and "tuned      " not in out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "Expecting"),
        ("[1]", "options must be an object"),
        ({"options": 3}, "options must be an object"),
        ({"options": {"trust": ["os"]}}, "'trust' is no option that is tuned"),
        ({"options": {"x" * 500: 1}}, r"'x{40}\.\.\.' is no option"),
        ({"options": {"guidance": "2"}}, "guidance cannot be '2'"),
        ({"options": {"guidance": -1}}, "guidance must be at least 0, but is -1"),
        ({"options": {"guidance": True}}, "guidance cannot be true"),
        ({"options": {"guidance": 2, "guidance_interval": [2, 1]}}, r"must be \[low, high\]"),
        ({"options": {"sampler": "os.system"}}, "sampler=os.system is not a choice"),
        ({"options": {"guider": "../../x", "guidance": 2}}, "guider=../../x is not a choice"),
        ({"options": {"sampler.steps": "many"}}, "sampler.steps must be int or all"),
        ({"options": {"sampler.steps": 0}}, "sampler.steps must be int or all, but is '0'"),
        ({"options": {"guidance": 1e300}}, "guidance must be at most 1,000,000"),
        ({"options": {"guider": "apg"}}, "guider=apg has no effect without guidance"),
        ({"options": {"guider": "autoguidance", "guidance": 2}}, "comes with a guide"),
        ({"options": {"length": 0.1}}, "a length comes with the name of a checkpoint"),
        ({"options": {"length": 0.1}, "file": {"name": "../a.safetensors"}}, "a length comes with"),
        ({"options": {"threshold": "soft"}}, "threshold cannot be 'soft'"),
        ({"options": {"quantile": 0.9}}, "quantile=0.9 has no effect"),
        ({"options": {}, "label": [3]}, r"label cannot be \[3\]"),
        ({"options": {}, "file": {"name": "a.safetensors"}}, "a length comes with the name"),
        (" " * 70_000, "must have at most 64.0 KiB"),
    ],
)
def test_what_the_file_may_not_hold_is_refused(tmp_path, composing, command, content, told):
    path = tmp_path / "tuned.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with (
        initialize_config_dir(str(CONFIG_DIR), version_base="1.3"),
        pytest.raises(ValueError, match=told),
    ):
        read_tuned(path)


def test_a_damaged_file_stops_no_one_from_sampling(command, setting):
    (setting.parent / "tuned.json").write_text("{")
    outcome = command("sample", f"ckpt={setting}", "n=1", "sampler.steps=2")
    assert outcome.code == 0
    assert "tuned.json is not taken: Expecting" in outcome.out
