"""Runs on streamed images read on at the right place after a stop, an undo and a way back."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import torch
from checkpoint_files import change, edit
from conftest import TINY
from run_files import rows, tensors

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.train import time_budget as budget
from ddpm_cli.data import sources
from ddpm_cli.loading import streamed as streaming
from ddpm_cli.training import nonfinite_guard

DIGITS = Path(sources.__file__).with_name("digits.parquet")
SET = [
    "data=hub",
    "data.name=shards",
    "data.streaming=true",
    "data.size=8",
    "data.channels=1",
    "model.conditional=true",
]
RECIPE = [
    *TINY,
    *SET,
    "model.network.dropout=0.1",
    "trainer.log_every=1",
    "trainer.checkpoint_every=5",
]


@pytest.fixture(autouse=True)
def shards(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW", 100)
    monkeypatch.chdir(tmp_path)
    digits = datasets.Dataset.from_parquet(str(DIGITS), cache_dir=str(tmp_path / "cache"))
    for shard in range(4):
        digits.shard(4, shard, contiguous=True).to_parquet(f"shards/train-{shard}-of-4.parquet")


def same(one, other):
    mine, its = (tensors(name) for name in (one, other))
    assert mine.keys() == its.keys()
    return [name for name in mine if not torch.equal(mine[name], its[name])]


def train(command, *options):
    outcome = command("train", *RECIPE, *options)
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.mark.slow
def test_a_stream_trains_on_its_split_and_validates_on_the_first_images_of_another(command):
    Path("shards/train-3-of-4.parquet").rename("shards/test-0-of-1.parquet")
    options = ["data.held_out_split=test", "trainer.steps=2", "hydra.run.dir=run"]
    outcome = train(command, *options, "trainer.evaluate_every=2")
    assert "streamed, 8 x 8, 1 channel, 10 classes; 449 of the split 'test' are" in outcome.out
    assert "held out   the first 449 images of the split 'test'" in outcome.out
    assert "held_out" in rows("run")[-1]


@pytest.mark.slow
def test_a_run_stopped_within_a_window_goes_on_exactly_with_any_number_of_workers(command):
    train(command, "trainer.steps=20", "hydra.run.dir=whole")
    train(
        command,
        "trainer.steps=20",
        "trainer.stop_at=12",
        "trainer.workers=2",
        "hydra.run.dir=parts",
    )
    resumed = train(command, "trainer.steps=20", "hydra.run.dir=parts", "resume=auto")
    assert same("whole", "parts") == []
    assert [row["loss"] for row in rows("whole")] == [row["loss"] for row in rows("parts")]
    assert "changed, so" not in resumed.out
    assert (
        Checkpoint.load(Path("parts/checkpoints/last.safetensors"))
        .stream[0]
        .startswith('{"before": 300, "done": ')
    )


def test_the_screen_says_that_the_number_of_images_is_unknown(command):
    outcome = train(command, "trainer.steps=2", "data.holdout=0.1", "hydra.run.dir=run")
    many = (
        "data       an unknown number of images, streamed, 8 x 8, 1 channel, 10 classes; "
        "96 of the first 1,024 are held out"
    )
    assert many in outcome.out
    assert "length     2 steps of 16 images\n" in outcome.out
    assert "s/epoch" not in outcome.err
    refused = command("train", *RECIPE, "trainer.epochs=2", "hydra.run.dir=other")
    assert refused.err.endswith(
        "error: trainer.epochs=2 needs the number of images, "
        "which the stream does not tell; give steps\n"
    )


def test_epochs_and_their_seconds_are_told_where_the_number_of_images_is_known(command):
    told = {"splits": [{"name": "train", "num_examples": 1797, "num_bytes": 1}]}
    Path("shards/README.md").write_text(f"---\ndataset_info: {told}\n---\n")
    outcome = train(
        command, "trainer.epochs=1", "trainer.stop_at=2", "data.holdout=0.1", "hydra.run.dir=run"
    )
    assert "data       about 1,617 images, streamed, " in outcome.out
    assert "length     102 steps of 16 images, 1.0 epochs (trainer.epochs=1 takes" in outcome.out


@pytest.mark.long
def test_steps_that_are_timed_are_read_again(command, monkeypatch):
    monkeypatch.setattr(budget, "TIMING", 1e-6)
    monkeypatch.setattr(budget, "steps_within", lambda *_: 7)
    train(command, "trainer.minutes=1", "trainer.steps=7", "hydra.run.dir=timed")
    train(command, "trainer.steps=7", "hydra.run.dir=steps")
    assert same("timed", "steps") == []


def test_a_run_that_goes_back_reads_again_what_it_read_since(command, monkeypatch):
    seen = []
    monkeypatch.setattr(
        nonfinite_guard.NonFiniteGuard,
        "follow",
        lambda watch, progress: seen.append((progress.step, progress.indices.tolist())),
    )
    monkeypatch.setattr(
        nonfinite_guard.NonFiniteGuard,
        "in_a_row",
        property(lambda _: 99 * (len(seen) == 8), lambda *_: None),
    )
    train(command, "trainer.steps=10", "hydra.run.dir=run")
    assert [step for step, _ in seen] == [*range(1, 9), *range(6, 11)]
    assert seen[5:8] == seen[8:11]


@pytest.mark.parametrize(
    "text",
    ["nonsense", '{"before": 0, "done": 0, "state": {"epoch": 0, "examples_iterable": {"x": 1}}}'],
)
def test_a_position_that_does_not_fit_is_told_in_one_line(command, text):
    train(command, "trainer.steps=4", "trainer.stop_at=2", "hydra.run.dir=run")
    path = Path("run/checkpoints/last.safetensors")
    change(path, stream=[text])
    refused = command(
        "train",
        *RECIPE,
        "trainer.steps=4",
        "hydra.run.dir=run",
        "resume=run/checkpoints/last.safetensors",
    )
    assert refused.code == 1
    assert [line for line in refused.err.splitlines() if line.startswith("error: the ")] != []


@pytest.mark.parametrize("stream", [[5], ["x" * 200_000], [""] * 10_000, "x", {}])
def test_a_checkpoint_whose_positions_are_no_texts_is_refused(trained, stream):
    with pytest.raises(ValueError, match="'stream' "):
        Checkpoint.load(edit(trained, stream=json.dumps(stream)))


def test_another_name_of_a_stream_is_told(command):
    train(command, "trainer.steps=4", "trainer.stop_at=2", "hydra.run.dir=run")
    Path("shards").rename("moved")
    resumed = train(
        command, "trainer.steps=4", "data.name=moved", "hydra.run.dir=run", "resume=auto"
    )
    assert (
        "changed, so the rest is not what it would have been: data.name: 'shards' -> 'moved'"
        in resumed.out
    )


def processes(*options):
    command = [
        sys.executable,
        "-m",
        "ddpm_cli",
        "train",
        *RECIPE,
        "trainer.device=cpu",
        "trainer.steps=20",
        *options,
    ]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


PAIR = ["trainer=ddp", "trainer.processes=2"]


@pytest.mark.long
def test_two_processes_go_on_exactly_and_another_number_begins_again_and_says_so():
    processes(*PAIR, "hydra.run.dir=whole")
    processes(*PAIR, "trainer.stop_at=12", "hydra.run.dir=parts")
    shutil.copytree("parts", "less")
    assert "changed, so" not in processes(*PAIR, "hydra.run.dir=parts", "resume=auto")
    assert same("whole", "parts") == []
    assert (
        "processes: 2 -> 1, so that the stream is read from its first image on again"
        in processes("hydra.run.dir=less", "resume=auto")
    )


def test_a_checkpoint_whose_position_is_none_is_skipped_for_the_one_before(command):
    train(
        command,
        "trainer.steps=8",
        "trainer.stop_at=7",
        "trainer.checkpoint_every=5",
        "hydra.run.dir=run",
    )
    for name in ("step_00000007.safetensors", "last.safetensors"):
        change(Path("run/checkpoints", name), stream=["nonsense"])
    resumed = train(command, "trainer.steps=8", "hydra.run.dir=run", "resume=auto")
    assert "'stream' must hold where each process goes on" in resumed.out
    assert "resumed    step 5 of " in resumed.out
