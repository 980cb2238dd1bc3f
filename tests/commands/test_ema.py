"""An EMA of another length as a checkpoint: of which runs, of what, and for which commands."""

import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY
from run_files import snapshots, tensors

from ddpm_cli.averages import reconstruct
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.training import step as training_step

RUN = [
    *TINY,
    "trainer.steps=12",
    "trainer.ema_lengths=[0.05,0.10]",
    "trainer.ema_every=3",
    "trainer.checkpoint_every=5",
]
TRAINED = []


@pytest.fixture
def whole(command, runs):
    """A run with eight snapshots."""
    if not TRAINED:
        outcome = command("train", *RUN, "hydra.run.dir=whole")
        assert outcome.code == 0, outcome.err
        shutil.copytree("whole", runs / "with_averages")
        TRAINED.append(outcome)
    else:
        shutil.copytree(runs / "with_averages", "whole")
    return Path("whole")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def steps_of(run):
    """The steps of a run's snapshots."""
    return {int(name.partition("_step_")[2][:8]) for name in snapshots(run)}


def test_a_tracked_length_is_the_run_s_own_bit_for_bit(command, whole):
    outcome = command("ema", "whole", "length=0.1", "out=short.safetensors")
    assert outcome.code == 0, outcome.err
    assert "average    EMA of length 0.1 at step 12, of its own snapshot" in outcome.out
    found, last = Checkpoint.load(Path("short.safetensors")), Checkpoint.load(whole)
    own = last.part("power_ema")
    assert same(found.part("ema"), {name: own[f"0.1.{name}"] for name in found.part("ema")})
    assert found.part("ema").keys() == last.part("ema").keys()
    assert own["applied"] == 12


def test_the_checkpoint_says_what_it_is_made_of_and_draws(command, whole):
    command("ema", "run=whole", "length=0.2", "at=9", "out=long.safetensors")
    made = "EMA of length 0.2 at step 9, of 6 snapshots of 2 lengths, steps 3 to 9"
    info = command("info", "long.safetensors")
    drawn = command("sample", "long.safetensors", "n=2", "hydra.run.dir=drawn")
    assert "step        9 of 12" in info.out
    assert f"average     {made}" in info.out
    assert drawn.code == 0, drawn.err
    assert "step 9, ema of length 0.2 weights" in drawn.out
    raw = command("sample", "long.safetensors", "weights=raw", "hydra.run.dir=raw")
    assert "weights=raw: " in raw.err
    assert command("export", "long.safetensors", "out=folder").code == 0
    assert f"The weights are the {made}." in Path("folder/README.md").read_text()
    assert Checkpoint.load(Path("folder")).average["length"] == "0.2"


@pytest.mark.slow
def test_figures_name_the_length(command, whole):
    command("ema", "whole", "length=0.2", "out=whole/long.safetensors")
    compared = command(
        *("compare", "whole/long.safetensors", "n=4", "samplers=[ddim]", "steps=[2]"),
        "hydra.run.dir=compared",
    )
    judged = command(
        *("evaluate", "whole/long.safetensors", "metrics=[fd_pixels]", "samples=16"),
        "hydra.run.dir=judged",
    )
    assert (compared.code, judged.code) == (0, 0), compared.err + judged.err
    assert "ema of length 0.2" in Path("compared/compare.log").read_text()
    assert "| ema of length 0.2 |" in Path("whole/evaluations.jsonl").read_text()


def test_a_run_that_was_stopped_and_goes_on_leaves_the_same_averages(command, whole):
    for more in (["trainer.stop_at=7"], ["resume=auto"]):
        outcome = command("train", *RUN, "hydra.run.dir=parts", *more)
        assert outcome.code == 0, outcome.err
    assert same(snapshots("parts"), snapshots("whole"))
    assert same(tensors("parts"), tensors("whole"))
    assert len(snapshots("whole")) > 100
    assert reconstruct(Path("parts"), 0.15).run == reconstruct(whole, 0.15).run


def test_a_run_whose_last_checkpoints_are_lost_forgets_later_snapshots(command, whole):
    expected = snapshots("whole")
    for name in ("step_00000012", "last", "step_00000010"):
        Path(f"whole/checkpoints/{name}.safetensors").unlink()
    Path("whole/averages/.partial-1-x.safetensors").touch()
    outcome = command("train", *RUN, "hydra.run.dir=whole", "resume=auto", "trainer.stop_at=6")
    assert outcome.code == 0, outcome.err
    assert steps_of("whole") == {3, 6}
    command("train", *RUN, "hydra.run.dir=whole", "resume=auto")
    assert same(snapshots("whole"), expected)


def test_averages_go_back_with_the_run_and_count_no_skipped_step(command, monkeypatch):
    clean = training_step.add_keyed_noise

    def poisoned(denoiser, batch, seed, **options):
        noised = clean(denoiser, batch, seed, **options)
        noised.x_t[2] += float("nan") if batch.step in (1, 5, 6, 7) else 0.0
        return noised

    monkeypatch.setattr(training_step, "add_keyed_noise", poisoned)
    again = ["trainer.bad_steps=3", "trainer.log_every=1", "hydra.run.dir=run"]
    outcome = command("train", *RUN, *again)
    assert outcome.code == 1
    assert "back to step_00000005.safetensors with half the learning rate" in outcome.out
    assert tensors("run")["power_ema.applied"] == 4
    assert steps_of("run") == {3, 6, 9}
    assert reconstruct(Path("run"), 0.15).profile.applied == 5


def test_a_new_length_is_refused_on_resume_and_a_dropped_one_is_told(command, whole):
    path, longer = "hydra.run.dir=whole", "trainer.steps=14"
    more = command("train", *RUN, path, longer, "trainer.ema_lengths=[0.05,0.2]", "resume=auto")
    fewer = command("train", *RUN, path, longer, "trainer.ema_lengths=[0.05]", "resume=auto")
    assert more.code == 1
    assert "trainer.ema_lengths has 0.2, which the checkpoint does not track" in more.err
    assert fewer.code == 0, fewer.err
    assert "trainer.ema_lengths: [0.05, 0.1] -> [0.05]" in fewer.out
    assert reconstruct(whole, 0.15).profile.applied == 14


def test_a_fine_tuned_run_begins_its_averages_anew_and_is_another_run(command, whole):
    outcome = command("train", *RUN, "init=whole", "trainer.steps=6", "hydra.run.dir=tuned")
    assert outcome.code == 0, outcome.err
    tuned = reconstruct(Path("tuned"), 0.15)
    assert tuned.profile.applied == 6
    assert tuned.run != reconstruct(whole, 0.15).run
    for path in Path("tuned/averages").iterdir():
        shutil.copy(path, f"whole/averages/tuned_{path.name}")
    mixed = command("ema", "whole", "length=0.15", "out=mixed.safetensors")
    assert (mixed.code, "holds snapshots of 2 runs, as " in mixed.err) == (1, True)
    shutil.rmtree("whole/averages")
    shutil.copytree("tuned/averages", "whole/averages")
    foreign = command("ema", "whole", "length=0.15", "out=mixed.safetensors")
    assert "the snapshots are of another run than step_00000012.safetensors" in foreign.err
    assert not Path("mixed.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["length=0.3"], "length must be above 0 and at most 0.28, but is 0.3"),
        (["length=0"], "length must be above 0 and at most 0.28, but is 0"),
        (["length=0.1", "at=13"], "at must be a step from 3 to 12, as the snapshots in "),
        (["length=0.1", "at=0"], "at must be at least 1, but is 0"),
        (["length=0.1", "out=a.pt"], "out must end in .safetensors, but is 'a.pt'"),
        (["length=0.1", "out=there.safetensors"], "out must be a new file, but 'there.safeten"),
        ([], "length must be given: length of the EMA: the standard deviation of the steps"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(command, whole, arguments, told):
    Path("there.safetensors").touch()
    out = ["out=new.safetensors"] * all("out=" not in each for each in arguments)
    outcome = command("ema", "whole", *arguments, *out)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert told in outcome.err


def test_a_truncated_snapshot_is_named_and_left_out(command, whole):
    path = Path("whole/averages/length_0.05_step_00000006.safetensors")
    path.write_bytes(path.read_bytes()[:-9])
    outcome = command("ema", "whole", "length=0.15", "out=new.safetensors")
    assert outcome.code == 0, outcome.err
    assert f"{path.name} is left out: the file is cut off within its tensors" in outcome.out
    assert "of 7 snapshots of 2 lengths" in outcome.out
