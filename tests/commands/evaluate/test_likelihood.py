"""Evaluations: the likelihood of images under a checkpoint, said, written and drawn."""

import csv
import json
import math
import re
from pathlib import Path

import pytest
from checkpoint_files import change_config, scale
from conftest import once
from PIL import Image

from ddpm_cli.checkpoints import Checkpoint

FEW = ["metrics=[nll]", "images=all", "n=6", "batch=4"]
FLOW = ["nll=ode", "nll_steps=3"]


@pytest.fixture
def short(command, runs):
    """The last checkpoint of a tiny run of a process of twelve steps."""
    return once(command, runs, "short", "schedule.steps=12")


def evaluated(command, ckpt, *options, folder="out"):
    outcome = command("evaluate", f"ckpt={ckpt}", *FEW, *options, f"hydra.run.dir={folder}")
    assert outcome.code == 0, outcome.err
    return outcome, json.loads(Path(folder, "nll.json").read_text())


def bits_of(command, ckpt, *options, folder="other"):
    return evaluated(command, ckpt, *options, folder=folder)[1]["bits_per_dimension"]


def rewritten(path, edit_config):
    change_config(path, edit_config, "changed.safetensors")
    return "changed.safetensors"


def rows():
    with Path("out/nll_per_time.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_the_bound_is_said_and_written_with_its_parts(command, short):
    outcome, found = evaluated(command, short)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "eval.json",
        "eval.log",
        "eval.yaml",
        "nll.json",
        "nll.png",
        "nll_per_time.csv",
    ]
    assert found["bits_per_dimension"] == pytest.approx(
        found["L_T"] + found["L_t"] + found["decoder"]
    )
    assert sum(found["interval_95"]) / 2 == pytest.approx(found["bits_per_dimension"])
    assert (found["n"], found["weights"], found["ckpt"], found["nll_cdf"]) == (
        6,
        "ema",
        str(short),
        "exact",
    )
    told = (
        r"nll +\d+\.\d{3} \+- \d+\.\d{3} bits per dimension \(95%, 6 images; L_T [\d.]+, L_t "
        r"[\d.]+, decoder [\d.]+\)\n"
    )
    assert re.search(told, outcome.out)
    assert "images     6 of 1,797, images=all\n" in outcome.out
    assert (
        "variational bound, 12 evaluations an image; the decoder's normal distribution is exact\n"
        in outcome.out
    )
    assert re.search(r"written +\S+/out/nll\.png\n", outcome.out)
    assert "6/6 images" in outcome.err


def test_over_time_stand_the_terms_the_errors_and_rate_and_distortion(command, short):
    _, found = evaluated(command, short)
    table = rows()
    assert [row["t"] for row in table] == list(range(1, 13))
    assert table[0]["bits"] == pytest.approx(found["decoder"])
    assert table[0]["rate"] == pytest.approx(found["L_T"] + found["L_t"])
    assert table[-1]["rate"] == pytest.approx(found["L_T"])
    assert table[4]["distortion"] == pytest.approx(127.5 * math.sqrt(table[4]["mse"]))
    assert Image.open("out/nll.png").width > Image.open("out/nll.png").height


@pytest.mark.parametrize("kind", [["nll=bound"], FLOW])
def test_the_numbers_depend_on_the_seed_and_not_on_the_batch(command, short, kind):
    together = bits_of(command, short, *kind, "batch=6")
    assert bits_of(command, short, *kind, "batch=1") == pytest.approx(together, rel=1e-5)
    assert bits_of(command, short, *kind, "seed=1") != pytest.approx(together, rel=1e-5)


def test_the_flow_has_a_number_and_no_terms(command, short):
    outcome, found = evaluated(command, short, *FLOW)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "eval.json",
        "eval.log",
        "eval.yaml",
        "nll.json",
    ]
    assert (
        "probability flow, 7 evaluations an image; the decoder's normal distribution is exact\n"
        in outcome.out
    )
    assert "(95%, 6 images; 3 steps of Heun's method)" in outcome.out
    assert math.isfinite(found["bits_per_dimension"])


def test_the_distribution_of_published_codes_changes_the_decoder_alone(command, short):
    (outcome, tanh), (_, exact) = (
        evaluated(command, short, "nll_cdf=tanh"),
        evaluated(command, short, folder="exact"),
    )
    assert "the decoder's normal distribution is tanh\n" in outcome.out
    assert (tanh["L_T"], tanh["L_t"]) == (exact["L_T"], exact["L_t"])
    assert tanh["decoder"] != exact["decoder"]


def test_images_are_parted_as_in_training_and_held_out_ones_are_taken(command, short):
    outcome, found = evaluated(command, short, "images=held_out", "n=null", "batch=72")
    others = command("evaluate", f"ckpt={short}", *FEW, "images=training", "n=1797")
    assert found["n"] == 72
    assert "images     72 of 1,797, images=held_out\n" in outcome.out
    assert (
        others.err
        == "error: n must be between 2 and 1725, the images there are (images=training), but is "
        "1797\n"
    )


def test_the_last_weights_are_others(command, short):
    assert bits_of(command, short, "weights=raw") != bits_of(command, short)


def test_a_conditional_checkpoint_is_given_the_labels(command, runs):
    ckpt = once(command, runs, "short classes", "schedule.steps=12", "model.conditional=true")
    scale(ckpt, "deaf.safetensors", 0, "ema.label.weight")
    assert bits_of(command, ckpt) != bits_of(command, "deaf.safetensors")


def test_classes_must_be_those_of_a_conditional_checkpoint(command, runs):
    ckpt = once(command, runs, "short classes", "schedule.steps=12", "model.conditional=true")
    Path("photos").mkdir()
    [Image.new("L", (8, 8), 40 * index).save(f"photos/{index}.png") for index in range(4)]
    outcome = command(
        "evaluate",
        f"ckpt={ckpt}",
        *FEW,
        "data=folder",
        "data.path=photos",
        "data.size=8",
        "data.channels=1",
    )
    told = (
        "error: data: classes must be the checkpoint's, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, but are "
        "none\n"
    )
    assert (outcome.code, outcome.err) == (1, told)


def test_other_images_are_named_on_the_command_line_and_told(command, short):
    Path("photos").mkdir()
    [Image.new("L", (8, 8), 40 * index).save(f"photos/{index}.png") for index in range(6)]
    outcome, _ = evaluated(
        command, short, "data=folder", "data.path=photos", "data.size=8", "data.channels=1"
    )
    assert (
        "warning: these are not the images that the checkpoint was trained on (their "
        "fingerprints differ)" in outcome.out
    )


def test_no_file_is_opened_at_the_word_of_a_checkpoint(command, short):
    def elsewhere(config):
        config.data._target_ = "ddpm_cli.data.folder"
        config.data.path = "/"

    outcome = command("evaluate", f"ckpt={rewritten(short, elsewhere)}", *FEW, "hydra.run.dir=out")
    told = "error: data=... must name the images: a checkpoint may name only the packaged digits\n"
    assert (outcome.code, outcome.err) == (1, told)
    assert not Path("out").exists()


def test_the_flow_refuses_a_process_that_ends_without_signal(command, runs):
    ckpt = once(
        command, runs, "silent", "schedule.steps=12", "schedule.zero_snr=true", "model.predicts=v"
    )
    outcome = command("evaluate", f"ckpt={ckpt}", *FEW, *FLOW, "hydra.run.dir=out")
    assert outcome.err.startswith(
        "error: nll=ode needs some signal at the end of the schedule, but its SNR there is 0"
    )
    assert not Path("out").exists()
    assert evaluated(command, ckpt)[1]["L_T"] == 0


def test_numbers_that_are_not_finite_are_told(command, short):
    scale(short, "huge.safetensors", 1e30)
    outcome = command("evaluate", "ckpt=huge.safetensors", *FEW, *FLOW, "hydra.run.dir=out")
    assert outcome.code == 1
    assert outcome.err.endswith("error: nll=ode must be finite, but is not for 6 of 6 images\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["metrics=[nll,fvd]"],
            "metrics must be nll, cas, fid, sfid, kid, cmmd, prc, dc, is, copies, or one of fd_, "
            "kid_, cmmd_, prc_, dc_, is_, copies_ with one of ",
        ),
        (
            ["metrics=[fd_vgg]"],
            "metrics must be nll, cas, fid, sfid, kid, cmmd, prc, dc, is, copies, or one of fd_, "
            "kid_, cmmd_, prc_, dc_, is_, copies_ with one of ",
        ),
        (["metrics=[]"], "metrics must name at least one: nothing would be measured"),
        (["metrics=nll"], "metrics must be a list of str, but is 'nll'"),
        (["nll=exact"], "nll must be one of bound, ode, but is 'exact'"),
        (["nll_cdf=normal"], "nll_cdf must be one of exact, tanh, but is 'normal'"),
        (["nll_steps=0"], "nll_steps must be at least 1, but is 0"),
        (["nll_steps=3"], "nll_steps=3 has no effect without nll=ode"),
        (["samples=16"], "samples=16 has no effect with metrics=[nll], which draws no images"),
        (["label=3"], "label=3 has no effect with metrics=[nll], which draws no images"),
        (["threshold=none"], "threshold='none' has no effect with metrics=[nll], which draws no"),
        (["sampler.steps=3"], "sampler.steps=3 has no effect with metrics=[nll], which draws no"),
        (["sampler=heun"], "sampler=heun has no effect with metrics=[nll], which draws no images"),
        (["generated=."], "generated='.' has no effect with metrics=[nll], which draws no images"),
        (["images=test"], "images must be one of held_out, training, all, but is 'test'"),
        (["n=1"], "n must be between 2 and 1797, the images there are (images=all), but is 1"),
        (
            ["n=2000"],
            "n must be between 2 and 1797, the images there are (images=all), but is 2000",
        ),
        (["batch=0"], "batch must be at least 1, but is 0"),
        (["seed=-1"], "seed must be at least 0 and less than 2^64, but is -1"),
        (["weights=network"], "weights must be one of ema, raw, but is 'network'"),
        (["device=tpu"], "device must be auto, cpu, cuda, cuda:N or mps, but is 'tpu'"),
        (
            ["images=held_out", "data=digits", "data.holdout=0.1"],
            "data.holdout must be 0.05, as in training, but is 0.1",
        ),
        (
            ["data=digits", "data.size=16"],
            "data: images must be of [1, 8, 8], as the checkpoint's, but are of [1, 16, 16]",
        ),
        (["data=digits", "data.path=x"], "data.path is not an option"),
        (["model=convnext"], "model is not an option; it comes with the checkpoint"),
        (["metric=[nll]"], "metric is not an option; did you mean 'metrics=[nll]'?"),
        (["ckpt=none.pt"], "there is no checkpoint at 'none.pt'"),
    ],
)
def test_bad_options_are_told_in_one_line_and_nothing_is_written(command, short, options, told):
    outcome = command("evaluate", f"ckpt={short}", *FEW, *options, "hydra.run.dir=out")
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {told}")
    assert outcome.err.count("\n") == 1
    assert not Path("out").exists()


def test_a_run_that_held_nothing_out_has_no_held_out_images(command, short):
    ckpt = rewritten(short, lambda config: config.data.update(holdout=0.0))
    outcome = command("evaluate", f"ckpt={ckpt}", *FEW, "images=held_out", "hydra.run.dir=out")
    assert (
        outcome.err
        == "error: images=held_out must be at least 2, but there are 0 (data.holdout=0.0); or "
        "images=all\n"
    )


def test_nothing_is_written_where_a_checkpoint_says(command, trained):
    assert Checkpoint.load(trained).config.data.cache == "disk"
    change_config(trained, lambda config: config.data.update(cache="./there/"))
    for name, options in (
        (
            "evaluate",
            [
                "metrics=[nll,kid_pixels]",
                "samples=8",
                "sampler.steps=2",
                "nll=ode",
                "nll_steps=1",
                "n=2",
            ],
        ),
        ("compare", ["samplers=[ddim]", "steps=[2]", "n=4"]),
    ):
        outcome = command(name, f"ckpt={trained}", *options, "hydra.run.dir=out")
        assert outcome.code == 0, outcome.err
    assert not Path("there").exists()
