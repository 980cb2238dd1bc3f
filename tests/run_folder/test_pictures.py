"""Pictures of a run's folder, which a stranger may have put there."""

import os

import pytest
from PIL import Image

from ddpm_cli.run_folder import pictures


@pytest.mark.parametrize("kind", ["missing", "a pipe", "a folder", "text", "cut off", "huge"])
def test_what_is_no_picture_is_left_out(tmp_path, monkeypatch, kind):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.effect_noise((8, 8), 40).save(good)
    if kind == "a pipe":
        os.mkfifo(bad)
    elif kind == "a folder":
        bad.mkdir()
    elif kind == "huge":
        monkeypatch.setattr(pictures, "MOST_BYTES", good.stat().st_size)
        Image.effect_noise((32, 32), 40).save(bad)
    elif kind != "missing":
        bad.write_bytes(b"text" if kind == "text" else good.read_bytes()[:40])
    assert pictures.read_pngs([bad, good]) == {good: good.read_bytes()}
