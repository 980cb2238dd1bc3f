"""Sampling runs that go on: an image is the same in any batch, any processes, after any restart."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpm_cli.generation.store import COLUMNS, ImageStore

SAMPLER = ["sampler=ancestral", "sampler.steps=4"]


def png(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder, "png").glob("*.png"))}


def pixels(folder):
    return np.stack(
        [
            np.asarray(Image.open(path)).astype(int)
            for path in sorted(Path(folder, "png").glob("*.png"))
        ]
    )


@pytest.fixture
def drawn(command, trained):
    """Seven images in batches of three, each as a file and in arrays."""

    def run(folder, *options):
        return command(
            "sample",
            f"ckpt={trained}",
            "n=7",
            "batch=3",
            *SAMPLER,
            "png=true",
            "npz=true",
            *options,
            f"hydra.run.dir={folder}",
        )

    assert run("whole").code == 0
    return run


def test_an_index_says_where_every_image_is(drawn):
    lines = Path("whole/index.csv").read_text().splitlines()
    assert lines[0].split(",") == COLUMNS
    assert lines[1:] == [f"{i},,png/{i:08d}.png,npz/{i // 3 * 3:08d}.npz,{i % 3}" for i in range(7)]
    assert np.array_equal(
        np.load("whole/npz/00000003.npz")["arr_0"][1, :, :, 0],
        np.asarray(Image.open("whole/png/00000004.png")),
    )


def test_samples_json_says_what_made_them(drawn):
    told = json.loads(Path("whole/samples.json").read_text())
    assert told["recipe"]["sampler"]["_target_"] == "ddpm_cli.samplers.ancestral"
    assert (told["n"], told["batch"], told["evaluations"], told["shape"]) == (7, 3, 4, [1, 8, 8])
    assert told["times"] == [1000, 750, 500, 250, 0]
    assert len(told["recipe"]["ckpt (sha256)"]) == 64


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: index.write_text("".join(index.read_text().splitlines(keepends=True)[:-2])),
        lambda index: index.write_text(index.read_text()[:-3]),
        lambda index: index.unlink(),
        lambda index: Path("whole/png/00000004.png").unlink(),
        lambda index: Path("whole/npz/00000003.npz").write_bytes(b""),
    ],
    ids=["rows lost", "half a row", "no index", "no image", "empty array"],
)
def test_what_is_missing_is_drawn_again_and_comes_out_the_same(drawn, damage):
    before, grid = png("whole"), Path("whole/grid.png").read_bytes()
    damage(Path("whole/index.csv"))
    outcome = drawn("whole")
    assert outcome.code == 0, outcome.err
    assert png("whole") == before
    assert Path("whole/grid.png").read_bytes() == grid
    assert ImageStore(Path("whole"), png=True, npz=True).read_rows().keys() == set(range(7))


def test_a_folder_that_is_done_is_left_alone(drawn):
    before = {path: path.stat().st_mtime_ns for path in Path("whole").glob("[np]*/*")}
    outcome = drawn("whole")
    assert len(before) > 7
    assert before == {path: path.stat().st_mtime_ns for path in Path("whole").glob("[np]*/*")}
    assert outcome.code == 0
    assert "resumed    7 of 7 images are there" in outcome.out


def test_more_images_join_those_that_are_there(drawn):
    before = png("whole")
    assert drawn("whole", "n=9", "batch=4").code == 0
    after = png("whole")
    assert len(after) == 9
    assert (
        np.abs(
            pixels("whole")[:7]
            - np.stack([np.asarray(Image.open(f"whole/png/{name}")) for name in before])
        ).max()
        <= 1
    )


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("seed=1", "seed was 0 and is 1"),
        ("sampler.steps=5", "sampler.steps was 4 and is 5"),
        ("weights=raw", "weights was 'ema' and is 'raw'"),
    ],
)
def test_images_of_another_kind_are_kept_apart(drawn, option, told):
    before = png("whole")
    outcome = drawn("whole", option)
    assert outcome.code == 1
    assert (
        outcome.err
        == f"error: '{Path('whole').resolve()}' holds images of another kind ({told}); name "
        "another folder\n"
    )
    assert png("whole") == before


def test_images_of_other_noise_are_kept_apart(drawn):
    path = Path("whole/samples.json")
    provenance = json.loads(path.read_text())
    assert provenance["recipe"].pop("randomness") == 2
    path.write_text(json.dumps(provenance))
    outcome = drawn("whole")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "images of another kind (randomness was 1 and is 2); name another" in outcome.err


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (
            "samples.json",
            "[]",
            "does not say what made the images that are there; name another folder",
        ),
        ("samples.json", "{", "cannot be read"),
        ("npz/00000000.npz", "no array", "remove it, and its images are drawn again"),
    ],
)
def test_damaged_files_are_told_in_one_line(drawn, path, text, told):
    Path("whole", path).write_text(text)
    outcome = drawn("whole")
    assert (outcome.code, outcome.err.splitlines()[-1].startswith("error: ")) == (1, True)
    assert told in outcome.err.splitlines()[-1]


def test_rows_that_are_no_rows_do_not_count(drawn):
    with Path("whole/index.csv").open("a") as index:
        index.write("x,,png/00000001.png,npz/00000000.npz,1\n\n8\n")
    assert ImageStore(Path("whole"), png=True, npz=True).read_rows().keys() == set(range(7))


def test_a_batch_of_its_own_choice_is_found_and_kept(command, trained):
    options = [
        f"ckpt={trained}",
        "n=5",
        "batch=auto",
        "sampler.steps=2",
        "png=true",
        "hydra.run.dir=auto",
    ]
    out = command("sample", *options).out
    chosen = json.loads(Path("auto/samples.json").read_text())["batch"]
    assert f"batch      auto: {chosen} images at a time" in out
    assert "auto:" not in command("sample", *options).out


def test_a_grid_alone_is_refused_where_most_images_would_be_lost(command, trained):
    outcome = command("sample", f"ckpt={trained}", "n=300", "hydra.run.dir=out")
    told = (
        "a grid shows the first 256 images, but n is 300: add png=true or npz=true for the others"
    )
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert not Path("out").exists()


MANY = ["n=200", "png=true", "sampler=ancestral", "sampler.steps=50"]


def started(checkpoint, *options, output=subprocess.DEVNULL):
    """A sampling command in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    command = [sys.executable, "-m", "ddpm_cli", "sample", f"ckpt={checkpoint}", *MANY, *options]
    return subprocess.Popen(command, stdout=output, stderr=output, env=environment, text=True)


@pytest.fixture
def one(command, trained):
    """A folder of 200 images from this process."""
    outcome = command("sample", f"ckpt={trained}", *MANY, "batch=64", "hydra.run.dir=one")
    assert outcome.code == 0, outcome.err
    return "one"


def rows(folder):
    index = Path(folder, "index.csv")
    return index.read_text().count("\n") - 1 if index.exists() else 0


@pytest.mark.slow
def test_200_images_are_the_same_from_one_process_and_from_one_that_is_killed_twice(
    command, trained, one
):
    for goal in (64, 128):
        process, end = started(trained, "batch=64", "hydra.run.dir=killed"), time.monotonic() + 60
        while rows("killed") < goal and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(random.Random(goal).random() / 4)
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = command("sample", f"ckpt={trained}", *MANY, "batch=64", "hydra.run.dir=killed")
    assert resumed.code == 0, resumed.err
    assert len(png(one)) == 200
    assert png("killed") == png(one)


def test_a_stop_says_how_to_go_on_where_images_are_stored(command, trained, monkeypatch):
    written, write = [], ImageStore.write

    def interrupted(store, *batch):
        if written:
            raise KeyboardInterrupt
        written.append(write(store, *batch))

    wanted = [f"ckpt={trained}", "n=12", "batch=4", "sampler.steps=2", "hydra.run.dir=out"]
    monkeypatch.setattr(ImageStore, "write", interrupted)
    outcome = command("sample", *wanted, "npz=true")
    again = f"stopped    go on with the same command and hydra.run.dir={Path('out').resolve()}\n"
    assert (outcome.code, outcome.err.count("error")) == (130, 0)
    assert outcome.out.endswith(again)
    assert "stopped    go on" in Path("out/sample.log").read_text()
    monkeypatch.setattr(ImageStore, "write", write)
    assert "resumed    4 of 12 images are there\n" in command("sample", *wanted, "npz=true").out


def test_a_stop_says_nothing_of_images_where_none_are_stored(command, trained, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageStore, "write", interrupted)
    outcome = command("sample", f"ckpt={trained}", "n=4", "sampler.steps=2", "hydra.run.dir=out")
    assert outcome.code == 130
    assert "stopped" not in outcome.out


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_several_processes_that_are_stopped_go_on_as_they_say_to_the_images_of_one(
    command, trained, one, asked
):
    options = ["batch=8", "processes=2", "device=cpu", "hydra.run.dir=two"]
    process, end = started(trained, *options, output=subprocess.PIPE), time.monotonic() + 60
    while rows("two") < 24 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(asked)
    out, err = process.communicate(timeout=60)
    again = f"stopped    go on with the same command and hydra.run.dir={Path('two').resolve()}\n"
    assert (process.returncode, out.count(again), err.count("error")) == (130, 1, 0), out + err
    assert 24 <= rows("two") < 200
    resumed = command("sample", f"ckpt={trained}", *MANY, *options)
    assert "images are there" in resumed.out
    assert (resumed.code, len(png("two"))) == (0, 200)
    assert np.abs(pixels("two") - pixels(one)).max() <= 1


@pytest.mark.parametrize(
    "row",
    [
        "0,,/etc/hostname,,",
        "0,,../outside.png,,",
        "0,,png/../../outside.png,,",
        "9" * 5000 + ",,png/0.png,,",
        f"0,{'x' * 200_000},png/0.png,,",
    ],
)
def test_an_index_from_a_stranger_leads_to_no_file_outside(tmp_path, row):
    folder = tmp_path / "store"
    (folder / "png").mkdir(parents=True)
    for path in (folder / "png/0.png", tmp_path / "outside.png"):
        Image.new("L", (8, 8)).save(path)
    (folder / "index.csv").write_text(f"{','.join(COLUMNS)}\n1,,png/0.png,,\n{row}\n")
    assert list(ImageStore(folder, True, False).read_rows()) == [1]


def test_an_image_of_another_format_is_told(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "0.png", "TIFF")
    with pytest.raises(ValueError, match=r"cannot read .*0\.png.* its images are drawn again"):
        ImageStore(tmp_path, True, False).images({0: {"png": "0.png"}})
