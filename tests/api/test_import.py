"""What `import ddpm_cli` offers and costs."""

import subprocess
import sys

import pytest

import ddpm_cli


def test_the_import_waits_for_no_library():
    probe = "import sys, ddpm_cli; dir(ddpm_cli); print(*sys.modules)"
    outcome = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "numpy", "hydra", "omegaconf", "PIL", "ddpm_cli.api", "ddpm_cli.cli"}
    assert heavy.isdisjoint(outcome.stdout.split())


@pytest.mark.parametrize("name", ddpm_cli.__all__)
def test_every_name_is_there_and_documented(name):
    assert name in dir(ddpm_cli)
    assert getattr(ddpm_cli, name).__doc__


def test_other_names_are_missing_as_in_any_module():
    with pytest.raises(AttributeError, match="module 'ddpm_cli' has no attribute 'lode'"):
        getattr(ddpm_cli, "lode")  # noqa: B009
