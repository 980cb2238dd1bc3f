"""Runs that go on from a checkpoint: exactly, or with what changes told, or not at all."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from checkpoint_files import OTHER_NOISE, change
from conftest import TINY
from run_files import often, rows, tensors

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.files import save_text

RECIPE = [*TINY, "model.network.dropout=0.1", "data.flip=true", "trainer.log_every=5"]


OUTCOMES = []


@pytest.fixture
def stopped_and_whole(command, runs):
    if OUTCOMES:
        [shutil.copytree(runs / name, name) for name in ("whole", "parts")]
        return OUTCOMES
    whole = command("train", *RECIPE, "trainer.steps=40", "hydra.run.dir=whole")
    stopped = command(
        "train", *RECIPE, "trainer.steps=40", "trainer.stop_at=25", "hydra.run.dir=parts"
    )
    resumed = command("train", *RECIPE, "trainer.steps=40", "hydra.run.dir=parts", "resume=auto")
    assert (whole.code, stopped.code, resumed.code) == (0, 0, 0), resumed.err
    [shutil.copytree(name, runs / name) for name in ("whole", "parts")]
    OUTCOMES.extend([stopped, resumed])
    return OUTCOMES


def test_forty_steps_equal_twenty_five_and_the_rest(stopped_and_whole):
    whole, parts = (tensors(name) for name in ("whole", "parts"))
    assert len(whole) > 200
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_resumed_run_says_what_it_restored_and_logs_each_step_once(stopped_and_whole):
    stopped, resumed = stopped_and_whole
    assert "ended      at step 25 of 40" in stopped.out
    assert "trainer.steps=40 hydra.run.dir=" in stopped.out
    assert stopped.out.count("resume=auto") == 1
    assert "resumed    step 25 of" in resumed.out
    assert [row["step"] for row in rows("parts")] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert rows("parts")[-1]["loss"] == rows("whole")[-1]["loss"]


def test_a_run_is_never_written_over(command, trained):
    outcome = command("train", *TINY, "trainer.steps=4", "hydra.run.dir=trained")
    assert outcome.code == 1
    found = "holds a run already (step_00000004.safetensors); "
    assert f"{found}go on with resume=auto, or name another folder" in outcome.err


def test_a_checkpoint_of_elsewhere_never_goes_on_over_another_run(command, trained):
    other = command("train", *TINY, "trainer.steps=2", "seed=1", "hydra.run.dir=other")
    resume = ["resume=other/checkpoints/last.safetensors", "seed=1", "trainer.steps=4"]
    outcome = command("train", *TINY, *resume, "hydra.run.dir=trained")
    assert (other.code, outcome.code) == (0, 1)
    assert "trained' holds a run already (step_00000004.safetensors)" in outcome.err


def test_resume_auto_starts_at_step_zero_where_there_is_nothing_and_says_so(command):
    outcome = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=new", "resume=auto")
    assert outcome.code == 0
    assert "resumed    nothing: " in outcome.out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model.network.dim=16", "model.network.dim was 8 and is 16"),
        ("schedule.offset=0.01", "schedule.offset was 0.008 and is 0.01"),
        ("seed=1", "seed was 0 and is 1"),
        ("trainer.batch_size=8", "trainer.batch_size was 16 and is 8"),
        ("data.channels=3", "the images are others"),
    ],
)
def test_a_resume_refuses_what_makes_it_another_run(command, trained, change, told):
    before = trained.read_bytes()
    outcome = command(
        "train", *TINY, "trainer.steps=8", "hydra.run.dir=trained", "resume=auto", change
    )
    assert outcome.code == 1
    assert "error: cannot resume: " in outcome.err
    assert told in outcome.err
    own = f"{' '.join(TINY)} trainer.steps=4 hydra.run.dir={trained.parent.parent} resume=auto"
    assert outcome.err.replace("'", "").endswith(f"; the run goes on with: ddpm-train {own}\n")
    assert trained.read_bytes() == before


@pytest.mark.parametrize("resume", ["resume=run", "resume=auto"])
def test_a_run_of_own_images_is_resumed_with_them(command, resume):
    write_overrides("run", ["data=folder", "data.path=photos", "seed=1"])
    outcome = command("train", resume, "hydra.run.dir=run")
    typed = "data=folder data.path=photos seed=1 hydra.run.dir="
    assert "error: the run was begun with data=folder; it goes on with: ddpm-train" in outcome.err
    assert typed in outcome.err


def test_a_suggested_resumption_is_the_command_of_the_run(command):
    write_overrides("run", ["data=folder", "data.path=photos"])
    outcome = command("train", "run")
    assert "did you mean ddpm-train data=folder data.path=photos hydra.run.dir=run" in outcome.err


def write_overrides(folder, overrides):
    """A run's folder with a checkpoint that is not read, and the overrides of the run."""
    for name, text in (("checkpoints/last.safetensors", "1"), (".hydra/overrides.yaml", overrides)):
        save_text(Path(folder, name), yaml.safe_dump(text))


def test_a_resume_tells_what_is_no_longer_exact(command, trained):
    out = command(
        "train", *TINY, "trainer.steps=6", "trainer.optimizer.lr=1e-4", f"resume={trained}"
    ).out
    assert "trainer.steps: 4 -> 6" in out
    assert "trainer.optimizer.lr: 0.003 -> 0.0001" in out
    assert "steps in all: 4 -> 6" in out


def test_another_optimizer_starts_with_nothing_remembered_and_says_so(command, trained):
    other = [
        "trainer.optimizer._target_=torch.optim.RMSprop",
        "~trainer.optimizer.betas",
        "~trainer.optimizer.fused",
    ]
    outcome = command(
        "train", *TINY, "trainer.steps=6", "hydra.run.dir=trained", "resume=auto", *other
    )
    assert outcome.code == 0, outcome.err
    assert "the optimizer starts with nothing remembered" in outcome.out


def test_going_on_from_an_older_checkpoint_never_loses_a_newer_one(command):
    often = [*TINY, "trainer.steps=4", "trainer.checkpoint_every=2", "hydra.run.dir=run"]
    command("train", *often)
    outcome = command("train", *often, "resume=run/checkpoints/step_00000002.safetensors")
    assert outcome.code == 1
    assert (
        "holds newer checkpoints (step_00000004.safetensors), "
        "which going on from step_00000002.safetensors would lose; name another folder"
        in outcome.err
    )


def cut_off(file):
    return file[:5000]


def flipped(file):
    return file[:5000] + bytes([file[5000] ^ 1]) + file[5001:]


def emptied(file):
    return b""


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(cut_off, marks=pytest.mark.long),
        flipped,
        pytest.param(emptied, marks=pytest.mark.long),
    ],
)
def test_a_damaged_newest_checkpoint_is_skipped_and_the_rest_is_the_same(command, damage):
    often(command, folder="whole")
    often(command, "trainer.stop_at=4")
    newest = Path("run/checkpoints/step_00000004.safetensors")
    newest.write_bytes(damage(newest.read_bytes()))
    outcome = often(command, "resume=auto")
    whole, parts = (tensors(name) for name in ("whole", "run"))
    assert outcome.code == 0, outcome.err
    assert "skipped    " in outcome.out
    assert "resumed    step 2 of" in outcome.out
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_where_no_checkpoint_can_be_read_nothing_starts_afresh(command):
    often(command, "trainer.stop_at=2")
    Path("run/checkpoints/step_00000002.safetensors").write_bytes(b"")
    outcome = often(command, "resume=auto")
    assert outcome.code == 1
    assert (
        "none of the 1 checkpoints in 'run/checkpoints' can be read; "
        "to start again, name another folder" in outcome.err.replace(str(Path.cwd()) + "/", "")
    )


@pytest.mark.parametrize("precision", ["bf16", pytest.param("fp16", marks=pytest.mark.slow)])
def test_a_run_goes_on_in_another_precision(command, trained, precision):
    outcome = command(
        "train", *TINY, "trainer.steps=4", f"trainer.precision={precision}", "hydra.run.dir=half"
    )
    assert outcome.code == 0, outcome.err
    assert command("train", *TINY, "trainer.steps=6", "hydra.run.dir=half", "resume=auto").code == 0
    again = command(
        "train",
        *TINY,
        "trainer.steps=6",
        "hydra.run.dir=trained",
        "resume=auto",
        f"trainer.precision={precision}",
    )
    assert again.code == 0
    assert "trainer.precision" not in again.out


REMEMBERING = [
    *[
        "model.variance=learned",
        "schedule.steps=10",
        "train_times=loss_aware",
        "train_times.kept=2",
        "loss=uncertain",
        "loss@loss.of=vlb",
    ],
    *["trainer.offset_noise=0.1", "trainer.log_every=2", "trainer.evaluate_every=4"],
]


def test_what_loss_times_and_verdict_remember_goes_on_exactly(command):
    for name, options in (
        ("whole", []),
        ("parts", ["trainer.stop_at=10"]),
        ("parts", ["resume=auto"]),
    ):
        outcome = command(
            "train", *RECIPE, *REMEMBERING, "trainer.steps=16", f"hydra.run.dir={name}", *options
        )
        assert outcome.code == 0, outcome.err
    whole, parts = (tensors(name) for name in ("whole", "parts"))
    assert (whole["loss.u"] != 0).all()
    assert whole["history.train_times.counts"].min() >= 2
    assert len(whole["history.verdict.by_time"]) == 4
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert [row.get("held_out") for row in rows("whole")] == [
        row.get("held_out") for row in rows("parts")
    ]


def test_another_loss_starts_with_nothing_remembered(command):
    command("train", *RECIPE, *REMEMBERING, "trainer.steps=4", "hydra.run.dir=run")
    other = [*RECIPE, *REMEMBERING[:2], "loss=vlb", "trainer.steps=6"]
    outcome = command("train", *other, "hydra.run.dir=run", "resume=auto")
    assert outcome.code == 0, outcome.err
    assert "loss._target_: 'ddpm_cli.losses.Uncertain' -> 'ddpm_cli.losses.vlb'" in outcome.out
    assert (
        "changed, so the rest is not what it would have been: "
        "the optimizer starts with nothing remembered" in outcome.out
    )


def test_a_run_that_goes_on_elsewhere_has_no_best_checkpoint_yet(command):
    command("train", *TINY, "trainer.steps=2", "hydra.run.dir=one")
    further = [
        "resume=one/checkpoints/last.safetensors",
        "trainer.steps=4",
        "trainer.stop_at=3",
        "hydra.run.dir=other",
    ]
    outcome = command("train", *TINY, *further)
    assert outcome.code == 0, outcome.err
    assert "best.safetensors" not in outcome.out
    assert not Path("other/checkpoints/best.safetensors").exists()


def test_a_run_of_other_noise_goes_on_with_a_new_verdict_and_best_metric(command):
    options = [*RECIPE, *REMEMBERING, "trainer.steps=16", "hydra.run.dir=run"]
    assert command("train", *options, "trainer.stop_at=8").code == 0
    stopped, path = (
        Path(f"run/checkpoints/{name}.safetensors") for name in ("step_00000008", "last")
    )
    assert Checkpoint.load(path).randomness == 2
    change(stopped, randomness=1)
    outcome = command("train", *options, "trainer.stop_at=12", "resume=auto")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count(f"{OTHER_NOISE}\n") == 1
    after = Checkpoint.load(path)
    assert after.randomness == 2
    assert len(after.tensors["history.verdict.by_time"]) == 1
    assert after.tensors["history.verdict.steps"].tolist()[1:] == [12, 0]  # none is the best yet
    assert after.tensors["history.train_times.counts"].sum() > 16 * 8


def test_a_finished_run_that_is_resumed_keeps_the_words_of_its_verdict(command):
    often(command, "trainer.evaluate_every=2")
    path = Path("run/checkpoints/last.safetensors")
    before = Checkpoint.load(path, parts=()).verdict
    assert before.startswith("still improving: held-out loss ")
    assert often(command, "trainer.evaluate_every=2", "resume=auto").code == 0
    assert Checkpoint.load(path, parts=()).verdict == before


@pytest.mark.parametrize("name", ["best", "last", "step_00000006"])
def test_the_best_checkpoint_is_resumed_where_it_is_a_copy_of_the_newest(
    command, monkeypatch, name
):
    def impossible(*_):
        raise OSError("Operation not permitted")

    monkeypatch.setattr("os.link", impossible)
    often(command, "trainer.evaluate_every=2", "trainer.checkpoint_every=6")
    assert often(command, f"resume=run/checkpoints/{name}.safetensors").code == 0


def test_a_copy_of_an_older_checkpoint_is_not_resumed_in_its_folder(command):
    often(command)
    shutil.copyfile("run/checkpoints/step_00000004.safetensors", "run/checkpoints/mine.safetensors")
    outcome = often(command, "resume=run/checkpoints/mine.safetensors")
    assert "holds newer checkpoints (step_00000006.safetensors), which going on" in outcome.err


def test_a_row_without_a_step_is_told(command):
    command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run")
    Path("run/metrics.jsonl").write_text('{"loss": 1}\n')
    outcome = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run", "resume=auto")
    assert outcome.code == 1
    assert "metrics.jsonl' has a row without a step: '{\"loss\": 1}" in outcome.err


def test_lost_parameters_of_a_loss_are_told(command):
    run = [*TINY, "loss=uncertain", "trainer.steps=2", "hydra.run.dir=run"]
    command("train", *run)
    path = Path("run/checkpoints/step_00000002.safetensors")
    kept = {name: each for name, each in tensors("run").items() if not name.startswith("loss.")}
    change(path, tensors=kept)
    outcome = command("train", *run, "resume=auto")
    assert (outcome.code, outcome.err) == (
        1,
        "error: cannot resume: the checkpoint's parameters of the loss are not this loss's\n",
    )
