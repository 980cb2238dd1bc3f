"""What the compiler needs of the machine, and that it compiles one graph once."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

from ddpm_cli.hardware import check_compiler
from ddpm_cli.hardware.compilation import PaddedBatches

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CHECK = Path(__file__).parent.parent / "one_graph.py"


NETWORKS = re.findall(r'^    "(\w+)": partial', CHECK.read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_training_and_sampling_are_one_graph_each_that_is_compiled_once(name):
    subprocess.run([sys.executable, CHECK, name], check=True, timeout=300)


def test_a_batch_is_padded_to_the_smallest_size_that_is_known():
    seen = []

    class Sizes(torch.nn.Module):
        def forward(self, x, t, label=None):
            seen.append((len(x), len(t), len(label)))
            return x

    padded = PaddedBatches(Sizes())
    for count in (4, 8, 6, 3, 4):
        x = torch.ones(count, 1, 2, 2)
        assert torch.equal(padded(x, torch.ones(count), torch.ones(count, dtype=torch.long)), x)
    assert seen == [(size,) * 3 for size in (4, 8, 8, 4, 4)]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (CPU, r"needs a C\+\+ compiler, but none of g\+\+, clang\+\+, cl is there"),
        (CUDA, r"needs a C compiler, but none of gcc, clang, cl is there"),
    ],
)
def test_a_missing_compiler_is_refused(monkeypatch, device, message):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=message):
        check_compiler(device)


def test_missing_headers_of_python_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ValueError, match=r"needs \S+Python.h, which is not there: install"):
        check_compiler(CPU)
