"""The command: it searches within its time, goes on, and writes what ddpm-sample takes."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import once
from PIL import Image

from ddpm_cli.averages import reconstruct
from ddpm_cli.checkpoints import Checkpoint, file_hash
from ddpm_cli.commands.tune import timed_measure
from ddpm_cli.commands.tune.lengths import checkpoint_of_ema, write_ema
from ddpm_cli.generation.tuned import TunedSetting, write_tuned

ALL = [
    *("measure=fd_pixels", "n=40", "columns=2", "hydra.run.dir=out"),
    *("samplers=[ancestral]", "steps=[3]"),
    *("lengths=[0.2]", "guidance=[3]", "guiders=[]", "intervals=[[0.3,5]]"),
]
NONE = ["lengths=[]", "guidance=[]", "guiders=[]", "intervals=[]", "samplers=[]"]
FEW = [*ALL[:4], *NONE, "steps=[1]"]


@pytest.fixture
def short(command, runs):
    """The last checkpoint of a run of five noise levels on labels, with snapshots of its EMA."""
    options = ["schedule.steps=5", "trainer.ema_lengths=[0.05,0.1]", "trainer.ema_every=2"]
    return once(command, runs, "tuning", "model.conditional=true", *options)


def table():
    with Path("out/table.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def tuned(checkpoint):
    return json.loads((checkpoint.parent / "tuned.json").read_text())


def sample(command, checkpoint, folder, *options):
    """The images that ddpm-sample draws, and its screen."""
    of = [f"ckpt={checkpoint}", "n=10", "npz=true", f"hydra.run.dir={folder}", *options]
    outcome = command("sample", *of)
    assert outcome.code == 0, outcome.err
    return np.load(f"{folder}/npz/00000000.npz")["arr_0"], outcome.out


def test_a_search_ends_with_a_table_pictures_and_a_setting_better_on_fresh_images(command, short):
    outcome = command("tune", str(short), *ALL)
    assert outcome.code == 0, outcome.err
    names = ["contact.png", "coordinates.png", "measurements", "table.csv", "tune.log", "tune.yaml"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    *_, start, winner = table()
    assert (start["images"], winner["images"], start["taken"]) == ("fresh", "fresh", "False")
    assert float(winner["metric"]) < float(start["metric"]) and float(winner["high"]) < 0
    shown = {(row["guidance"], row["interval"], row["sampler"]) for row in table()}
    assert Image.open("out/contact.png").size[1] >= 52 * len(shown)
    options = tuned(short)["options"]
    assert options["sampler"] == winner["sampler"] == "ancestral"
    assert re.search(
        r"fresh      .*sampler ancestral.* \(95% for all \d settings tried\)", outcome.out
    )
    by_options = [f"{name}={value}" for name, value in options.items()]
    expected, _ = sample(command, short, "typed", "label=all", "tuned=false", *by_options)
    images, out = sample(command, short, "taken", "label=all")
    assert np.array_equal(images, expected)
    for each in by_options:
        assert f"tuned      {each} (tuned.json; tuned=false for the defaults)\n" in out


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_table(command, short, monkeypatch):
    command("tune", str(short), *ALL)
    whole, found = table(), tuned(short)
    left, measure = iter(range(3)), timed_measure.measure_variant

    def killed(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(timed_measure, "measure_variant", killed)
    again = [each.replace("out", "again") for each in ALL]
    stopped = command("tune", str(short), *again)
    assert stopped.code == 130
    assert "stopped    go on with the same command and hydra.run.dir=" in stopped.out
    monkeypatch.setattr(timed_measure, "measure_variant", measure)
    assert command("tune", str(short), *again).code == 0
    Path("out/table.csv").write_bytes(Path("again/table.csv").read_bytes())
    assert (table(), tuned(short)) == (whole, found)


def test_a_search_that_is_complete_measures_nothing_again(command, short, monkeypatch):
    command("tune", str(short), *FEW)
    before = Path("out/table.csv").read_bytes()
    monkeypatch.setattr(timed_measure, "measure_variant", lambda *_: pytest.fail("measured"))
    assert command("tune", str(short), *FEW).code == 0
    assert Path("out/table.csv").read_bytes() == before


@pytest.mark.slow
def test_a_damaged_measurement_is_made_anew(command, short):
    command("tune", str(short), *FEW)
    before = table()
    damaged = [*Path("out/measurements").glob("*.npz")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:100])
    outcome = command("tune", str(short), *FEW)
    assert (
        damaged
        and "is damaged (" in outcome.out
        and "and the setting is measured anew" in outcome.out
    )
    assert table() == before


def test_a_guide_and_a_threshold_of_the_search_belong_to_its_setting(command, short, monkeypatch):
    measure = timed_measure.measure_variant

    def better_guided(inputs, setting, indices, advance):
        found = measure(inputs, setting, indices, advance)
        score = replace(found.score, value=found.score.value - 1e3 * (setting.guidance != 1))
        return replace(found, score=score)

    monkeypatch.setattr(timed_measure, "measure_variant", better_guided)
    few = [*ALL[:4], *[each for each in NONE if "guidance" not in each], "guidance=[2]", "steps=[]"]
    outcome = command("tune", str(short), *few, f"guide={short}", "label=null", "threshold=none")
    assert outcome.code == 0, outcome.err
    found = tuned(short)
    assert found["options"] == {"guidance": 2.0, "threshold": "none", "guide": str(short)}
    assert (found["label"], found["guide"]) == (None, {"sha256": file_hash(str(short))})


def test_a_search_without_a_label_leaves_guidance_out(command, short):
    outcome = command("tune", str(short), *FEW[:4], "label=null", "budget=1s")
    assert "left out   guidance: label is null, and there is no guide\n" in outcome.out
    assert outcome.err.startswith("error: budget=1s is too short")


def test_a_search_whose_time_is_over_measures_no_other_setting(command, short, monkeypatch):
    measure = timed_measure.measure_variant

    def slow(*arguments):
        return replace(measure(*arguments), drawing=1000.0)

    monkeypatch.setattr(timed_measure, "measure_variant", slow)
    outcome = command("tune", str(short), *ALL, "budget=1h")
    assert "time       the budget is spent: not all settings were measured\n" in outcome.out
    assert "winner     no change helps: " in outcome.out
    assert tuned(short)["options"] == {}


def test_a_length_is_a_checkpoint_of_its_own_that_ddpm_sample_draws_with(command, short):
    checkpoint = Checkpoint.load(short, ["ema"])
    file = write_ema(checkpoint, 0.2)
    write_tuned(checkpoint, TunedSetting({"length": 0.2}, file_hash(str(short)), *file))
    path, steps = short.with_name("ema_0.2.safetensors"), "sampler.steps=5"
    images, out = sample(command, short, "taken", steps)
    assert f"checkpoint {path}: step 4" in out and "tuned      length=0.2 (" in out
    assert np.array_equal(images, sample(command, path, "own", steps, "tuned=false")[0])
    assert not np.array_equal(images, sample(command, short, "raw", steps, "weights=raw")[0])
    path.write_bytes(short.read_bytes())
    images, out = sample(command, short, "other", steps)
    assert "is not taken: ema_0.2.safetensors is not the checkpoint of its EMA length" in out
    assert np.array_equal(images, sample(command, short, "none", steps, "tuned=false")[0])


def test_the_ema_of_a_search_is_that_of_the_reconstruction(short):
    checkpoint = Checkpoint.load(short, ["ema"])
    weights = reconstruct(short.parent.parent, 0.2, 4).weights
    ours = checkpoint_of_ema(checkpoint, 0.2).part("ema")
    assert all(np.array_equal(ours[name], weights[name]) for name in weights)


def test_what_cannot_be_varied_is_left_out_unless_it_is_typed(command, trained):
    outcome = command("tune", str(trained), *ALL[:4], "samplers=[]", "steps=[1]", "budget=1s")
    assert (
        "left out   guidance: the checkpoint is unconditional, and there is no guide" in outcome.out
    )
    assert "left out   lengths: the run has no snapshots of its EMA" in outcome.out
    assert re.fullmatch(
        r"error: budget=1s is too short to try a change: 4 settings of n=40 images take about "
        r"\d+ s; try budget=\dmin\n",
        outcome.err,
    )
    refused = command("tune", str(trained), *ALL)
    assert refused.err.startswith("error: lengths cannot be varied: the run has no snapshots")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["measure=is_lite0"], "measure must be fd or kid of features, but is 'is_lite0'"),
        (["measure=fd_none"], "metrics must be nll, "),
        (["budget=soon"], "budget must be minutes, or a number with s, min or h, as 60min, but is"),
        (["budget=0"], "budget must be positive, but is 0"),
        (["n=10"], "n must be at least 40, but is 10"),
        (["intervals=[[2,1]]"], "intervals must be [low, high] with 0 <= low < high, but one is"),
        (["guidance=[-1]"], "guidance must be at least 0, but one is -1"),
        (["samplers=[euler]"], "samplers must be among "),
        (["steps=[50]"], "steps 50: sampler.steps must be between 1 and 5"),
        (["lengths=[0.4]"], "lengths cannot be varied: lengths must be above 0 and at most 0.28"),
        (
            ["steps=[]", *NONE],
            "lengths, guidance, guiders, intervals, samplers, steps are all empty",
        ),
        (["guidance=[1]"], "intervals cannot be varied: guidance names no scale other than 1"),
        (["run=nowhere"], "run must be a folder or a file, but there is none at 'nowhere'"),
    ],
)
def test_bad_options_are_told_in_one_line_and_nothing_is_written(command, short, options, told):
    outcome = command("tune", f"run={short}", *ALL, *options)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith(f"error: {told}")
    assert not Path("out").exists()
