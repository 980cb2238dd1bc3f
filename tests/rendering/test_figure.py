"""Figures of Matplotlib, whatever backend the environment names."""

import os
import subprocess
import sys

import pytest

CURVES = """
from pathlib import Path
from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.rendering.html import chart
save_figure(Path("curve.png"), (1, 1), lambda figure: figure.subplots())
assert "svg" in chart({"loss": ([1, 2], [3, 4])}, over="step", alt="loss")
"""
PYPLOT = "import matplotlib; print(matplotlib.rcParams['backend'])"


def drawn(folder, backend, code=CURVES):
    environment = {**os.environ, "MPLBACKEND": backend, "DISPLAY": ""}
    start = [sys.executable, "-c", code]
    return subprocess.run(
        start, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "backend", ["nonsense", "module://matplotlib_inline.backend_inline", "module://gone", "TkAgg"]
)
def test_figures_need_no_backend_of_the_environment(tmp_path, backend):
    outcome = drawn(tmp_path, backend)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert (tmp_path / "curve.png").stat().st_size > 0


def test_figures_leave_a_notebook_its_own_backend(tmp_path):
    outcome = drawn(tmp_path, "pdf", CURVES + PYPLOT)
    assert outcome.stdout == "pdf\n", outcome.stderr
