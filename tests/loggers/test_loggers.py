"""Loggers: the same rows, configuration and name to each; none ends a run or learns a path."""

import importlib
import json
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from logger_stand_ins import FILES
from omegaconf import OmegaConf

from ddpm_cli import config, loggers, train
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.build import target_of
from ddpm_cli.config.recipe import is_recipe
from ddpm_cli.loggers.mlflow import make_database
from ddpm_cli.loggers.sent_config import flat_options, sent_config
from ddpm_cli.reports.reproduce import recipe_overrides
from ddpm_cli.run_folder import logger as run_logger
from ddpm_cli.run_folder import logging_thread
from ddpm_cli.run_folder.logger import RunLogger, run_name
from ddpm_cli.run_folder.run_ids import read_run_id, save_run_id
from ddpm_cli.run_folder.sink import Sink

SERVICES = ("wandb", "mlflow", "trackio")
ALL = [path.stem for path in sorted((config.CONFIG_DIR / "logger").glob("*.yaml"))]
PICTURE = np.zeros((3, 4, 5), np.uint8)
MINE = """
from ddpm_cli.run_folder.sink import Sink

def lines(run, *, path, mark="-"):
    file = open(run.folder / path, "a")
    print(run.name, run.step, run.config["data"]["size"], "logger" in run.config, file=file)
    return Sink(lambda step, row: print(mark, step, row["loss"], file=file, flush=True))
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Puts stand-ins for the packages in place; returns the calls to one of them."""
    for name in [name for name in sys.modules if name.partition(".")[0] in SERVICES]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI", "TRACKIO_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in FILES.items():
        path = tmp_path / "stand ins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "stand ins")
    yield lambda name: importlib.import_module(name).CALLS
    for name in [name for name in sys.modules if name.partition(".")[0] in SERVICES]:
        del sys.modules[name]


def logged(folder, step=0, **more):
    """Log a row and a picture to every service."""
    both = {name: partial(getattr(loggers, name), project="p", **more) for name in SERVICES}
    logger = RunLogger(folder).open(step, both, {"seed": 3, "data": {"size": 8}})
    logger.write_numbers(step + 1, {"loss": 2.0, "lr": 0.5})
    logger.write_picture("samples/step.png", PICTURE, step + 1)
    logger.close()


def events(calls, kind):
    return {name: [call[1:] for call in calls(name) if call[0] == kind] for name in SERVICES}


def test_every_service_gets_the_rows_the_configuration_and_the_name(calls, tmp_path):
    logged(tmp_path / "cats")
    assert events(calls, "row") == {name: [(1, {"loss": 2.0, "lr": 0.5})] for name in SERVICES}
    assert events(calls, "end") == {"wandb": [(0,)], "mlflow": [("FINISHED",)], "trackio": [()]}
    for name in ("wandb", "trackio"):
        ((_, options), *_) = calls(name)
        assert (options["project"], options["name"]) == ("p", "cats")
        assert options["config"] == {"seed": 3, "data": {"size": 8}}
    assert calls("mlflow")[1:4] == [
        ("uri", "sqlite:///mlflow.db"),
        ("init", "p", "cats"),
        ("params", {"seed": "3", "data.size": "8"}),
    ]


def test_pictures_are_sent_only_where_images_are_asked_for(calls, tmp_path):
    logged(tmp_path, images=True)
    assert events(calls, "picture")["mlflow"] == [(1, {"samples": (4, 5, 3)})]
    for name in ("wandb", "trackio"):
        assert events(calls, "row")[name][1] == (1, {"samples": (4, 5, 3)})


def test_a_resumed_run_goes_on_under_its_id_and_a_new_one_does_not(calls, tmp_path):
    logged(tmp_path)
    logged(tmp_path, step=1)
    logged(tmp_path)
    ids = [options["id"] for (options,) in events(calls, "init")["wandb"]]
    assert (ids[1], ids[0] == "w1", ids[2] == "w1") == ("w1", False, False)
    assert [each["resume"] for (each,) in events(calls, "init")["trackio"]] == [
        *["never", "allow", "never"]
    ]
    assert events(calls, "again")["mlflow"] == [("m1", "RUNNING")]
    assert len(events(calls, "params")["mlflow"]) == 2


def test_the_database_of_mlflow_is_there_once_it_is_whole(calls, tmp_path, monkeypatch):
    uri, preparing, seen = f"sqlite:///{tmp_path}/mlflow.db", threading.Event(), list[bool]()
    calls("mlflow")
    client = sys.modules["mlflow"].MlflowClient

    def make(self, max_results):
        seen.append(preparing.is_set() and not (tmp_path / "mlflow.db").exists())
        Path(sys.modules["mlflow"].CALLS[-1][1].removeprefix("sqlite:///")).write_text("half")
        if len(seen) == 1:
            raise RuntimeError("killed")

    monkeypatch.setattr(client, "search_experiments", make)
    with pytest.raises(RuntimeError, match="killed"):
        make_database(uri, preparing)
    assert [path.name for path in tmp_path.iterdir()] == ["stand ins"]
    for _ in range(2):
        make_database(uri, preparing)
    assert (seen, preparing.is_set()) == ([True, True], False)
    assert (tmp_path / "mlflow.db").read_text() == "half"


def test_a_run_that_mlflow_has_lost_begins_anew(calls, tmp_path):
    save_run_id(tmp_path, "mlflow", "lost")
    logged(tmp_path, step=1)
    assert len(events(calls, "init")["mlflow"]) == 1
    assert read_run_id(tmp_path, "mlflow") == "m1"


@pytest.mark.parametrize(("key", "mode"), [(False, "offline"), (True, "online")])
def test_wandb_without_a_key_is_offline(calls, tmp_path, key, mode):
    importlib.import_module("wandb").KEY = key
    logged(tmp_path)
    assert events(calls, "init")["wandb"][0][0]["mode"] == mode


def test_trackio_prints_nothing(calls, tmp_path, capfd):
    logged(tmp_path)
    assert "Trackio" not in capfd.readouterr().out
    importlib.import_module("trackio").init("p", "another of the user's own")
    assert "Trackio" in capfd.readouterr().out


def test_trackio_leaves_other_threads_their_standard_output(calls, tmp_path, monkeypatch):
    package, outputs = importlib.import_module("trackio"), []
    begin = package.init
    monkeypatch.setattr(
        package, "init", lambda *args, **more: outputs.append(sys.stdout) or begin(*args, **more)
    )
    logged(tmp_path)
    assert outputs == [sys.stdout]


@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [
        ("TRACKIO_SPACE_ID", "me/space", "me/space"),
        ("TRACKIO_SERVER_URL", "https://me:secret@host/?write_token=secret", "https://host/"),
    ],
)
def test_trackio_names_the_place_that_its_variable_names(
    calls, tmp_path, caplog, monkeypatch, variable, value, place
):
    monkeypatch.setenv(variable, value)
    caplog.set_level("INFO")
    logged(tmp_path)
    assert f"project 'p' in {place}" in caplog.text
    assert "secret" not in caplog.text


def test_a_rewind_opens_a_logger_anew_at_the_step(tmp_path):
    seen = []

    def keep(run):
        seen.append((run.step, run.id))
        return Sink(lambda step, row: seen.append(step), close=seen.append, id="mine")

    logger = RunLogger(tmp_path).open(0, {"keep": keep})
    logger.write_numbers(1, {"loss": 1.0})
    logger.write_numbers(2, {"loss": 1.0})
    logger.rewind(1)
    logger.write_numbers(2, {"loss": 1.0})
    logger.close(well=False)
    assert seen == [(0, None), 1, 2, True, (1, "mine"), 2, False]


def test_a_logger_that_fails_is_told_once_and_tried_again(tmp_path, caplog):
    rows, faults = [], [ValueError("no\nline"), RuntimeError("again")]

    def fail_twice(run):
        if faults:
            raise faults.pop(0)
        return Sink(lambda step, row: rows.append((step, run.step)))

    logger = RunLogger(tmp_path).open(0, {"mine": fail_twice})
    for step in (1, 2):
        logger.write_numbers(step, {"loss": 1.0})
        logger.threads[0].put((handled := threading.Event()).set)
        handled.wait(9)
    logger.close()
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert told == ["warning: the logger mine fails: no line; training goes on"]
    assert rows == [(2, 0)]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_fault_names_no_user_and_no_password(tmp_path, caplog):
    def fail(run):
        raise OSError("no answer of https://me:p@ss@host/a and https://you@there")

    RunLogger(tmp_path).open(0, {"mine": fail}).close()
    told = caplog.records[0].getMessage()
    assert "fails: no answer of https://host/a and https://there; training" in told


def test_a_service_that_hangs_is_not_waited_for(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(run_logger, "CLOSE_SECONDS", 0.01)
    monkeypatch.setattr(logging_thread, "MOST_WAITING", 2)
    hangs = threading.Event()
    logger = RunLogger(tmp_path).open(0, {"slow": lambda run: Sink(lambda *_: hangs.wait(9))})
    for step in range(9):
        logger.write_numbers(step, {"loss": 1.0})
    logger.close()
    hangs.set()
    (told,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert told.startswith("warning: the logger slow is ")


def test_a_full_queue_does_not_lose_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(run_logger, "CLOSE_SECONDS", 1.0)
    monkeypatch.setattr(logging_thread, "MOST_WAITING", 2)
    hangs, closed = threading.Event(), []
    sink = Sink(lambda *_: hangs.wait(9), close=closed.append)
    logger = RunLogger(tmp_path).open(0, {"slow": lambda run: sink})
    for step in range(9):
        logger.write_numbers(step, {"loss": 1.0})
    threading.Timer(0.05, hangs.set).start()
    logger.close()
    assert closed == [True]


def test_other_processes_log_nothing(tmp_path):
    logger = RunLogger(tmp_path, writes=False).open(0, {"mine": pytest.fail})
    logger.write_numbers(1, {"loss": 1.0})
    logger.close()
    assert logger.threads == []


@pytest.mark.parametrize(
    ("text", "seen"), [("ab-1.c_2", "ab-1.c_2"), ("../x", None), ("a" * 200, None), ("", None)]
)
def test_an_id_in_a_folder_is_a_plain_one(tmp_path, text, seen):
    (tmp_path / "run_ids").mkdir()
    (tmp_path / "run_ids/wandb.txt").write_text(text + "\n")
    assert read_run_id(tmp_path, "wandb") == seen


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("outputs/cats", "cats"),
        ("outputs/2026-11-28/08-49-42-123456", "2026-11-28_08-49-42-123456"),
        ("sweep/3", "sweep_3"),
    ],
)
def test_a_run_is_named_for_its_folder(folder, name):
    assert run_name(Path(folder)) == name


@pytest.mark.parametrize(("folder", "name"), [("1", "run_1"), ("", "run"), ("cats/1", "cats_1")])
def test_no_run_is_named_for_the_user(tmp_path, monkeypatch, folder, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_name(tmp_path / folder) == name


def test_no_path_is_sent():
    cfg = OmegaConf.create({"data": {"path": "/home/me/a", "name": "owner/set"}, "trust": ["me"]})
    assert sent_config(cfg) == {"data": {"path": "a", "name": "owner/set"}}


def test_options_have_names_with_dots():
    assert flat_options({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {
        **{"a.b": 1, "a.c.d": [2], "e": None}
    }


@pytest.mark.parametrize("name", ALL)
def test_a_yaml_file_names_every_option_of_a_logger(composed, name):
    cfg = composed("train", f"trainer.loggers=[{name}]")
    node = OmegaConf.to_container(cfg.logger[name])
    target = target_of(cfg, f"logger.{name}")
    assert set(node) - {"_target_"} == set(config.options_of(target))
    assert node["images"] == (name == "tensorboard")
    assert target.__name__ == name


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trainer.loggers=[wandb]"], "needs a package that is missing: in the clone, pip i"),
        (["trainer.loggers=[wand]"], "must be among mlflow, tensorboard, trackio, wandb, but"),
        (["trainer.loggers=wandb"], "trainer.loggers must be a list of str, but is 'wandb'"),
        (["logger=wandb"], "logger is not an option; trainer.loggers=[NAME] names loggers"),
        (
            ["logger.mlflow.uri='http://me:secret@there'"],
            "logger.mlflow.uri has no effect without 'trainer.loggers=[tensorboard,mlflow]'",
        ),
        (["logger.wandb.projekt=x"], "projekt is not an option; did you mean project?"),
        (["trainer.loggers=[tensorboard]", "logger.tensorboard.images=3"], "images must be bool"),
        (["trainer.loggers=[mine]", "+logger.mine._target_=os.system"], "trust=[MODULE]"),
        (["trainer.loggers=[mlflow]", "logger.mlflow.uri=file:runs"], "must be sqlite:///FILE or"),
        (
            ["trainer.loggers=[mlflow]", "logger.mlflow.uri='http://me:secret@there'"],
            "logger.mlflow.uri must hold no password",
        ),
    ],
)
def test_a_bad_logger_is_one_line_before_anything_starts(command, monkeypatch, arguments, line):
    there = dict.fromkeys(["mlflow", "tensorboard"], importlib.util.find_spec("json"))
    monkeypatch.setattr("ddpm_cli.loggers.nodes.find_spec", there.get)
    outcome = command("train", *arguments, "hydra.run.dir=run")
    assert (outcome.code, outcome.err.count("\n"), outcome.out) == (1, 1, "")
    assert line in outcome.err
    assert "secret" not in outcome.err
    assert not Path("run").exists()


def test_options_of_idle_loggers_are_refused_from_a_program_and_allowed_in_yaml(command):
    with pytest.raises(ValueError, match=r"logger.wandb.project has no effect without 'trainer"):
        train([*TINY, "logger.wandb.project=cats"], folder="run")
    Path("own/experiment").mkdir(parents=True)
    lines = "# @package _global_", "logger: {wandb: {project: cats}}"
    Path("own/experiment/mine.yaml").write_text("\n".join(lines))
    length = [*TINY, "trainer.steps=1", "hydra.run.dir=run"]
    assert command("train", "--config-dir=own", "+experiment=mine", *length).code == 0


def test_a_logger_of_ones_own_is_two_files(command, tmp_path):
    module = f"mine_{id(tmp_path)}"
    Path(f"{module}.py").write_text(MINE)
    Path("own/logger").mkdir(parents=True)
    Path("own/logger/lines.yaml").write_text(f"_target_: {module}.lines\npath: ???\nmark: '-'\n")
    mine = ["--config-dir=own", "trainer.loggers=[lines]", f"trust=[{module}]"]
    length = [*TINY, "trainer.steps=2", "trainer.log_every=1", "hydra.run.dir=run"]
    outcome = command("train", *mine, *length, "+logger.lines.path=rows.txt")
    assert outcome.code == 0, outcome.err
    losses = [json.loads(row)["loss"] for row in Path("run/metrics.jsonl").read_text().splitlines()]
    assert Path("run/rows.txt").read_text().splitlines() == [
        "run 0 8 False",
        *(f"- {step} {loss}" for step, loss in enumerate(losses, 1)),
    ]
    assert not Path("run/tensorboard").exists()
    checkpoint = Checkpoint.load(Path("run/checkpoints/last.safetensors"), parts=())
    assert recipe_overrides(checkpoint) == [f"trust=[{module}]", *length[:-1]]


@pytest.mark.parametrize(
    "override",
    ["trainer.loggers=[wandb]", "+trainer.loggers=[wandb]", "logger.mlflow.uri=http://there"],
)
def test_no_file_says_what_is_sent_where(override):
    assert not is_recipe(override)
