"""Comparisons: the same images with every setting, counted, timed and measured."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import change, change_config
from conftest import TINY
from PIL import Image

from ddpm_cli.commands.compare.tradeoff import SettingResult, cheapest_setting, pareto_front

HALVING = """
from itertools import pairwise

def twice(denoise, diffusion, x, times, noise):
    for t, s in pairwise(times):
        x = (denoise(x, t).x0 + denoise(x, t).x0) / 2
        yield x
"""
FEW = [
    "samplers=[ddim,ancestral]",
    "steps=[2,3]",
    "n=8",
    "batch=3",
    "columns=4",
    "hydra.run.dir=out",
]


def rows():
    with Path("out/table.csv").open() as file:
        return list(csv.DictReader(file))


def point(evaluations, distance):
    return SettingResult("ddim", evaluations, evaluations, 1.0, distance)


def test_every_setting_is_counted_timed_and_measured(command, trained):
    outcome = command("compare", f"ckpt={trained}", *FEW)
    assert outcome.code == 0, outcome.err
    settings = [(row["sampler"], row["steps"], float(row["evaluations"])) for row in rows()]
    assert settings == [
        ("ddim", "2", 2),
        ("ddim", "3", 3),
        ("ancestral", "2", 2),
        ("ancestral", "3", 3),
    ]
    assert all(float(row["seconds"]) > 0 and float(row["distance"]) > 0 for row in rows())
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "compare.log",
        "compare.yaml",
        "contact.png",
        "pareto.png",
        "table.csv",
    ]


def test_the_screen_shows_the_table_and_names_the_cheapest(command, trained):
    out = command("compare", f"ckpt={trained}", *FEW).out
    assert "reference  1,725 of 1,797 images (training), 64 features of each" in out
    assert re.search(
        r"floor      8 of these images are [\d.]+ from the 1,717 others: about as near as n=8", out
    )
    assert (
        "warning: n=8 images are fewer than their 64 features: the distances are too large" in out
    )
    assert re.search(r"ancestral +3 +3 +\d+\.\d +\d+\.\d{3}\n", out)
    head, *table = re.findall(r"^(?:sampler|ddim|ancestral)  .*$", out, re.MULTILINE)
    assert head == "sampler    steps  evaluations  seconds  distance"
    assert {len(row) for row in table} == {len(head)}
    assert re.search(
        r"cheapest   (ddim|ancestral), [23] steps: [23] evaluations, distance [\d.]+, within 5% "
        r"of the best \(.*\)\n",
        out,
    )
    assert "fingerprints differ" not in out


def test_the_first_line_is_plain_where_a_folder_stands_for_its_checkpoint(command, trained):
    out = command("compare", f"ckpt={trained.parents[1]}", "steps=[2000]").out
    out += command("info", f"ckpt={trained.parents[1]}").out
    assert re.findall("^.* stands for ", out, re.MULTILINE) == 2 * [
        f"checkpoint {trained.parents[1]} stands for "
    ]


def test_all_settings_draw_from_the_same_seeds(command, trained):
    outcome = command(
        "compare",
        f"ckpt={trained}",
        "samplers=[ddim,ddim]",
        "steps=[2]",
        "n=4",
        "batch=3",
        "hydra.run.dir=out",
    )
    assert outcome.code == 0, outcome.err
    sheet = np.asarray(Image.open("out/contact.png"))
    assert np.array_equal(sheet[:52], sheet[52:])
    assert float(rows()[0]["distance"]) == float(rows()[1]["distance"])


def test_the_contact_sheet_shows_what_ddpm_sample_draws(command, trained):
    command(
        "compare",
        f"ckpt={trained}",
        "samplers=[ddim]",
        "steps=[3]",
        "n=4",
        "columns=2",
        "hydra.run.dir=out",
    )
    command(
        "sample", f"ckpt={trained}", "n=4", "sampler.steps=3", "npz=true", "hydra.run.dir=drawn"
    )
    sheet, image = (
        np.asarray(Image.open("out/contact.png")),
        np.load("drawn/npz/00000000.npz")["arr_0"][1, :, :, 0],
    )
    assert np.array_equal(sheet[2:50:6, -50:-2:6, 0], image)


def test_evaluations_are_those_that_were_made_and_a_sampler_may_be_ones_own(command, trained):
    Path("mine/sampler").mkdir(parents=True)
    Path("my_twice.py").write_text(HALVING)
    Path("mine/sampler/twice.yaml").write_text(
        "_target_: my_twice.twice\nsteps: 5\nspacing: even\n"
    )
    own = [
        "--config-dir",
        "mine",
        f"ckpt={trained}",
        "samplers=[twice]",
        "steps=[4]",
        "n=5",
        "batch=3",
        "hydra.run.dir=out",
    ]
    refused = command("compare", *own)
    assert (
        "sampler._target_ must name a function or class of ddpm_cli.samplers, but is "
        "'my_twice.twice'" in refused.err
    )
    assert not Path("out").exists()
    assert command("compare", *own, "trust=[my_twice]").code == 0
    assert rows()[0]["evaluations"] == "8.0"


def test_all_is_a_number_of_steps(command):
    command("train", *TINY, "schedule.steps=20", "trainer.steps=1", "hydra.run.dir=short")
    outcome = command(
        "compare",
        "ckpt=short/checkpoints/last.safetensors",
        "samplers=[ddim]",
        "steps=[2,all]",
        "n=2",
        "hydra.run.dir=out",
    )
    assert outcome.code == 0, outcome.err
    assert [row["steps"] for row in rows()] == ["2", "20"]


def test_other_images_may_be_the_reference(command, trained):
    Path("photos").mkdir()
    for index in range(5):
        Image.new("L", (8, 8), 40 * index).save(f"photos/{index}.png")
    own = ["data=folder", "data.path=photos", "data.size=8"]
    wrong = command("compare", f"ckpt={trained}", *FEW, *own)
    assert (
        wrong.err
        == "error: no images to measure against (they are of 3x8x8, the checkpoint's of 1x8x8); "
        "data=... names others\n"
    )
    right = command("compare", f"ckpt={trained}", *FEW, *own, "data.channels=1")
    assert right.code == 0, right.err
    assert "reference  5 of 5 images (all)" in right.out


def test_images_that_the_checkpoint_was_not_trained_on_are_told(command, trained):
    change(trained, "other.safetensors", fingerprint="others")
    out = command("compare", "ckpt=other.safetensors", *FEW).out
    assert (
        "warning: these are not the images that the checkpoint was trained on (their "
        "fingerprints differ)" in out
    )


def test_images_that_a_checkpoint_names_are_not_read(command, trained):
    gone = {"_target_": "ddpm_cli.data.folder", "path": "gone"}
    change_config(trained, lambda config: config.data.update(gone), "gone.safetensors")
    outcome = command("compare", "ckpt=gone.safetensors", *FEW)
    told = "data=... must name the images: a checkpoint may name only the packaged digits"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert not Path("out").exists()


def test_a_class_is_drawn_with_guidance_and_compared_with_that_class(command, conditional):
    of = [f"ckpt={conditional}", "label=3"]
    outcome = command("compare", *of, "guidance=2", "threshold=dynamic", *FEW)
    assert outcome.code == 0, outcome.err
    assert "reference  179 of 1,797 images (class 3 training), 64 features of each\n" in outcome.out
    assert "label      3, guidance 2\n" in outcome.out
    assert [float(row["evaluations"]) for row in rows()] == [4, 6, 4, 6]


@pytest.mark.parametrize(
    ("options", "evaluations"),
    [
        (["label=3"], 2),
        (["label=3", "guidance=2"], 4),
        (["label=3", "guidance=2", "guidance_interval=[0,10]"], 3),
        (["label=3", "guidance=2", "guide={guide}"], 4),
        (["label=null", "guidance=0.5", "guide={guide}"], 4),
        (["label=null", "threshold=none"], 2),
    ],
)
def test_the_contact_sheet_shows_what_ddpm_sample_draws_with_the_same_options(
    command, conditional, trained, options, evaluations
):
    of = [f"ckpt={conditional}", *(each.format(guide=trained) for each in options), "n=4"]
    few = ["samplers=[ddim]", "steps=[2]", "columns=2", "hydra.run.dir=out"]
    outcome = command("compare", *of, *few)
    assert outcome.code == 0, outcome.err
    command("sample", *of, "sampler.steps=2", "npz=true", "hydra.run.dir=drawn")
    sheet = np.asarray(Image.open("out/contact.png"))
    image = np.load("drawn/npz/00000000.npz")["arr_0"][1, :, :, 0]
    assert np.array_equal(sheet[2:50:6, -50:-2:6, 0], image)
    assert float(rows()[0]["evaluations"]) == evaluations


def test_all_labels_are_compared_with_all_images(command, conditional):
    outcome = command("compare", f"ckpt={conditional}", "label=all", *FEW)
    assert "reference  1,725 of 1,797 images (training), 64 features of each\n" in outcome.out
    assert "protocol   fd_pixels | " in outcome.out


def test_a_class_needs_a_reference_with_classes(command, conditional):
    Path("photos").mkdir()
    [Image.new("L", (8, 8), 40 * index).save(f"photos/{index}.png") for index in range(5)]
    own = ["data=folder", "data.path=photos", "data.size=8", "data.channels=1", "label=3"]
    outcome = command("compare", f"ckpt={conditional}", *FEW, *own)
    known = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    told = f"label=3: the classes of the reference must be the checkpoint's, {known}, but are none"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["samplers=[ddim,euler]"], "samplers must be among "),
        (
            ["label=3"],
            "label=3 needs a class-conditional checkpoint (trained with model.conditional=true); "
            "this one is unconditional",
        ),
        (["guidance=2"], "guidance=2 needs label=CLASS or guide=CKPT"),
        (["quantile=0.9"], "quantile=0.9 has no effect without threshold=dynamic"),
        (["guidance=2", "guide=none.pt"], "there is no checkpoint at 'none.pt'"),
        (["+start=a.png"], "start is not an option; "),
        (
            ["samplers=[]"],
            "samplers and steps must each name at least one: nothing would be compared",
        ),
        (["samplers=ddim"], "samplers must be a list of str, but is 'ddim'"),
        (["steps=[5,many]"], "steps must be a list of int or all, but is [5, 'many']"),
        (
            ["steps=[3,2000]"],
            "ddim with steps=2000: sampler.steps must be between 1 and 1000, the schedule's "
            "steps, but is 2000",
        ),
        (["n=1"], "n must be at least 2, but is 1"),
        (["columns=0"], "columns must be at least 1, but is 0"),
        (["features.side=0"], "features.side must be at least 1, but is 0"),
        (
            ["features._target_=os.system"],
            "features._target_ must name a function or class of ddpm_cli.metrics, but is "
            "'os.system'",
        ),
        (
            ["sampler=ddim"],
            "sampler is not an option; ddpm-train, ddpm-sample and ddpm-eval take it, "
            "ddpm-compare takes samplers",
        ),
        (["model=convnext"], "model is not an option; it comes with the checkpoint"),
        (["ckpt=none.pt"], "there is no checkpoint at 'none.pt'"),
    ],
)
def test_bad_options_are_told_in_one_line_and_nothing_is_written(command, trained, options, told):
    outcome = command("compare", f"ckpt={trained}", *FEW, *options)
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {told}")
    assert outcome.err.count("\n") == 1
    assert not Path("out").exists()


def test_the_pareto_front_is_what_no_cheaper_setting_beats():
    points = [
        point(20, 0.5),
        point(5, 2.0),
        point(10, 2.5),
        point(10, 1.0),
        point(50, 0.6),
        point(50, 0.49),
    ]
    assert pareto_front(points) == [point(5, 2.0), point(10, 1.0), point(20, 0.5), point(50, 0.49)]


def test_the_cheapest_is_within_5_percent_of_the_best():
    assert cheapest_setting(
        [point(5, 2.0), point(50, 1.0), point(10, 1.06), point(20, 1.05)]
    ) == point(20, 1.05)
    assert cheapest_setting([point(50, 0.0), point(10, 0.0), point(5, 0.1)]) == point(10, 0.0)
