"""The house in figures: imports run downward, files and functions stay small, the README tells the truth."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "ddpm_cli").rglob("*.py"))
LAYERS = (
    "cli runs report sweeps preflight checkpoints training parallel metrics likelihood steering sampling samplers train_times losses "
    "denoiser diffusion networks data images schedules seeds files shapes"
).split()


def room(path):
    return path.relative_to(ROOT / "ddpm_cli").with_suffix("").parts[0]


def imported(path):
    nodes = ast.walk(ast.parse(path.read_text()))
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[1] for module in modules if module.startswith("ddpm_cli.")} - {
        "config"
    }


def functions(path):
    return [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    ]


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in LAYERS], ids=str)
def test_imports_run_downward(path):
    below = LAYERS[LAYERS.index(room(path)) :]
    assert imported(path) <= set(below)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_file_is_longer_than_250_lines(path):
    assert len(path.read_text().splitlines()) <= 250


def test_every_file_has_a_room():
    assert {room(path) for path in FILES} - {"__init__", "__main__", "config"} == set(LAYERS)


def test_the_median_function_has_at_most_8_lines():
    assert (
        statistics.median(
            node.end_lineno - node.lineno + 1 for path in FILES for node in functions(path)
        )
        <= 8
    )


def test_the_package_has_fewer_than_10000_lines_that_are_not_blank():
    assert (
        sum(bool(line.strip()) for path in FILES for line in path.read_text().splitlines()) < 10000
    )


def test_config_imports_nothing_of_the_package():
    assert not imported(ROOT / "ddpm_cli/config.py")


def test_the_readme_lists_every_option():
    outcome = subprocess.run(
        [sys.executable, ROOT / "scripts/options", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
