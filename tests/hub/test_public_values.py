"""What others see of an option's value."""

import pytest

from ddpm_cli.hub.public_values import without_paths


@pytest.mark.parametrize(
    ("name", "value", "public"),
    [
        ("path", "/home/me/photos", "photos"),
        ("path", "~/photos/", "photos"),
        ("path", "~/photos/cats", "cats"),
        ("path", "../me/photos", "photos"),
        ("path", r"C:\Users\me\photos", "photos"),
        ("path", ["/home/me/a", "/home/me/{b,c}.tar"], ["a", "{b,c}.tar"]),
        ("path", {"path": "/home/me/a"}, {"path": "a"}),
        ("sources", ["a/b", 1, None], ["b", 1, None]),
        ("sources", {0: "a/b"}, {0: "b"}),
        ("path", "s3://key@bucket/set.tar", "set.tar"),
        ("path", "https://me:key@host/a/{00..99}.tar?key=1", "{00..99}.tar"),
        ("uri", "https://me:key@host", "host"),
        ("name", "ylecun/mnist", "ylecun/mnist"),
        ("path", "ylecun/mnist", "mnist"),
        ("name", "/home/me/set", "set"),
        ("name", "../set", "set"),
        ("name", "me/photos/a.parquet", "a.parquet"),
        ("_target_", "ddpm_cli.losses.l2", "ddpm_cli.losses.l2"),
        ("cache", "auto", "auto"),
        ("flip", 0.5, 0.5),
    ],
)
def test_a_path_is_cut_to_its_name(name, value, public):
    assert without_paths({name: value}) == {name: public}


def test_a_folder_is_no_name_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me" / "photos").mkdir(parents=True)
    assert without_paths({"name": "me/photos"}) == {"name": "photos"}
