"""Files are written as a whole, and where their name says."""

import os

import pytest

from ddpm_cli.files import append_text, folders_with, load_text, save_text, user_path


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


def test_a_text_is_not_appended_through_a_link_or_into_a_pipe(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=name):
            append_text(tmp_path / name, "new")
    append_text(tmp_path / "new", "a")
    append_text(tmp_path / "new", "b")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "new").read_text() == "ab"


def test_folders_are_found_at_any_depth_but_not_in_one_another_nor_behind_links(tmp_path):
    for name in ("sweep/a/b/c", "sweep/d", "sweep/d/e", "other/f", "other/f/g"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "x").touch()
    (tmp_path / "sweep/link").symlink_to(tmp_path / "other/f")
    (tmp_path / "sweep/links").symlink_to(tmp_path / "other")
    (tmp_path / "sweep/a/loop").symlink_to(tmp_path / "sweep")
    found = [str(each.relative_to(tmp_path)) for each in folders_with(tmp_path / "sweep", "x")]
    assert found == ["sweep/d", "sweep/link", "sweep/a/b/c"]


def test_a_file_has_the_mode_of_any_new_file(tmp_path):
    save_text(tmp_path / "a.txt", "new")
    (tmp_path / "b.txt").touch()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


@pytest.mark.parametrize("text", ["~no-such-user/x", "a/b", ""])
def test_a_path_without_a_home_folder_stays_as_it_is(text):
    assert str(user_path(text)) == (text or ".")
