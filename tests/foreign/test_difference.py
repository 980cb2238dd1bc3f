"""A package of another program is imported, or it is said why there is none."""

import sys

import pytest

from ddpm_cli.foreign.difference import import_package


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that needs another, which is not there."""
    (tmp_path / "half_installed").mkdir()
    (tmp_path / "half_installed/__init__.py").touch()
    (tmp_path / "half_installed/script_util.py").write_text("import blobs_of_another")
    monkeypatch.syspath_prepend(tmp_path)
    yield "half_installed"
    sys.modules.pop("half_installed")


def test_a_package_that_is_not_there_is_named():
    assert import_package("never_installed") == "never_installed is not installed"


def test_a_package_whose_import_fails_is_told_with_the_reason(package):
    told = "half_installed cannot be imported (No module named 'blobs_of_another')"
    assert import_package(package, "script_util") == told
    assert import_package(package) is sys.modules[package]
