"""Runs that start from a checkpoint's weights: on other images, exactly resumed, or refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import GOLDEN, change, change_config
from conftest import TINY
from PIL import Image
from run_files import tensors

from ddpm_cli.checkpoints import Checkpoint

BRIEF = ["trainer.batch_size=8", "trainer.warmup=0", "sampler.steps=2", "trainer.steps=2"]


def pictures(folder, names=("a", "b", "c"), mode="RGB"):
    """A folder of small images in folders of classes, and the options that read them."""
    numbers = np.random.default_rng(0)
    for place in range(12):
        path = Path(folder, names[place % len(names)], f"{place}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (8, 8, 3) if mode == "RGB" else (8, 8)
        Image.fromarray(numbers.integers(0, 256, shape, dtype=np.uint8)).save(path)
    grey = ["data.channels=1"] * (mode == "L")
    return ["data=folder", f"data.path={folder}", "data.cache=off", "data.holdout=0", *grey]


def last(folder):
    return Checkpoint.load(Path(folder, "checkpoints/last.safetensors"))


def tune(command, *options, folder="tuned"):
    return command("train", *BRIEF, f"hydra.run.dir={folder}", *options)


def line_of(outcome, label):
    return next(line for line in outcome.out.splitlines() if line.startswith(f"{label} "))


def test_a_run_starts_at_step_zero_with_the_ema_of_a_checkpoint(command, trained):
    outcome = tune(command, f"init={trained}", "trainer.steps=0")
    assert outcome.code == 0, outcome.err
    before, after = Checkpoint.load(trained), last("tuned")
    assert after.step == 0
    for part in ("network", "ema"):
        own = after.part(part)
        assert all(torch.equal(own[name], each) for name, each in before.part("ema").items())


@pytest.mark.slow
def test_raw_weights_are_taken_where_they_are_asked_for(command, trained):
    outcome = tune(command, f"init={trained}", "init_weights=raw", "trainer.steps=0")
    assert "(step 4, raw weights), 135 of 135 tensors" in outcome.out, outcome.err
    before = Checkpoint.load(trained).part("network")
    own = last("tuned").part("ema")
    assert all(torch.equal(own[name], each) for name, each in before.items())
    assert not [each for each in last("tuned").overrides if each.startswith("init")]


def test_network_and_schedule_are_the_checkpoints_and_colour_is_fitted(command, trained):
    command(
        "train",
        *TINY,
        "schedule=linear",
        "schedule.steps=50",
        "model.variance=large",
        "trainer.steps=1",
        "hydra.run.dir=base",
    )
    outcome = tune(command, "init=base", *pictures("photos"))
    assert outcome.code == 0, outcome.err
    changes = "channels 1 -> 3 in stem.weight, head.1.weight, head.1.bias"
    text = f"from last.safetensors (step 1, EMA), 132 of 135 tensors; {changes}"
    assert line_of(outcome, "init") == f"init       {text}"
    one, other = last("base"), last("tuned")
    assert other.config.schedule == one.config.schedule
    assert other.config.model == one.config.model
    assert other.config.data.size == 8
    assert json.loads(Path("tuned/run.json").read_text())["init"] == text
    assert f"init        {text}" in command("info", "tuned").out


def test_a_fine_tuned_run_tells_no_path_of_its_first_weights(command, trained):
    shutil.copy(trained, "mine.safetensors")
    assert tune(command, "init=mine.safetensors").code == 0
    after, before = last("tuned"), Checkpoint.load(trained)
    assert after.init["source"] == after.config.init == "mine.safetensors"
    assert (after.init["step"], after.init["weights"]) == ("4", "ema")
    assert str(Path.cwd()) not in str(after.overrides)
    command("export", "tuned", "out=model")
    exported = Checkpoint.load(Path("model/model.safetensors"))
    again = tune(command, "init=model", folder="again")
    assert again.code == 0, again.err
    assert (exported.init, last("again").init["step"]) == (after.init, "2")
    assert before.init == {}


def test_ten_classes_become_three(command, conditional):
    outcome = tune(command, f"init={conditional}", *pictures("photos", ("1", "7", "x"), "L"))
    assert outcome.code == 0, outcome.err
    labels = "labels: 2 of 3 classes by name, 1 new (the mean of 10)"
    assert f"(step 4, EMA), 135 of 136 tensors; {labels}" in outcome.out
    assert last("tuned").part("ema")["label.weight"].shape == (4, 32)
    assert command("sample", "tuned", "n=2", "label=x", "guidance=2", "png=false").code == 0


def test_images_without_classes_need_a_network_without_labels(command, conditional):
    options = pictures("photos", (".",), "L")
    outcome = tune(command, f"init={conditional}", *options)
    assert "but these images have none; model.conditional=false fine-tunes" in outcome.err
    outcome = tune(command, f"init={conditional}", *options, "model.conditional=false")
    assert "135 of 135 tensors; left out: label.weight" in outcome.out, outcome.err


def test_options_on_the_command_line_win_over_the_checkpoints(command, trained):
    typed = ["schedule=linear", "model.network.dropout=0.1", "model.variance=learned"]
    outcome = tune(command, f"init={trained}", *typed, "loss=hybrid")
    assert outcome.code == 0, outcome.err
    config = last("tuned").config
    assert config.schedule._target_ == "ddpm_cli.schedules.linear"
    assert (config.model.network.dropout, config.model.network.dim) == (0.1, 8)
    changes = "model.network.dropout: 0.0 -> 0.1; schedule._target_: "
    assert f"variance small -> learned in head.1.weight, head.1.bias; {changes}" in outcome.out


@pytest.mark.slow
def test_a_choice_of_a_network_takes_the_checkpoints_numbers_where_it_has_none(command, trained):
    assert tune(command, f"init={trained}", "model=resnet").code == 0
    outcome = tune(command, f"init={trained}", "model=convnext", folder="other")
    assert outcome.code == 1
    assert "has only 57 of 153 tensors, 36% of the numbers of this network: " in outcome.err
    assert not Path("other").exists()


@pytest.mark.slow
def test_a_learned_variance_is_trained_by_a_loss_that_trains_it(command, trained):
    learned = ["model.variance=learned", "loss=hybrid"]
    command("train", *TINY, *learned, "trainer.steps=1", "hydra.run.dir=base")
    assert tune(command, "init=base").code == 0
    assert last("tuned").config.loss._target_ == "ddpm_cli.losses.hybrid"


@pytest.mark.slow
def test_a_recipe_gives_what_the_first_weights_do_not(command, trained):
    command("train", *TINY, "model=convnext", "seed=3", "trainer.steps=1", "hydra.run.dir=other")
    outcome = command("train", "recipe=other", f"init={trained}", "hydra.run.dir=tuned")
    assert outcome.code == 0, outcome.err
    config = last("tuned").config
    assert (config.seed, config.trainer.steps, config.model.network.block) == (3, 1, "resnet")


def test_a_checkpoint_of_an_old_format_is_taken(command):
    outcome = tune(command, f"init={GOLDEN / 'format_4.pt'}", "trainer.steps=0")
    assert outcome.code == 0, outcome.err
    assert "init       from format_4.pt (step " in outcome.out


def test_a_resumed_fine_tuned_run_is_exact_and_needs_its_first_weights_no_more(command, trained):
    options = [*pictures("photos"), "trainer.steps=5", "trainer.ema=0.5"]
    shutil.copy(trained, "mine.safetensors")
    init = "init=mine.safetensors"
    assert tune(command, init, *options, folder="whole").code == 0
    assert tune(command, init, *options, "trainer.stop_at=3", folder="parts").code == 0
    Path("mine.safetensors").unlink()
    resumed = tune(command, init, *options, "resume=auto", folder="parts")
    assert resumed.code == 0, resumed.err
    assert "resumed    step 3 of" in resumed.out
    whole, parts = (tensors(name) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert last("whole").init == last("parts").init


def test_the_printed_command_goes_on_without_the_first_weights(command, trained):
    stopped = tune(command, f"init={trained}", "trainer.steps=4", "trainer.stop_at=1")
    line = next(each for each in stopped.out.splitlines() if "resume=auto" in each)
    assert " init=" not in line and "model=resnet schedule=cosine model.network.dim=8" in line


def test_the_first_weights_and_a_checkpoint_to_resume_are_two_things(command, trained):
    outcome = tune(command, f"init={trained}", f"resume={trained}")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "name one of them, or resume=auto beside init" in outcome.err


def copy_without(path, target, part):
    """A copy of a checkpoint without some of its tensors."""
    whole = Checkpoint.load(path).tensors
    left = {name: each for name, each in whole.items() if not name.startswith(part)}
    change(path, target, tensors=left, optimizer={})


def copy_with_network(path, target, name):
    """A copy of a checkpoint whose configuration names another network."""
    change_config(path, lambda cfg: cfg.model.network.update(_target_=name), target)


FILES = {  # that are changed from a checkpoint
    "text.pt": lambda path, target: Path(target).write_text("no weights"),
    "cut.safetensors": lambda path, target: Path(target).write_bytes(path.read_bytes()[:-100]),
    "export.safetensors": lambda path, target: copy_without(path, target, "network"),
    "system.safetensors": lambda path, target: copy_with_network(path, target, "os.system"),
    "own.safetensors": lambda path, target: copy_with_network(path, target, "mine.net"),
    "bare.safetensors": lambda path, target: change_config(
        path, lambda cfg: cfg.pop("schedule"), target
    ),
    "run.safetensors": shutil.copy,
}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("init=nothing", "there is no checkpoint at 'nothing'"),
        ("init=text.pt", "become a checkpoint by ddpm-import from=PATH out=CKPT"),
        ("init=cut.safetensors", "init: cannot read the checkpoint 'cut.safetensors': "),
        ("init=run.safetensors model.network.dim=16", "has only 4 of 135 tensors, 1% of"),
        ("init_weights=raw", "init_weights=raw has no effect without init"),
        ("init=run.safetensors init_weights=last", "init_weights must be one of ema, raw"),
        ("init=export.safetensors init_weights=raw", "has none (an export has the EMA)"),
        ("init=system.safetensors", "model.network._target_ must name a function or class"),
        ("init=own.safetensors", "model.network._target_ must name a function or class"),
        ("init=bare.safetensors", "has no model and schedule in its options"),
    ],
)
def test_what_no_run_can_start_from_is_refused_in_one_line(command, trained, options, told):
    first, *others = options.split()
    if changed := FILES.get(first.removeprefix("init=")):
        changed(trained, first.removeprefix("init="))
    outcome = tune(command, first, *others, folder="new")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1), outcome.err
    assert told in outcome.err
    assert not Path("new").exists()


def test_a_doctor_checks_the_first_weights(command, trained):
    outcome = command("doctor", *BRIEF, f"init={trained}", "model.network.dim=16")
    assert (outcome.code, "has only 4 of 135 tensors" in outcome.err) == (1, True)
    outcome = command("doctor", *BRIEF, f"init={trained}")
    assert "init       from " in outcome.out, outcome.err


@pytest.mark.slow
def test_all_jobs_of_a_sweep_start_from_the_same_weights(command, trained):
    shutil.copy(trained, "mine.safetensors")
    sweep = ["-m", *BRIEF, "init=mine.safetensors", "seed=1,2", "hydra.sweep.dir=sweep"]
    outcome = command("train", *sweep)
    assert outcome.code == 0, outcome.err
    assert last("sweep/0").init == last("sweep/1").init
    shutil.rmtree("sweep/1")
    before = Checkpoint.load(trained)
    moved = {name: 2 * each for name, each in before.tensors.items() if name.startswith("ema.")}
    change(trained, "mine.safetensors", tensors={**before.tensors, **moved})
    outcome = command("train", *sweep)
    assert outcome.code == 1
    changed = "mine.safetensors has changed since the first job of this sweep"
    assert f"init: {changed}; name a file that no run writes" in outcome.err


@pytest.mark.slow
def test_a_sweep_varies_the_first_weights_of_one_network(command, trained):
    change(trained, "other.safetensors", step=3)
    sweep = ["-m", *BRIEF, f"init={trained},other.safetensors", "hydra.sweep.dir=sweep"]
    assert command("train", *sweep).code == 0
    assert [last(f"sweep/{job}").init["step"] for job in (0, 1)] == ["4", "3"]
    change_config(trained, lambda cfg: cfg.schedule.update(steps=50), "other.safetensors")
    outcome = command("train", *sweep[:-1], "hydra.sweep.dir=new")
    assert "init: all checkpoints of a sweep must have one network and" in outcome.err


def test_a_file_of_options_names_no_first_weights(command, trained):
    Path("mine/experiment").mkdir(parents=True)
    text = f"# @package _global_\ninit: {trained}\n"
    Path("mine/experiment/tuned.yaml").write_text(text)
    outcome = command("train", "--config-dir=mine", "+experiment=tuned", "hydra.run.dir=new")
    assert "init can be given on the command line only" in outcome.err


ADM = ["dim=8", "dim_mults=[1,2]", "blocks=1", "groups=4", "head_dim=4", "attention_at=[4]"]
SMALL_ADM = ["model=adm", *(f"model.network.{each}" for each in ADM)]


@pytest.mark.slow
def test_a_network_without_a_row_for_no_label_learns_it_with_hidden_labels(command):
    options = ["model.conditional=true", "model.network.null_label=false", "loss=hybrid"]
    brief = [*BRIEF, "trainer.steps=1", "sampler=ancestral", "sampler.steps=2"]
    outcome = command(
        "train", *brief, *SMALL_ADM, *options, "trainer.label_dropout=0", "hydra.run.dir=base"
    )
    assert outcome.code == 0, outcome.err
    change("base/checkpoints/last.safetensors", origin={"source": "elsewhere", "licence": "MIT"})
    refused = command("sample", "base", "n=1", "label=3", "guidance=2")
    assert "guidance must be 1" in refused.err
    photos = pictures("photos", mode="L")
    outcome = tune(command, "init=base", *photos, "data.size=16")
    assert outcome.code == 0, outcome.err
    assert "model.network.null_label: false -> true" in outcome.out
    tuned = last("tuned")
    assert tuned.part("ema")["embed.label.weight"].shape == (4, 32)
    assert tuned.config.model.network.attention_at == [8]
    assert tuned.origin == {"source": "elsewhere", "licence": "MIT"}
    drawn = command("sample", "tuned", "n=1", "label=a", "guidance=2", "png=false")
    assert drawn.code == 0, drawn.err
    again = tune(command, "init=base", *photos, "trainer.label_dropout=0", folder="again")
    assert again.code == 0, again.err
    assert last("again").part("ema")["embed.label.weight"].shape == (3, 32)
