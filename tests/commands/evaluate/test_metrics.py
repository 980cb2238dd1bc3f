"""Metrics of samples, drawn or given, by any process, after a kill, with interval and protocol."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import scale
from PIL import Image

from ddpm_cli.data import Preparation, digits
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.metrics import Extractor
from ddpm_cli.rendering.tiles import save_png

ALL = [
    "metrics=[fd_pixels,kid_pixels,prc_pixels,copies]",
    "samples=16",
    "batch=5",
    "sampler.steps=2",
]
NAMES = [
    "fd_pixels",
    "fd_pixels_infinity",
    "kid_pixels",
    "precision_pixels",
    "recall_pixels",
    "copies_pixels",
]


def judged(command, ckpt, *options, folder="out"):
    outcome = command("evaluate", f"ckpt={ckpt}", *ALL, *options, f"hydra.run.dir={folder}")
    assert outcome.code == 0, outcome.err
    return outcome, json.loads(Path(folder, "eval.json").read_text())


def given(command, ckpt, path, *options, folder="out"):
    """How images in a folder or a file are judged."""
    own = "metrics=[fd_pixels,copies]", f"generated={path}", *options
    outcome = command("evaluate", f"ckpt={ckpt}", *own, f"hydra.run.dir={folder}")
    assert outcome.code == 0, outcome.err
    return outcome, json.loads(Path(folder, "eval.json").read_text())


def numbers(found):
    return {row["metric"]: (row["value"], row["low"], row["high"]) for row in found["numbers"]}


def saved(images, folder):
    [
        save_png(Path(folder, f"{index:04d}.png"), image.numpy())
        for index, image in enumerate(images.all_images())
    ]
    return folder


@pytest.fixture(scope="module")
def parts():
    """The digits that a run trains on, and those that it holds out."""
    return load_image_set(digits(), Preparation(size=8, channels=1, flip=False)).split(0.05)


def test_every_number_has_an_interval_and_a_protocol(command, trained):
    outcome, found = judged(command, trained)
    assert list(numbers(found)) == NAMES
    assert all(low <= value <= high for value, low, high in numbers(found).values())
    protocol = (
        r"fd_pixels \| pixels-\d+ \| ref 2:[0-9a-f]{8} 1,725 training \| n 16 \| ddim 2 steps, "
        r"spacing trailing, eta 0 \| "
        r"seed 0 \| randomness 2 \| ema \| fp32 \| measures 2"
    )
    first = found["numbers"][0]
    assert re.fullmatch(protocol, first["protocol"])
    assert found["protocols"][first["protocol_id"]]["text"] == first["protocol"]
    assert re.search(
        rf"\nfd_pixels +[\d.e+]+ +\[[\d.e+]+, [\d.e+]+\]  {first['protocol_id']}\n", outcome.out
    )
    assert f"\n{first['protocol_id']}  {first['protocol']}\n" in outcome.out
    assert "generated  16 images by ddim 2 steps" in outcome.out
    assert "reference  1,725 of 1,797 images, reference=training\n" in outcome.out
    assert (
        "warning: 16 images are few for 64 features: fd_pixels is too large, and "
        "fd_pixels_infinity is to be trusted from 512 images on" in outcome.out
    )
    assert "copies: 0.0% [0.0, " in outcome.out


def test_the_folder_holds_the_images_and_what_was_found(command, trained):
    judged(command, trained)
    there = [
        "copies_pixels.png",
        "eval.json",
        "eval.log",
        "eval.yaml",
        "index.csv",
        "npz",
        "samples.json",
    ]
    assert sorted(path.name for path in Path("out").iterdir()) == there
    assert Image.open("out/copies_pixels.png").height == 8 * (50 + 2 + 18)


def test_a_sure_classifier_of_many_classes_has_a_score(command, trained, monkeypatch):
    parted = Extractor(
        "halves-0",
        lambda images: images.flatten(1).float(),
        lambda features: features[:, :8] - features[:, -8:],
    )
    monkeypatch.setattr("ddpm_cli.evaluation.extractor_config.build", lambda *_: parted)
    _, found = judged(command, trained, "metrics=[is_pixels,fd_pixels]")
    assert 1 <= numbers(found)["is_pixels"][0] <= 8
    assert " | halves-0, 10 splits | n 16 | " in found["numbers"][0]["protocol"]


def test_fewer_images_than_splits_have_no_inception_score(command, trained, monkeypatch):
    known = Extractor("known-0", lambda images: images.flatten(1).float(), lambda rows: rows)
    monkeypatch.setattr("ddpm_cli.evaluation.extractor_config.build", lambda *_: known)
    own = *ALL, "metrics=[is_pixels]", "samples=9", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={trained}", *own)
    told = "is takes at least 10 images, one for each split, but has 9"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_a_run_keeps_the_numbers_of_its_checkpoints_and_none_twice(command, trained):
    for folder in ("out", "again"):
        _, found = judged(command, trained, "metrics=[prc_pixels]", folder=folder)
    rows = [
        json.loads(line)
        for line in (trained.parents[1] / "evaluations.jsonl").read_text().splitlines()
    ]
    assert rows == found["numbers"]
    assert rows[0]["step"] == 4


def test_half_a_row_among_the_numbers_of_a_run_costs_no_other(command, trained):
    path = trained.parents[1] / "evaluations.jsonl"
    path.write_bytes(b'\xff{"step": 4')
    _, found = judged(command, trained)
    assert [
        json.loads(line) for line in path.read_text(errors="replace").splitlines()[1:]
    ] == found["numbers"]


def test_a_run_that_takes_no_numbers_ends_no_evaluation_badly(command, trained):
    (trained.parents[1] / "evaluations.jsonl").mkdir()
    outcome, _ = judged(command, trained)
    assert "Is a directory; the numbers stand in eval.json alone" in outcome.out


def test_copies_among_other_images_than_those_of_training_say_nothing_of_these(command, trained):
    np.save("others.npy", np.random.default_rng(0).integers(0, 255, (60, 8, 8), np.uint8))
    outcome, _ = judged(
        command, trained, "data=arrays", "data.path=others.npy", "data.size=8", "data.channels=1"
    )
    assert (
        "(their fingerprints differ); copies of the true training images cannot be detected\n"
        in outcome.out
    )


def test_numbers_that_are_not_finite_are_not_taken_for_black_images(command, trained):
    scale(trained, "huge.safetensors", 1e30)
    outcome = command("evaluate", "ckpt=huge.safetensors", *ALL, "hydra.run.dir=out")
    assert outcome.code == 1
    assert outcome.err.endswith(
        "error: images must be finite, but 5 of 0 to 4 are not (precision=fp32)\n"
    )


def test_images_of_another_kind_in_the_folder_are_not_judged(command, trained):
    judged(command, trained)
    np.savez("out/npz/00000000.npz", arr_0=np.zeros((5, 4, 4, 3), np.uint8))
    outcome = command("evaluate", f"ckpt={trained}", *ALL, "hydra.run.dir=out")
    assert outcome.err.endswith(
        "holds images that are not of [1, 8, 8] in bytes; name another folder\n"
    )


def test_images_as_files_give_the_same_figures_and_are_those_of_ddpm_sample(command, trained):
    own = "metrics=[fd_pixels,copies]"
    _, plain = judged(command, trained, own)
    _, png = judged(command, trained, own, "png=true", folder="png")
    _, found = given(command, trained, "png/png", own, folder="found")
    command(
        "sample",
        f"ckpt={trained}",
        "n=16",
        "batch=5",
        "sampler.steps=2",
        "npz=true",
        "hydra.run.dir=drawn",
    )
    assert numbers(png) == numbers(plain) == numbers(found)
    assert Path("drawn/npz/00000005.npz").read_bytes() == Path("out/npz/00000005.npz").read_bytes()
    assert "| folder 2:" in found["numbers"][0]["protocol"]
    assert "seed" not in found["numbers"][0]["protocol"]
    assert not Path("found/npz").exists()


def test_what_is_drawn_is_as_asked_and_is_told_by_the_protocol(command, conditional):
    _, found = judged(
        command,
        conditional,
        "label=3",
        "guidance=2.0",
        "threshold=dynamic",
        "sampler=ancestral",
        "seed=1",
        "weights=raw",
    )
    expected = (
        "| n 16 | ancestral 2 steps, spacing trailing, draws 1 | label 3, guidance 2, threshold "
        "dynamic | seed 1 | randomness 2 | raw |"
    )
    assert expected in found["numbers"][0]["protocol"]


def test_an_evaluation_goes_on_with_the_images_that_are_there(command, trained):
    _, whole = judged(command, trained, "metrics=[kid_pixels]")
    [path.unlink() for path in Path("out/npz").glob("0000001*.npz")]
    outcome, resumed = judged(command, trained, "metrics=[kid_pixels]")
    assert "resumed    10 of 16 images are there\n" in outcome.out
    assert resumed == whole
    refused = command("evaluate", f"ckpt={trained}", *ALL, "seed=1", "hydra.run.dir=out")
    assert refused.err.endswith(
        "holds images of another kind (seed was 0 and is 1); name another folder\n"
    )


def test_one_that_is_interrupted_says_how_it_goes_on(command, trained, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ddpm_cli.commands.evaluate.compute.draw_missing", interrupted)
    outcome = command("evaluate", f"ckpt={trained}", *ALL, "hydra.run.dir=out")
    assert outcome.code == 130
    assert outcome.out.endswith(
        f"stopped    go on with the same command and hydra.run.dir={Path('out').resolve()}\n"
    )


def test_features_of_the_data_are_kept_and_made_anew_where_they_are_damaged(command, trained):
    own = ["data=digits", "data.cache=./kept/", "metrics=[copies]"]
    _, first = judged(command, trained, *own)
    files = sorted(Path("kept").glob("*/features"))
    before = [path.read_bytes() for path in files]
    files[0].write_bytes(before[0][:-1] + b"x")
    files[1].write_bytes(before[0])
    outcome, second = judged(command, trained, *own, folder="again")
    assert (len(files), second) == (3, first)
    assert outcome.out.count("are damaged and are made anew") == 2
    assert [path.read_bytes() for path in files] == before


def test_a_run_whose_folder_cannot_be_written_to_is_judged_all_the_same(command, trained):
    (trained.parents[1] / "evaluations.jsonl").mkdir()
    outcome = command(
        "evaluate", f"ckpt={trained}", *ALL, "metrics=[kid_pixels]", "hydra.run.dir=out"
    )
    assert outcome.code == 0, outcome.err
    assert "warning: cannot write into" in outcome.out


def test_features_are_not_kept_where_nothing_is(command, trained, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    _, found = judged(command, trained, "data=digits", "data.cache=off", "reference=held_out")
    assert not Path("here").exists()
    assert " 72 held_out | " in found["numbers"][0]["protocol"]
    assert " 1,725 training, " in found["numbers"][-1]["protocol"]


def test_training_images_are_copies_and_held_out_ones_are_not(command, trained, parts):
    training, held_out = (
        saved(part, name) for part, name in zip(parts, ("training", "held_out"), strict=True)
    )
    outcome, found = given(command, trained, training, "metrics=[copies]")
    assert numbers(found)["copies_pixels"][0] == 1
    assert outcome.out.count("the model copies") == 1
    outcome, found = given(command, trained, held_out, "metrics=[copies]", folder="other")
    assert numbers(found)["copies_pixels"][0] <= 0.06
    assert "no more than images that it never saw" in outcome.out
    assert not (trained.parents[1] / "evaluations.jsonl").exists()


def test_mirrored_copies_are_found_and_shown_as_they_are(command, trained, parts):
    Path("mirrored").mkdir()
    [
        save_png(Path(f"mirrored/{index}.png"), image.flip(-1).numpy())
        for index, image in enumerate(parts[0].all_images()[:40])
    ]
    _, found = given(command, trained, "mirrored", "metrics=[copies]")
    assert numbers(found)["copies_pixels"][0] == 1
    sheet = np.asarray(Image.open("out/copies_pixels.png"))[2:50]
    pair = sheet[:, -100:]
    assert np.array_equal(pair[:, :48], pair[:, 50:98])


@pytest.mark.long
def test_a_model_overfitted_on_twenty_digits_is_said_to_copy(command, parts):
    np.save("few.npy", parts[0].all_images()[:20, 0].numpy())
    few = ["data=arrays", "data.path=few.npy", "data.size=8", "data.channels=1", "data.holdout=0"]
    own = [
        "data.flip=false",
        "trainer.steps=600",
        "trainer.batch_size=20",
        "trainer.warmup=20",
        "trainer.ema=0.99",
    ]
    trained = command(
        "train",
        *few,
        *own,
        "trainer.optimizer.lr=2e-3",
        "trainer.sample_every=1000",
        "hydra.run.dir=run",
    )
    assert trained.code == 0, trained.err
    outcome, found = judged(
        command,
        "run/checkpoints/last.safetensors",
        *few,
        "metrics=[copies]",
        "samples=64",
        "sampler.steps=50",
    )
    assert numbers(found)["copies_pixels"][1] > 0.5
    assert "training images are to one another: the model copies\n" in outcome.out


COMMAND = [sys.executable, "-m", "ddpm_cli", "eval"]
MIXED = [
    "metrics=[nll,fd_pixels,prc_pixels,copies]",
    "nll=ode",
    "nll_steps=2",
    "data=digits",
    "data.cache=off",
    "device=cpu",
]


@pytest.mark.long
def test_two_processes_find_the_same_to_the_last_digit(command, trained):
    _, whole = judged(command, trained, *MIXED)
    start = [*COMMAND, f"ckpt={trained}", *ALL, *MIXED, "processes=2", "hydra.run.dir=pair"]
    pair = subprocess.run(start, capture_output=True, text=True, timeout=200, check=False)
    assert pair.returncode == 0, pair.stderr
    assert whole == json.loads(Path("pair/eval.json").read_text())


@pytest.mark.long
def test_one_that_was_killed_finds_the_same_to_the_last_digit(command, trained):
    own = [*MIXED, "samples=60", "sampler.steps=20"]
    _, whole = judged(command, trained, *own)
    start = [*COMMAND, f"ckpt={trained}", *ALL, *own, "hydra.run.dir=killed"]
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 100
    while len(list(Path("killed").glob("npz/*.npz"))) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    outcome, resumed = judged(command, trained, *own, folder="killed")
    assert re.search(r"resumed    \d+ of 60 images are there", outcome.out)
    assert whole == resumed


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["samples=7"], "samples must be at least 8, but is 7"),
        (["processes=0"], "processes must be at least 1, but is 0"),
        (
            ["metrics=[is_pixels]"],
            "is_pixels needs features with classes, as inception and lite0 are, but pixels has "
            "none",
        ),
        (
            ["label=3"],
            "label=3 needs a class-conditional checkpoint (trained with "
            "model.conditional=true); this one is unconditional",
        ),
        (["guidance=2"], "guidance=2 needs label=CLASS or guide=CKPT"),
        (["generated=few"], "samples=16 has no effect with generated, whose images are there"),
        (["n=5"], "n=5 has no effect without metrics=[nll]"),
        (["nll=ode"], "nll='ode' has no effect without metrics=[nll]"),
        (["images=all"], "images='all' has no effect without metrics=[nll]"),
        (["quantile=0.9"], "quantile=0.9 has no effect without threshold=dynamic"),
        (["guide=trained"], "guide and guidance_interval have no effect at guidance=1; try "),
        (["guide=none.pt", "guidance=2"], "there is no checkpoint at 'none.pt'"),
        (
            ["sampler.steps=2000"],
            "sampler.steps must be between 1 and 1000, the schedule's steps, but is 2000",
        ),
        (
            ["features=pixels"],
            "features is not an option; ddpm-compare takes it, ddpm-eval takes metrics",
        ),
        (["data=digits", "data.holdout=0"], "data.holdout must be 0.05, as in training, but is 0"),
        (
            ["data=digits", "data.holdout=0", "reference=all"],
            "data.holdout must be 0.05, as in training, but is 0",
        ),
        (
            ["reference=test"],
            "reference must be training, held_out, all or an .npz file, but is 'test'",
        ),
    ],
)
def test_bad_options_are_told_in_one_line_and_nothing_is_written(command, trained, options, told):
    Path("few").mkdir()
    [Image.new("L", (8, 8), index).save(f"few/{index}.png") for index in range(3)]
    outcome = command("evaluate", f"ckpt={trained}", *ALL, *options, "hydra.run.dir=out")
    assert (outcome.code, outcome.err) == (
        1,
        f"error: {told}{outcome.err.removeprefix(f'error: {told}').rstrip()}\n",
    )
    assert outcome.err.startswith(f"error: {told}")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["generated=nowhere"], "generated must be a folder or a file, but there is none at "),
        (["generated=few"], "generated must hold at least 8 images, but there are 3 in 'few'"),
        (["generated=grids"], "generated must hold at least 8 images, but there are 0 in 'grids'"),
        (["generated=few", "png=true"], "png=true has no effect with generated, whose images are "),
        (
            ["generated=few", "seed=1"],
            "seed=1 has no effect with generated, whose images are there",
        ),
        (["generated=few", "weights=raw"], "weights='raw' has no effect with generated, whose "),
        (["generated=few", "precision=bf16"], "precision='bf16' has no effect with generated, "),
        (["generated=few", "threshold=none"], "threshold='none' has no effect with generated, "),
        (["generated=few", "label=3", "guidance=2"], "guidance=2 has no effect with generated, "),
        (["generated=few", "label=all"], "label='all' has no effect with generated, whose images "),
        (["generated=few", "sampler.eta=1"], "sampler.eta=1 has no effect with generated, "),
        (["generated=few", "label=rose"], "label must be all, or one of the 10 classes "),
    ],
)
def test_bad_images_to_judge_are_told_in_one_line_and_nothing_is_written(
    command, trained, options, told
):
    Path("few").mkdir()
    [Image.new("L", (8, 8), index).save(f"few/{index}.png") for index in range(3)]
    Path("grids").mkdir()
    [Image.new("L", (8, 8)).save(f"grids/{name}.png") for name in ("grid", "film", "film_x0")]
    own = "metrics=[fd_pixels]", *options, "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={trained}", *own)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith(f"error: {told}")
    assert not Path("out").exists()


def test_images_of_a_class_are_compared_with_that_class(command, conditional):
    outcome, found = judged(command, conditional, "label=3", "guidance=2")
    reference = re.search(r"reference  (\d+) of 1,797 images, (.*)\n", outcome.out)
    assert 150 < int(reference[1]) < 200
    assert reference[2] == "reference=training, label=3 alone"
    protocols = {row["metric"]: row["protocol"] for row in found["numbers"]}
    for metric in ("fd_pixels", "kid_pixels", "recall_pixels"):
        assert f" {reference[1]} class 3 training | n 16 | " in protocols[metric]
    assert " 1,725 training, " in protocols["copies_pixels"]


@pytest.mark.parametrize(("reference", "count"), [("held_out", 72), ("all", 1797)])
def test_a_class_is_taken_from_the_part_that_is_asked_for(command, conditional, reference, count):
    few = ["metrics=[fd_pixels]", f"reference={reference}"]
    _, found = judged(command, conditional, *few, "label='7'")
    of_class = re.search(rf" (\d+) class 7 {reference} \|", found["numbers"][0]["protocol"])
    assert count / 20 < int(of_class[1]) < count / 5
    _, whole = judged(command, conditional, *few, "label=all", folder="whole")
    assert f" {count:,} {reference} | " in whole["numbers"][0]["protocol"]


def test_given_images_of_a_class_are_compared_with_that_class(command, trained, parts):
    saved(parts[0].subset((parts[0].labels == 4).nonzero().flatten()), "fours")
    few = "metrics=[fd_pixels,prc_pixels]"
    _, own = given(command, trained, "fours", few, "label=4")
    _, others = given(command, trained, "fours", few, "label=5", folder="others")
    _, every = given(command, trained, "fours", few, folder="every")
    distances = [numbers(found)["fd_pixels"][0] for found in (own, others, every)]
    assert distances[0] < 1e-3 < min(distances[1:])
    assert numbers(own)["recall_pixels"][0] == 1 > numbers(every)["recall_pixels"][0]


def test_a_class_of_too_few_images_is_told(command, conditional):
    Path("photos").mkdir()
    for index in range(20):
        folder = Path(f"photos/{index % 10 if index < 12 else 0}")
        folder.mkdir(exist_ok=True)
        Image.effect_noise((8, 8), 60).save(folder / f"{index}.png")
    own = ["data=folder", "data.path=photos", "data.size=8", "data.channels=1", "label=3"]
    options = *own, "reference=all", "metrics=[kid_pixels]", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={conditional}", *options)
    told = "the class 3 all images must be more than 3 to be compared with, but are 1"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


@pytest.fixture
def samples(command, trained):
    """Twelve samples of the tiny checkpoint in every form, beside a grid and a film."""
    every = ["png=true", "npz=true", "film=true", "batch=5"]
    outcome = command(
        "sample", f"ckpt={trained}", "n=12", "sampler.steps=2", *every, "hydra.run.dir=drawn"
    )
    assert outcome.code == 0, outcome.err
    images = [np.load(path)["arr_0"] for path in sorted(Path("drawn/npz").iterdir())]
    np.savez("all.npz", arr_0=np.concatenate(images))
    np.save("all.npy", np.concatenate(images))
    shutil.copytree("drawn", "copied")
    Path("copied/index.csv").unlink()
    shutil.rmtree("copied/npz")
    shutil.copytree("drawn", "arrays")
    shutil.rmtree("arrays/png")
    command(
        "sample", f"ckpt={trained}", "n=12", "sampler.steps=2", "npz=true", "hydra.run.dir=arrays_2"
    )


@pytest.mark.slow
def test_what_ddpm_sample_writes_is_judged_alike_in_any_form(command, trained, samples):
    forms = "drawn drawn/png drawn/npz copied arrays arrays_2 all.npz all.npy".split()
    outcomes = {form: given(command, trained, form, folder=f"of {form[-8:]}") for form in forms}
    wholes = {json.dumps(found["numbers"]) for _, found in outcomes.values()}
    assert len(wholes) == 1
    assert " | n 12 | " in wholes.pop()
    assert "left out   film.gif, film.png, film_x0.png, grid.png: pictures of many images\n" in (
        outcomes["copied"][0].out
    )
    assert not any("resized" in outcome.out for outcome, _ in outcomes.values())


@pytest.mark.parametrize("form", ["photos", "large.npz"])
def test_images_of_another_size_are_told(command, trained, form):
    Path("photos").mkdir()
    images = [Image.effect_noise((8 + 8 * (index > 8), 8), 60) for index in range(12)]
    [image.save(f"photos/{index:02d}.png") for index, image in enumerate(images)]
    np.savez("large.npz", arr_0=np.zeros((9, 16, 8), np.uint8))
    told = {
        "photos": "warning: 3 of 12 generated images are resized to 8 x 8, such as '",
        "large.npz": 'warning: 9 of 9 generated images are resized to 8 x 8, such as "image 0 of',
    }
    outcome, _ = given(command, trained, form, "metrics=[kid_pixels]")
    assert told[form] in outcome.out
    assert told[form] in Path("out/eval.log").read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"mu": np.zeros(4), "sigma": np.eye(4)}, "but 'given.npz' holds ['mu', 'sigma']"),
        ({"arr_0": np.zeros((9, 8, 8, 6), np.uint8)}, "but 'given.npz' holds uint8 [9, 8, 8, 6]"),
    ],
)
def test_arrays_that_are_no_images_are_told(command, trained, content, told):
    np.savez("given.npz", **content)
    own = "metrics=[kid_pixels]", "generated=given.npz", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={trained}", *own)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert told in outcome.err


def test_an_index_names_no_files_outside_its_folder(command, trained, samples):
    shutil.copytree("drawn/png", "elsewhere")
    rows = [f"{index},,../elsewhere/{index:08d}.png,,\n" for index in range(12)]
    Path("copied/index.csv").write_text("index,label,png,npz,row\n" + "".join(rows))
    shutil.rmtree("copied/png")
    own = "metrics=[kid_pixels]", "generated=copied", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={trained}", *own)
    told = (
        "generated must hold at least 8 images, but there are 0 in 'copied'; "
        "ddpm-sample writes images with png=true or npz=true"
    )
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_guides_of_other_weights_are_other_protocols(command, conditional, trained):
    few = ["metrics=[kid_pixels]", "label=3", "guidance=2"]
    _, one = judged(command, conditional, *few, f"guide={trained}")
    _, plain = judged(command, conditional, *few, folder="plain")
    steering = re.search(r"\| (label 3, .*?) \|", one["numbers"][0]["protocol"])[1]
    assert re.fullmatch(r"label 3, guidance 2, guide [0-9a-f]{10}", steering)
    assert numbers(one) != numbers(plain)


def test_nothing_is_told_to_be_copied_among_too_few_images(command, trained):
    torch.manual_seed(0)
    Path("photos").mkdir()
    [Image.effect_noise((8, 8), 60).save(f"photos/{index}.png") for index in range(3)]
    own = ["data=folder", "data.path=photos", "data.size=8", "data.channels=1", "reference=all"]
    outcome = command("evaluate", f"ckpt={trained}", *ALL, *own, "hydra.run.dir=out")
    assert re.fullmatch(
        r"error: the (all|training) images must be more than 3 to be compared with, but are \d\n",
        outcome.err,
    )


def test_an_extractor_may_be_ones_own(command, trained):
    Path("mine/features").mkdir(parents=True)
    Path("mine/features/coarse.yaml").write_text("_target_: ddpm_cli.metrics.pixels\nside: 2\n")
    outcome = command(
        "evaluate",
        "--config-dir",
        "mine",
        f"ckpt={trained}",
        *ALL,
        "metrics=[fd_coarse]",
        "hydra.run.dir=out",
    )
    assert outcome.code == 0, outcome.err
    found = json.loads(Path("out/eval.json").read_text())
    assert list(numbers(found)) == ["fd_coarse", "fd_coarse_infinity"]
    assert "| pixels-2 |" in found["numbers"][0]["protocol"]


def test_a_label_needs_images_with_classes(command, trained):
    Path("photos").mkdir()
    [Image.effect_noise((8, 8), 60).save(f"photos/{index}.png") for index in range(20)]
    own = ["data=folder", "data.path=photos", "data.size=8", "data.channels=1", "reference=all"]
    few = *own, "label=3", "metrics=[kid_pixels]", "generated=photos", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={trained}", *few)
    told = "label=3 needs images with classes to compare with"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
