"""The wheel, installed elsewhere, without the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command, **options):
    outcome = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


def test_the_wheel_ships_the_yaml_the_digits_the_pages_the_types_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {
        f"ddpm_cli/configs/{path.relative_to(ROOT / 'configs')}"
        for kind in ("yaml", "md")
        for path in (ROOT / "configs").rglob(f"*.{kind}")
    }
    pages = {
        str(path.relative_to(ROOT))
        for kind in ("html", "md", "sbatch")
        for path in (ROOT / "ddpm_cli").rglob(f"*.{kind}")
    }
    assert "ddpm_cli/commands/train/CLUSTER.md" in pages
    assert "ddpm_cli/rendering/html/page.html" in pages
    others = {"ddpm_cli/data/sources/digits.parquet", "ddpm_cli/py.typed"}
    assert configs | pages | others <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_wheel_trains_and_samples_in_another_folder(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    here = {"cwd": tmp_path, "env": {"PYTHONPATH": str(site), "HOME": str(tmp_path), "PATH": ""}}
    where = run(sys.executable, "-c", "import ddpm_cli; print(ddpm_cli.__file__)", **here)
    run(sys.executable, "-m", "ddpm_cli", "train", "trainer.steps=20", "hydra.run.dir=run", **here)
    run(
        sys.executable,
        "-m",
        "ddpm_cli",
        "sample",
        "ckpt=run/checkpoints/last.safetensors",
        "n=4",
        "hydra.run.dir=out",
        **here,
    )
    assert where.startswith(str(site))
    assert (tmp_path / "run/samples/step_00000020.png").exists()
    assert (tmp_path / "run/report.html").exists()
    assert (tmp_path / "out/grid.png").exists()
