"""Missing values and paths: told before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ddpm_cli.cli.input_checks import check_inputs
from ddpm_cli.files import save_text

CASES = [
    ("sample", [], "ckpt must be given: checkpoint of ddpm-train, such as outputs/.../checkpoints/"
                   "last.safetensors; or hf://OWNER/NAME[@REVISION]"),
    ("export", [], "ckpt must be given: checkpoint of ddpm-train, of any format; or "
                   "hf://OWNER/NAME[@REVISION]; out must be given: new file, such as "
                   "mine.safetensors; or new folder, such as mine"),
    ("sample", ["ckpt=nowhere"], "there is no checkpoint at 'nowhere'"),
    ("sample", ["./photo"], "there is no checkpoint at 'photo'; did you mean 'photos'?"),
    ("sample", ["ckpt=photos"], "there is no checkpoint in the folder 'photos'"),
    ("evaluate", ["ckpt=x.safetensors", "generated=no"],
     "generated must be a folder or a file, but there is none at 'no'"),
    ("sample", ["ckpt=x.safetensors", "inpaint=photos"], "inpaint must be a file, but 'photos' is "
                                                         "a folder"),
    ("report", ["run=photo"], "run must be a folder, but there is none at 'photo'; did you mean "
                              "'photos'?"),
    ("train", ["resume=nowhere"], "there is no checkpoint at 'nowhere'"),
    ("train", ["recipe=nowhere"], "there is no checkpoint at 'nowhere'"),
    ("train", ["data=folder"], "data.path must be given: folder of the images"),
    ("train", ["data=folder", "data.path=foto/x"], "data.path must be a folder, but there is none "
                                                   "at 'foto/x'"),
    ("data", ["data=archive", "data.path=a.zip"], "data.path must be a zip or tar file, or a "
     "pattern of some (*, ?, {000..012}), but there is none at 'a.zip'"),
    ("compare", ["ckpt=x.safetensors", "data=arrays", "data.path=a.npz"],
     "data.path must be an .npy, .npz or IDX file, but there is none at 'a.npz'"),
    ("train", ["data=folder", "data.path=photos", "data.labels=l.csv"],
     "data.labels must be a file, but there is none at 'l.csv'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "told"), CASES)
def test_what_is_missing_is_told(command, name, arguments, told):
    Path("photos").mkdir()
    Path("x.safetensors").write_bytes(b"1")
    outcome = command(name, *arguments)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {told}\n")
    assert not Path("outputs").exists()


@pytest.mark.parametrize("path", ["photos", "./photos", "/a/photos"])
def test_a_path_as_the_data_is_told_with_its_source(command, path):
    Path("photos").mkdir()
    outcome = command("train", f"data={path}")
    assert outcome.err.startswith(
        f"error: data={path} is not a choice; there are archive, arrays, "
    )
    assert outcome.err.endswith(f"; did you mean data=folder data.path={path}?\n")


PROBE = """
import sys
from ddpm_cli.cli import train
for line in sys.stdin.read().splitlines():
    sys.argv[1:] = line.split()
    try:
        train()
    except SystemExit as end:
        assert end.code == 1, line
    assert "torch" not in sys.modules, line
"""
BEFORE_TORCH = """\
resume=x
recipe=x
data=folder
data=folder data.path=x
schedule.steps=abc
data.size=abc
trainer.batch_size=abc
trainer.precision=fp8
model.network.dim=wide
loss=huber loss.delta=x
seed=abc"""


def test_what_is_missing_or_of_another_type_is_told_before_torch_is_imported(tmp_path):
    outcome = subprocess.run(
        [sys.executable, "-c", PROBE],
        **{"input": BEFORE_TORCH, "text": True, "capture_output": True, "cwd": tmp_path},
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "error: schedule.steps must be int, but is 'abc'" in outcome.stderr
    assert outcome.stderr.count("error: ") == len(BEFORE_TORCH.splitlines())


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_a_command_that_needs_the_images_of_a_run_tells_how_the_run_named_them(command, name):
    save_text(Path("run/.hydra/overrides.yaml"), "[data=folder, 'data.path=my photos', seed=1]")
    save_text(Path("run/checkpoints/last.safetensors"), "1")
    outcome = command(name, "ckpt=run")
    told = "a checkpoint may name only the packaged digits; its run was given data=folder "
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"{told}'data.path=my photos'\n")


def test_the_folder_of_several_runs_is_no_run_to_report(command):
    for name in ("outputs/a", "outputs/b"):
        save_text(Path(name, "checkpoints/last.safetensors"), "1")
    outcome = command("report", "outputs")
    assert outcome.err.startswith("error: 'outputs' is a folder of 2 runs: name one, as 'outputs/")


def test_a_folder_that_cannot_be_made_is_told_with_the_option(command):
    Path("file").touch()
    outcome = command("train", "hydra.run.dir=file/x")
    assert outcome.err.startswith(f"error: the folder {str(Path('file/x').resolve())!r} cannot be")
    assert outcome.err.endswith("; hydra.run.dir=FOLDER names another\n")


@pytest.mark.parametrize("path", ["hf://owner/name", "shards/{000..012}.tar", "*.tar"])
def test_an_address_and_a_pattern_are_left_to_their_readers(path):
    name = "ckpt" if path.startswith("hf:") else "data.path"
    cfg = OmegaConf.create({"data": {"_target_": "ddpm_cli.data.archive"}})
    OmegaConf.update(cfg, name, path)
    check_inputs("sample", cfg, {})
