"""ddpm-plot: the curves of runs, what they are called, and where they end."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from matplotlib.figure import Figure
from PIL import Image

from ddpm_cli.reports.curves import curve_panels, draw_panels
from ddpm_cli.run_folder.curves import Curves, curve_labels

LOSSES = [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}, {"step": 30, "loss": 0.375}]


def written(name, rows=LOSSES, config="", torn=""):
    """A run's folder with these rows and this configuration."""
    folder = Path(name)
    (folder / ".hydra").mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)
    if config:
        (folder / ".hydra/config.yaml").write_text(config)
    return folder


def table(outcome):
    """The table on the screen below its head, in words."""
    assert outcome.code == 0, outcome.err
    return [line.split() for line in outcome.out.splitlines()[1:-1]]


def called(*configs):
    return curve_labels(
        [Curves(Path(f"runs/{place}"), config, []) for place, config in enumerate(configs)]
    )


def drawn(panels, *curves, x="step"):
    """The lines of a figure."""
    figure = Figure()
    draw_panels(figure, panels, {str(run.folder): run for run in curves}, 1, x)
    return [line for axes in figure.axes for line in axes.lines]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_two_runs_are_drawn_together_and_called_by_what_differs(command):
    for lr in ("1e-3", "3e-3"):
        run = [
            "trainer.steps=4",
            "trainer.log_every=2",
            f"trainer.optimizer.lr={lr}",
            f"hydra.run.dir=runs/{lr}",
        ]
        assert command("train", *TINY, *run).code == 0
    outcome = command("plot", "runs=[runs]")
    metrics = ("loss", "held_out", "training")
    assert [row[:3] for row in table(outcome)] == [
        [f"lr={lr}", name, "4"] for lr in (0.001, 0.003) for name in metrics
    ]
    assert outcome.out.splitlines()[-1] == "written    curves.png"
    assert Image.open("curves.png").format == "PNG"


def test_the_table_says_where_a_curve_ends_and_where_it_is_lowest(command):
    written("a")
    assert table(command("plot", "runs=[a]")) == [["a", "loss", "30", "0.375", "0.25", "20"]]


def test_the_runs_of_a_sweep_are_in_natural_order(command):
    for name in ("10", "2", "1"):
        written(f"sweep/{name}")
    Path("sweep/failed").mkdir()
    assert [row[0] for row in table(command("plot", "runs=[sweep]"))] == ["1", "2", "10"]


def test_a_run_that_is_named_twice_is_drawn_once(command):
    written("sweep/0")
    assert len(table(command("plot", "runs=[sweep,sweep/0]"))) == 1


def test_a_picture_may_be_an_svg_in_a_new_folder(command):
    written("a")
    assert table(command("plot", "runs=[a]", "out=new/a.svg"))
    assert "<svg" in Path("new/a.svg").read_text()


def test_more_panels_make_a_taller_picture(command):
    written("a", [{"step": 1, "loss": 1.0, "lr": 0.1}])
    command("plot", "runs=[a]", "out=one.png")
    command("plot", "runs=[a]", "metrics=[loss,lr]", "out=two.png")
    assert Image.open("two.png").height > 1.8 * Image.open("one.png").height


def test_images_are_steps_times_the_batch_size():
    config = {"trainer": {"batch_size": 7}}
    assert [
        line.get_xdata().tolist()
        for line in drawn([("loss",)], Curves(Path("a"), config, LOSSES), x="images")
    ] == [[70, 140, 210]]


def test_a_run_keeps_its_colour_and_what_is_held_out_is_solid_beside_dashed_training():
    rows = [{"step": 1.0, "held_out": 0.6, "training": 0.5}]
    lines = drawn([("held_out", "training")], *[Curves(Path(name), {}, rows) for name in "ab"])
    assert [(line.get_color(), line.get_linestyle()) for line in lines] == [
        ("C0", "-"),
        ("C0", "--"),
        ("C1", "-"),
        ("C1", "--"),
    ]


def test_more_runs_than_the_cycle_has_colours_have_one_each():
    lines = drawn([("loss",)], *[Curves(Path(str(place)), {}, LOSSES) for place in range(25)])
    assert len({line.get_color() for line in lines}) == 25


def test_held_out_is_drawn_beside_training_where_any_run_has_it():
    assert curve_panels(None, ["loss", "lr"]) == [("loss",)]
    assert curve_panels(None, ["loss", "training", "held_out"]) == [
        ("loss",),
        ("held_out", "training"),
    ]
    assert curve_panels(None, ["loss", "lr", "fd_pixels", "kid_lite0"]) == [
        ("loss",),
        ("fd_pixels",),
        ("kid_lite0",),
    ]
    assert curve_panels(["lr", "loss"], ["loss", "held_out", "lr"]) == [("lr",), ("loss",)]


def test_a_run_without_a_metric_is_left_out_of_its_panel(command):
    written("a", [{"step": 1, "loss": 1.0, "training": 0.5, "held_out": 0.6}])
    written("b", [{"step": 1, "loss": 2.0}])
    assert [row[:2] for row in table(command("plot", "runs=[a,b]"))] == [
        *(["a", "loss"], ["a", "held_out"], ["a", "training"]),
        ["b", "loss"],
    ]


def test_what_is_no_number_is_left_out_and_a_null_is_a_gap(here):
    written(
        "a",
        [
            {"step": 1, "loss": 1.0, "classes": ["x"], "note": "y", "good": True},
            {"step": 2, "loss": None},
            {"step": 3, "lr": 1},
        ],
    )
    curves = Curves.read(Path("a"))
    assert curves.names == ["loss", "lr"]
    np.testing.assert_equal(curves.points("loss", 1), ([1, 2], [1, np.nan]))


def test_a_row_that_was_never_finished_does_not_count(command):
    written("a", torn='{"step": 40, "lo')
    assert table(command("plot", "runs=[a]"))[0][2] == "30"


def test_a_metric_without_any_number_is_told_as_such(command):
    written("a", [{"step": 1, "loss": None}])
    assert table(command("plot", "runs=[a]")) == [["a", "loss", "1", "nan", "nan", "1"]]


def test_a_smooth_point_is_the_mean_of_the_rows_up_to_it_without_the_gaps(here):
    written(
        "a", [{"step": step, "loss": loss} for step, loss in enumerate([1.0, 3.0, None, 5.0, 8.0])]
    )
    curves = Curves.read(Path("a"))
    np.testing.assert_equal(curves.points("loss", 2)[1], [1, 2, np.nan, 5, 6.5])
    np.testing.assert_equal(curves.points("loss", 10**15)[1], [1, 2, np.nan, 3, 4.25])


def test_a_target_is_called_by_its_node_and_an_option_by_its_last_word():
    one = {
        "seed": 0,
        "loss": {"_target_": "ddpm_cli.losses.l2"},
        "trainer": {"lr": 0.1, "clip": None},
    }
    other = {
        "seed": 0,
        "loss": {"_target_": "ddpm_cli.losses.huber", "delta": 1.0},
        "trainer": {"lr": 0.2, "clip": 1.0},
    }
    assert called(one, other) == ["loss=l2, lr=0.1, clip=null", "loss=huber, lr=0.2, clip=1.0"]


def test_options_that_end_alike_are_called_in_full():
    assert called(
        {"a": {"steps": 1}, "b": {"steps": 2}}, {"a": {"steps": 3}, "b": {"steps": 4}}
    ) == ["a.steps=1, b.steps=2", "a.steps=3, b.steps=4"]


def test_folders_name_the_runs_that_options_do_not_tell_apart():
    assert called({"lr": 1}, {"lr": 1}) == ["0", "1"]
    assert called({"lr": 1}, {}) == ["0", "1"]
    assert called({"lr": 1}, {"lr": 2}, {"lr": 1}) == ["0: lr=1", "lr=2", "2: lr=1"]
    assert curve_labels([Curves(Path("a/run"), {}, []), Curves(Path("b/run"), {}, [])]) == [
        "a/run",
        "b/run",
    ]


def test_how_a_run_went_on_is_no_difference(command):
    written("a", config="{resume: null, lr: 1}")
    written("b", config="{resume: auto, lr: 1}")
    assert [row[0] for row in table(command("plot", "runs=[a,b]"))] == ["a", "b"]


def test_labels_are_no_formulas_and_reach_the_screen_in_printable_characters(command):
    written("a", config=r'name: "$\\frac$ \e[31m"')
    written("b", config="name: _b")
    outcome = command("plot", "runs=[a,b]")
    assert outcome.code == 0, outcome.err
    assert outcome.out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "runs must be given: folders of runs; the folder of a sweep stands for its runs"),
        (["runs=[]"], "runs and metrics must each name at least one: nothing would be drawn"),
        (
            ["runs=[a]", "metrics=[]"],
            "runs and metrics must each name at least one: nothing would be drawn",
        ),
        (["runs=a"], "runs must be a list of str, but is 'a'; did you mean 'runs=[a]'?"),
        (["runs=[none]"], "runs must be folders, but there is none at 'none'"),
        (["runs=[bare]"], "there is no metrics.jsonl in 'bare', nor in a folder below it"),
        (["runs=[a,empty]"], "'empty/metrics.jsonl' has no rows"),
        (["runs=[torn]"], "'torn/metrics.jsonl' has no rows"),
        (
            ["runs=[broken]"],
            "line 1 of 'broken/metrics.jsonl' must be a JSON object with a step and numbers, "
            "but is '[1, 2]'",
        ),
        (["runs=[a]", "metrics=[loss,fame]"], "metrics must be among loss, but 'fame' is not"),
        (
            ["runs=[a]", "out=curves.pdf"],
            "out must be a file that ends in .png or .svg, but is 'curves.pdf'",
        ),
        (
            ["runs=[a]", "out=folder.png"],
            "out must be a file that ends in .png or .svg, but is 'folder.png'",
        ),
        (["runs=[a]", "smooth=0"], "smooth must be at least 1, but is 0"),
        (["runs=[a]", "x=hours"], "x must be one of step, images, but is 'hours'"),
        (
            ["runs=[a]", "x=images"],
            "x=images takes trainer.batch_size from 'a/.hydra/config.yaml', which does not say it",
        ),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_written(command, options, told):
    written("a")
    written("empty", [])
    written("torn", [], torn='{"st')
    written("broken", [[1, 2]])
    Path("bare").mkdir()
    Path("folder.png").mkdir()
    before = sorted(Path().rglob("*"))
    outcome = command("plot", *options)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {told}\n")
    assert sorted(Path().rglob("*")) == before
