"""The files of a run's folder may be a stranger's: they are read in limits."""

import json
import logging
import os

import pytest

from ddpm_cli.run_folder import rows
from ddpm_cli.run_folder.curves import Curves, read_config, run_folders
from ddpm_cli.run_folder.evaluations import append_evaluations, last_evaluations
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.overrides import typed_overrides
from ddpm_cli.run_folder.rows import json_rows, metric_rows

ROW = {"metric": "fd", "value": 1.0, "protocol": "p"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1}\n')
    return tmp_path


@pytest.mark.parametrize("text", ["a: &a [x]\nb: [*a, *a]", "&a [*a]", "x: " + "[" * 5000])
def test_a_configuration_that_no_run_writes_is_named(folder, text):
    (folder / ".hydra/config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config.yaml' is not the configuration of a run: "):
        Curves.read(folder)


def test_a_configuration_may_hold_interpolations_as_text(folder):
    (folder / ".hydra/config.yaml").write_text("seed: 1\ntext: ${seed}\n")
    assert read_config(folder) == {"seed": 1, "text": "${seed}"}


@pytest.mark.parametrize("text", ["&a [*a]", "- " + "x" * 2**18, "{", "a: b"])
def test_overrides_that_no_run_writes_are_none(folder, text):
    (folder / ".hydra/overrides.yaml").write_text(text)
    assert typed_overrides(folder) == []


def test_overrides_are_read_as_typed(folder):
    (folder / ".hydra/overrides.yaml").write_text("- seed=1\n- trainer.log_every=${seed}\n")
    assert typed_overrides(folder) == ["seed=1", "trainer.log_every=${seed}"]


@pytest.mark.parametrize(
    "row",
    [
        {f"x{place}": 1 for place in range(100)},
        {"x" * 201: 1},
        {"x" * 2**20: 1},
        {"text": "x" * 2**20},
    ],
)
def test_rows_of_more_than_a_run_writes_are_refused(folder, row):
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, **row}) + "\n")
    with pytest.raises(ValueError, match=r"metrics.jsonl' must have at most "):
        list(metric_rows(folder))


def test_more_rows_than_a_run_writes_are_refused(folder, monkeypatch):
    monkeypatch.setattr(rows, "MOST_ROWS", 2)
    (folder / "metrics.jsonl").write_text('{"step": 1}\n' * 3)
    with pytest.raises(ValueError, match="must have at most 2 rows of at most 1,048,576 char"):
        list(metric_rows(folder))


def test_a_number_beyond_floats_is_a_gap_in_metrics_and_no_row_elsewhere(folder):
    huge = "1" + "0" * 400
    (folder / "metrics.jsonl").write_text(f'{{"step": 1, "loss": {huge}}}\n')
    (folder / "rows.jsonl").write_text(f'{{"a": {huge}}}\n{{"a": 1}}\n[[')
    assert str(*metric_rows(folder)) == "{'step': 1.0, 'loss': nan}"
    assert json_rows(folder / "rows.jsonl") == [{"a": 1}]


@pytest.mark.parametrize(
    "change", [{"metric": "x" * 201}, {"protocol": "x" * 3001}, {"metric": 1}, {"value": True}]
)
def test_an_evaluation_of_long_texts_or_without_a_number_is_skipped(folder, change):
    lines = [json.dumps(ROW), json.dumps(ROW | change)]
    (folder / "evaluations.jsonl").write_text("\n".join(lines))
    assert last_evaluations(folder) == ({"fd": 1.0}, {"fd": "p"})


def test_a_large_file_of_facts_says_nothing(folder):
    (folder / "run.json").write_text(json.dumps({"warnings": ["x" * 2**22]}))
    assert read_facts(folder) == {}


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe"])
def test_evaluations_are_appended_to_a_file_of_the_run_alone(folder, tmp_path, caplog, kind):
    path = folder / "evaluations.jsonl"
    (tmp_path / "victim").write_text("precious\n")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("victim" if kind == "link" else "nothing"))
    with caplog.at_level(logging.WARNING):
        append_evaluations(folder / "checkpoints/last.safetensors", [ROW])
    assert "the numbers stand in eval.json alone" in caplog.text
    assert (tmp_path / "victim").read_text() == "precious\n"
    assert not (tmp_path / "nothing").exists()


def test_evaluations_are_appended_once(folder):
    for _ in range(2):
        append_evaluations(folder / "checkpoints/last.safetensors", [ROW])
    assert json_rows(folder / "evaluations.jsonl") == [ROW]


def test_runs_are_found_at_any_depth_in_the_order_of_their_numbers(tmp_path):
    for name in ("2/0.9", "10/0.9", "1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "metrics.jsonl").touch()
    found = [str(each.relative_to(tmp_path)) for each in run_folders(tmp_path)]
    assert found == ["1", "2/0.9", "10/0.9"]
