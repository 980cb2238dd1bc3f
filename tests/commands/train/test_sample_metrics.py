"""Metrics of samples during training change nothing of the run; any can choose the best file."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY, once
from omegaconf import OmegaConf
from run_files import rows, tensors

from ddpm_cli import preflight
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.train import loop
from ddpm_cli.commands.train import sample_metrics as measures
from ddpm_cli.commands.train.resume import best_metric_changes
from ddpm_cli.evaluation import training_set_metrics as gauge
from ddpm_cli.evaluation.training_set_metrics import TrainingSetMetrics
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.metrics import Extractor, frechet_distance, kernel_distance, moments

MEASURES = [
    "trainer.measures=[fd_pixels,kid_pixels]",
    "trainer.measure_every=4",
    "trainer.measure_images=20",
    "trainer.best=kid_pixels",
]
OFTEN = ["trainer.log_every=1", "trainer.evaluate_every=4", "trainer.checkpoint_every=4"]
RUN = [*TINY, "model.network.dropout=0.1", "trainer.steps=10", *OFTEN]
NAMES = ("fd_pixels", "kid_pixels")
OF_THE_CLOCK = ("images_per_second", "tflops", "peak_share")
ROWS = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))


def train(command, name, *options):
    outcome = command("train", *RUN, *options, f"hydra.run.dir={name}")
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture
def whole(command, runs):
    """A run with measures, trained once, by the name of its folder."""
    once(command, runs, "measured", *RUN, *MEASURES)
    return "measured"


def told(folder):
    """The measures by the step at which they were taken."""
    return {
        row["step"]: [row[name] for name in NAMES] for row in rows(folder) if "fd_pixels" in row
    }


def best(folder):
    return Checkpoint.load(Path(folder, "checkpoints/best.safetensors")).step


def same_run(one, other):
    """Whether losses and all tensors are the same, but for measures and the best value."""
    apart = {*NAMES, *OF_THE_CLOCK}
    losses, expected = (
        [{name: row[name] for name in row.keys() - apart} for row in rows(name)]
        for name in (one, other)
    )
    found, wanted = (tensors(name) for name in (one, other))
    names = [
        name for name in wanted if name not in ("history.verdict.best", "history.verdict.steps")
    ]
    return losses == expected and all(torch.equal(found[name], wanted[name]) for name in names)


def test_samples_are_measured_at_their_steps_and_at_the_last_and_the_lowest_is_the_best(whole):
    distances = {step: distance for step, (_, distance) in told(whole).items()}
    assert list(distances) == [4, 8, 10]
    assert best(whole) == min(distances, key=distances.get)
    log = Path(whole, "train.log").read_text()
    assert "metrics    fd_pixels, kid_pixels of 20 samples against 1,725 training images\n" in log
    assert "features   64 of each by pixels-16\n" in log


def test_measuring_changes_nothing_of_the_run(command, whole):
    train(command, "plain")
    assert same_run(whole, "plain")
    assert "metrics    " not in Path("plain/train.log").read_text()


@pytest.mark.slow
def test_a_resumed_run_has_the_same_measures_and_the_same_best_checkpoint(command, whole):
    for options in (["trainer.stop_at=6"], ["resume=auto"]):
        train(command, "parts", *MEASURES, *options)
    assert told("parts") == told(whole)
    assert best("parts") == best(whole)
    assert same_run("parts", whole)


def test_every_measurement_begins_with_the_same_noise(command):
    train(
        command,
        "run",
        *MEASURES,
        "trainer.steps=3",
        "trainer.measure_every=1",
        "trainer.optimizer.lr=0.0",
        "model.conditional=true",
    )
    first, *others = told("run").values()
    assert others == [first, first]


def scripted(monkeypatch, numbers):
    """Lets these be the measures, by step."""
    monkeypatch.setattr(
        loop,
        "measure_samples",
        lambda run: (
            dict.fromkeys(NAMES, numbers[run.state.step]) if run.state.step in numbers else {}
        ),
    )


@pytest.mark.slow
def test_the_best_checkpoint_is_by_the_measure_and_not_by_the_held_out_loss(command, monkeypatch):
    scripted(monkeypatch, {4: 3.0, 5: 0.5, 8: 2.0, 10: 2.5})
    outcome = train(command, "run", *MEASURES)
    losses = {row["step"]: row["held_out"] for row in rows("run") if "held_out" in row}
    assert (best("run"), min(losses, key=losses.get)) == (8, 10)
    assert "at step 10; best.safetensors is of step 8 by kid_pixels, 2\n" in outcome.out


def test_numbers_that_cannot_be_compared_are_forgotten_on_resume_and_no_held_out_images_are_needed(
    command, monkeypatch
):
    scripted(monkeypatch, {4: 1.0, 8: 5.0, 10: 6.0})
    train(command, "run", *MEASURES, "data.holdout=0.0", "trainer.stop_at=4")
    assert best("run") == 4
    resumed = train(
        command, "run", *MEASURES, "data.holdout=0.0", "trainer.best=fd_pixels", "resume=auto"
    )
    assert (
        "changed, so that no checkpoint of before is the best: "
        "trainer.best: 'kid_pixels' -> 'fd_pixels'\n" in resumed.out
    )
    assert "learning   best.safetensors is of step 8 by fd_pixels, 5\n" in resumed.out
    assert "the rest is not what it would have been" not in resumed.out
    assert best("run") == 8


@pytest.mark.parametrize(
    ("best", "change", "said"),
    [
        ("held_out", "trainer.best=kid_pixels", ["trainer.best: 'held_out' -> 'kid_pixels'"]),
        ("kid_pixels", "trainer.measure_images=21", ["trainer.measure_images: 256 -> 21"]),
        ("kid_pixels", "sampler.steps=2", ["sampler.steps: 50 -> 2"]),
        ("kid_pixels", "trainer.measure_every=1", []),
        ("held_out", "sampler.steps=2", []),
    ],
)
def test_what_makes_a_number_another_one_is_told(composed, best, change, said):
    old, new = (
        composed("train", "trainer.measures=[kid_pixels]", f"trainer.best={best}", *more)
        for more in ([], [change])
    )
    assert best_metric_changes(old, new) == said


def test_a_checkpoint_of_before_there_were_measures_has_its_best_by_the_held_out_loss(composed):
    old = composed("train")
    OmegaConf.set_struct(old, False)
    del old.trainer["best"], old.trainer["measure_images"]
    assert best_metric_changes(old, composed("train")) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["trainer.measures=[fd_pixel]"],
            "trainer.measures must be among "
            "fd_clip, fd_clip_l14, fd_dinov2, fd_inception, fd_inception_spatial, fd_lite0, ",
        ),
        (["trainer.measures=[prc_pixels]"], "but 'prc_pixels' is not"),
        (
            ["trainer.measures=fd_pixels"],
            "trainer.measures must be a list of str, but is 'fd_pixels'",
        ),
        (
            ["trainer.best=fd_pixels"],
            "best must be one of held_out (trainer.measures adds others), but is 'fd_pixels'",
        ),
        (
            ["trainer.measures=[kid_pixels]", "trainer.best=loss"],
            "best must be one of held_out, kid_pixels (trainer.measures adds",
        ),
        (
            ["trainer.measures=[fd_pixels]", "trainer.measure_images=1"],
            "measure_images must be at least 2, but is 1",
        ),
        (["trainer.measure_every=0"], "measure_every must be at least 1, but is 0"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_images_are_looked_for(command, options, said):
    Path("empty").mkdir()
    outcome = command(
        "train",
        *RUN,
        *options,
        "data=folder",
        "data.path=empty",
        "data.size=8",
        "hydra.run.dir=run",
    )
    assert outcome.code == 1
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert said in outcome.err
    assert not Path("run").exists()


def flat(images):
    return images.flatten(1).float()


def gauged(count):
    images = (
        torch.arange(count, dtype=torch.int64)[:, None, None, None]
        .expand(count, 1, 2, 3)
        .to(torch.uint8)
        .contiguous()
    )
    return TrainingSetMetrics(
        ["fd_flat", "kid_flat"], {"flat": Extractor("flat", flat, None)}, ImageSet(images, None, [])
    )


def test_measures_are_those_of_the_metrics():
    made = gauged(30)
    reference = flat(made.training.all_images())
    found = made.scores({"flat": ROWS})
    assert found["fd_flat"] == pytest.approx(frechet_distance(moments(ROWS), moments(reference)))
    assert found["kid_flat"] == pytest.approx(kernel_distance(ROWS, reference).value)


def test_of_many_training_images_some_are_compared_with_spread_evenly(monkeypatch):
    monkeypatch.setattr(gauge, "MOST", 5)
    assert gauged(20).references["flat"].features[:, 0].tolist() == [0, 4, 8, 12, 16]


def test_labels_are_as_often_as_in_the_data_and_the_estimate_counts_the_samples(
    command, monkeypatch
):
    drawn, costs = [], []
    black = torch.zeros(1, 1, 8, 8)
    monkeypatch.setattr(
        measures,
        "ema_generator",
        lambda run: SimpleNamespace(
            options=SimpleNamespace(label="all"),
            trajectory=lambda *asked: drawn.append((run, *asked)) or iter([black, black]),
        ),
    )
    monkeypatch.setattr(preflight, "estimate_time", lambda *args: costs.append(args[-2]) or ())
    train(
        command,
        "run",
        *MEASURES,
        "model.conditional=true",
        "trainer.measure_images=1725",
        "trainer.stop_at=4",
    )
    run, places, labels = zip(*drawn, strict=True)
    assert min(places[0]) >= 10**8  # no place of ddpm-sample or of the previews
    assert max(map(len, places)) == 16
    assert torch.equal(torch.cat(labels), run[0].data.labels)
    assert costs[0].measurement > 1725 / 16 * costs[0].grid
