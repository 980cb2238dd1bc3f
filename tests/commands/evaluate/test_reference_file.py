"""A reference in a file: images, or mean and covariance as EDM, ADM and pytorch-fid write them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import change_config

from ddpm_cli.data import Preparation, digits
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.metrics import Extractor

FD = "metrics=[fd_pixels]"
FEW = ["samples=16", "batch=8", "sampler.steps=2"]
NONE = [FD, "samples=0"]


@pytest.fixture(scope="module")
def held_out():
    """The held-out digits, [N, 8, 8]."""
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    return data.split(0.05)[1].all_images()[:, 0].numpy()


def judged(command, ckpt, *options, folder="out"):
    """What ddpm-eval says, and the figures of eval.json by metric."""
    outcome = command("evaluate", f"ckpt={ckpt}", *FEW, *options, f"hydra.run.dir={folder}")
    assert outcome.code == 0, outcome.err
    rows = json.loads(Path(folder, "eval.json").read_text())["numbers"]
    return outcome, {row["metric"]: row for row in rows}


def figures(rows):
    return {name: (row["value"], row["low"], row["high"]) for name, row in rows.items()}


def mean_and_covariance(images):
    """What pytorch-fid and EDM would write of these images, if their features were pixels."""
    features = images.reshape(len(images), -1) / 127.5 - 1
    return {"mu": features.mean(0), "sigma": np.cov(features, rowvar=False)}


def test_the_distance_from_a_file_is_that_from_its_images(command, trained, held_out):
    np.savez("stats.npz", **mean_and_covariance(held_out))
    np.savez("images.npz", arr_0=held_out[..., None].repeat(3, axis=-1))
    from_data = judged(command, trained, FD, "reference=held_out", folder="data")[1]
    outcome, from_stats = judged(command, trained, FD, "reference=stats.npz")
    from_images = judged(command, trained, FD, "reference=images.npz", folder="images")[1]
    assert list(from_stats) == ["fd_pixels", "fd_pixels_infinity"]
    for name, row in from_stats.items():
        for key in ("value", "low", "high"):
            assert row[key] == pytest.approx(from_data[name][key], rel=1e-6)
            assert row[key] == pytest.approx(from_images[name][key], rel=1e-6)
    assert "reference  mu and sigma in stats.npz\n" in outcome.out
    assert "warning: these are not the images" not in outcome.out
    protocols = [rows["fd_pixels"]["protocol"] for rows in (from_stats, from_images)]
    assert re.search(r" \| ref [0-9a-f]{10} mu and sigma of a file \| n 16 \| ", protocols[0])
    assert re.search(r" \| ref 2:[0-9a-f]{8} 72 file \| n 16 \| ", protocols[1])


def test_what_is_written_serves_as_a_reference_and_as_a_file_of_other_programs(
    command, trained, held_out
):
    own = FD, "reference=held_out", "write=stats.npz"
    outcome, plain = judged(command, trained, *own)
    assert "written    stats.npz: mean and covariance of pixels\n" in outcome.out.replace(
        f"{Path.cwd()}/", ""
    )
    with np.load("stats.npz", allow_pickle=False) as file:
        expected = mean_and_covariance(held_out)
        np.testing.assert_allclose(file["mu"], expected["mu"], atol=1e-6)
        np.testing.assert_allclose(file["sigma"], expected["sigma"], atol=1e-6)
        assert (file["n"], file["by"]) == (72, "pixels-16")
        assert re.fullmatch(r"2:[0-9a-f]{8} 72 held_out", str(file["about"]))
    again = judged(command, trained, FD, "reference=stats.npz", folder="again")[1]
    assert figures(again) == figures(plain)
    before = Path("stats.npz").read_bytes()
    judged(command, trained, *own)
    assert Path("stats.npz").read_bytes() == before


def test_no_images_are_drawn_where_only_a_file_is_written(command, trained):
    options = [*NONE, "write=stats.npz", "reference=all", "hydra.run.dir=out"]
    outcome = command("evaluate", f"ckpt={trained}", *options)
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in Path("out").iterdir()) == ["eval.log", "eval.yaml"]
    assert np.load("stats.npz")["n"] == 1797


def test_a_file_needs_no_data_unless_a_metric_does(command, trained, held_out, monkeypatch):
    np.savez("stats.npz", **mean_and_covariance(held_out))

    def never(*_):
        pytest.fail("the data was read")

    with monkeypatch.context() as patch:
        patch.setattr("ddpm_cli.commands.evaluate.inputs.data_config", never)
        judged(command, trained, FD, "reference=stats.npz")
    both = "metrics=[fd_pixels,copies]"
    rows = judged(command, trained, both, "reference=stats.npz", folder="both")[1]
    assert " 1,725 training, " in rows["copies_pixels"]["protocol"]
    assert " mu and sigma of a file | " in rows["fd_pixels"]["protocol"]


def test_the_data_of_a_run_of_photographs_need_not_be_named_beside_a_file(
    command, trained, held_out
):
    np.savez("stats.npz", **mean_and_covariance(held_out))
    change_config(trained, lambda config: config.data.update(_target_="ddpm_cli.data.folder"))
    path = trained.parents[1] / ".hydra/overrides.yaml"
    path.write_text("- data=folder\n- data.path=photos\n")
    judged(command, trained, FD, "reference=stats.npz")
    both = "metrics=[fd_pixels,copies]", "reference=stats.npz", "hydra.run.dir=both"
    outcome = command("evaluate", f"ckpt={trained}", *FEW, *both)
    told = "data=... must name the images: a checkpoint may name only the packaged digits"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_data_that_a_file_makes_idle_is_refused(command, trained, held_out):
    np.savez("stats.npz", **mean_and_covariance(held_out))
    own = FD, "reference=stats.npz", "data=digits", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={trained}", *FEW, *own)
    told = "data has no effect with reference=stats.npz"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_a_batch_of_adm_has_images_and_statistics_and_each_metric_takes_its_own(
    command, trained, held_out, monkeypatch
):
    other = mean_and_covariance(255 - held_out)
    spatial = {"mu_s": other["mu"], "sigma_s": other["sigma"]}
    batch = held_out[..., None].repeat(3, axis=-1)
    np.savez("batch.npz", arr_0=batch, **mean_and_covariance(held_out), **spatial)
    flat = Extractor("flat-0", lambda images: images.flatten(1) / 127.5 - 1, lambda rows: rows)
    monkeypatch.setattr("ddpm_cli.evaluation.extractor_config.build", lambda *_: flat)
    metrics = "metrics=[fid,sfid,kid,prc,dc,cmmd,is]"
    outcome, rows = judged(command, trained, metrics, "reference=batch.npz")
    assert "reference  mu and sigma, mu_s and sigma_s, 72 images in batch.npz\n" in outcome.out
    references = {
        name: re.search(r"ref (\S+ .*?) \|", row["protocol"]) for name, row in rows.items()
    }
    assert references.pop("is_inception") is None
    kinds = {name: found[1].split(maxsplit=1)[1] for name, found in references.items()}
    assert kinds == {
        **dict.fromkeys(("fd_inception", "fd_inception_infinity"), "mu and sigma of a file"),
        **dict.fromkeys(
            ("fd_inception_spatial", "fd_inception_spatial_infinity"), "mu_s and sigma_s of a file"
        ),
        "kid_inception": "72 file",
        **dict.fromkeys(("precision_inception", "recall_inception"), "72 file"),
        **dict.fromkeys(("density_inception", "coverage_inception"), "72 file"),
        "cmmd_clip_l14": "72 file",
    }
    assert rows["fd_inception"]["value"] != rows["fd_inception_spatial"]["value"]


def test_images_of_another_size_in_a_file_are_told(command, trained):
    np.savez("large.npz", arr_0=np.random.default_rng(0).integers(0, 255, (9, 16, 16), np.uint8))
    outcome, _ = judged(command, trained, "metrics=[kid_pixels]", "reference=large.npz")
    told = "warning: 9 of 9 reference images are resized to 8 x 8, such as \"image 0 of 'large.npz'"
    assert told in outcome.out


MU, SIGMA = np.zeros(64), np.eye(64)


@pytest.mark.parametrize(
    ("arrays", "metrics", "told"),
    [
        (
            {"mu": np.zeros(2048), "sigma": np.eye(2048)},
            "fd_pixels",
            "fd_pixels: mu in reference='x.npz' is of 2,048 features, but pixels-16 gives 64",
        ),
        ({"a": MU}, "fd_pixels", "reference must hold mu and sigma, or images (arr_0), but in "),
        (
            {"mu": MU, "sigma": SIGMA, "by": "lite0-1"},
            "fd_pixels",
            "fd_pixels: mu in reference='x.npz' is of the features of lite0-1, not of pixels-16",
        ),
        (
            {"mu": MU, "sigma": SIGMA},
            "fd_pixels,kid_pixels",
            "kid_pixels takes images (arr_0), but 'x.npz' has none: it holds mu, sigma; mean and "
            "covariance serve fd alone",
        ),
    ],
)
def test_statistics_that_serve_no_metric_are_told_in_one_line(
    command, trained, arrays, metrics, told
):
    np.savez("x.npz", **arrays)
    outcome = command(
        "evaluate",
        f"ckpt={trained}",
        *FEW,
        f"metrics=[{metrics}]",
        "reference=x.npz",
        "hydra.run.dir=out",
    )
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith(f"error: {told}")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["write=stats.pkl"], "write must be an .npz file, but is 'stats.pkl'"),
        (["write=none/x.npz"], "write must lie in a folder, but there is none at 'none'"),
        (
            ["write=x.npz", "metrics=[fd_pixels,fd_lite0]"],
            "write takes one fd of metrics (and sfid), whose mean and covariance it writes, but ",
        ),
        (["write=x.npz", "metrics=[copies]"], "write takes one fd of metrics (and sfid), whose "),
        (["write=there.npz"], "write must name a new file, or one of the same reference and "),
        (
            ["write=x.npz", "reference=there.npz"],
            "write takes reference images, but 'there.npz' holds mean and covariance",
        ),
        (
            ["reference=there.npz", "metrics=[copies]"],
            "reference=there.npz has no effect with metrics=[copies_pixels]",
        ),
        (["samples=0"], "samples must be at least 8, but is 0"),
        (
            ["samples=0", "write=x.npz", "metrics=[fd_pixels,copies]"],
            "samples=0 draws no images, which copies_pixels needs; fd alone is written",
        ),
        (
            ["samples=0", "write=x.npz", "threshold=none"],
            "threshold='none' has no effect with samples=0, which draws no images",
        ),
        (["samples=3", "write=x.npz"], "samples must be 0 (with write) or at least 8, but is 3"),
        (
            ["reference=there.npz", "generated=there.npz", "label=3"],
            "label=3 has no effect with generated, whose images are there",
        ),
    ],
)
def test_bad_options_of_files_are_told_in_one_line(command, trained, options, told):
    np.savez("there.npz", mu=MU, sigma=SIGMA)
    plain = [FD, "hydra.run.dir=out"]
    outcome = command("evaluate", f"ckpt={trained}", *plain, *options)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith(f"error: {told}")
    assert not Path("out").exists()


def test_density_and_coverage_take_six_reference_images(command, trained):
    np.savez("x.npz", arr_0=np.random.default_rng(0).integers(0, 255, (5, 8, 8), np.uint8))
    own = "metrics=[dc_pixels]", "reference=x.npz", "hydra.run.dir=out"
    outcome = command("evaluate", f"ckpt={trained}", *FEW, *own)
    told = "the file images must be more than 5 to be compared with, but are 5"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
