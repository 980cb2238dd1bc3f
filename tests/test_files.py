"""Files are written as a whole, and where their name says."""

import os

import pytest

from ddpm_cli.files import load_text, save_text, user_path


def test_a_link_that_waits_for_the_file_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f".partial-{os.getpid()}-a.txt").symlink_to(tmp_path / "victim")
    save_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert not (tmp_path / "a.txt").is_symlink()


@pytest.mark.parametrize("text", ["grün\n日本\n", "a\r\nb", ""])
def test_a_text_has_the_same_bytes_on_every_system(tmp_path, text):
    save_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_bytes() == text.encode("utf-8")
    assert load_text(tmp_path / "a.txt") == text.replace("\r\n", "\n")


def test_bytes_that_are_no_text_are_read_as_a_sign_of_that(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a\xffb")
    assert load_text(tmp_path / "a.txt") == "a\ufffdb"


def test_a_file_has_the_mode_of_any_new_file(tmp_path):
    save_text(tmp_path / "a.txt", "new")
    (tmp_path / "b.txt").touch()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


@pytest.mark.parametrize("text", ["~no-such-user/x", "a/b", ""])
def test_a_path_without_a_home_folder_stays_as_it_is(text):
    assert str(user_path(text)) == (text or ".")
