"""The cache: the same images in every place, damage, full disks, several and killed processes."""

import hashlib
import logging
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from ddpm_cli import console
from ddpm_cli.data import Preparation, folder
from ddpm_cli.image_sets import ImageSet, cache, load_image_set
from ddpm_cli.loading import BatchDataset, batches

COUNT = 12
FILES = ("facts.json", "images", "records")
KINDS = ("ram", "disk", "off", "a folder")
PROGRAM = """
import logging, sys, time
from dataclasses import replace
from ddpm_cli.data import Preparation, folder
from ddpm_cli.image_sets import decoding, load_image_set
decoding.BLOCK = 1
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
source = folder(path=sys.argv[1])
slow = replace(source, open=lambda index: time.sleep(0.1) or source.open(index))
print("ready", input(), flush=True)
preparation = Preparation(size=64, channels=3, flip=False, cache=sys.argv[2])
print(load_image_set(slow, preparation, verbose=True).fingerprint)
"""


def preparation(kept, **options):
    return Preparation(**{"size": 4, "channels": 3, "flip": False, "cache": str(kept), **options})


@pytest.fixture
def photos(tmp_path):
    """A folder of small images of two classes, each of one shade of its own."""
    for index in range(COUNT):
        shade = (20 * index, 255 - 20 * index, 7)
        (tmp_path / f"photos/{index % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), shade).save(tmp_path / f"photos/{index % 2}/{index:02d}.png")
    return tmp_path / "photos"


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def source(photos):
    return folder(path=str(photos))


@pytest.fixture
def truth(source):
    return load_image_set(source, preparation("ram"))


def entry(kept):
    """The folder of the only entry of a cache."""
    (found,) = (each for each in kept.iterdir() if each.is_dir())
    return found


def future_entry(source, kept):
    """The folder of an entry that is not there yet."""
    load_image_set(source, preparation(kept))
    path = entry(kept)
    shutil.rmtree(kept)
    return path


def undecoded(index):
    """Stands for the images that nobody is to open."""
    raise AssertionError(index)


def same(one, other):
    """Whether all that is known of two sets is the same."""
    tensors = [(one.all_images(), other.all_images()), (one.labels, other.labels)]
    known = [
        (each.classes, each.content_hashes.tolist(), each.fingerprint) for each in (one, other)
    ]
    return all(torch.equal(*pair) for pair in tensors) and known[0] == known[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crop", ["center", "adm", "random"])
def test_a_set_is_the_same_wherever_it_is_kept_and_when_it_is_read_again(
    source, tmp_path, monkeypatch, kind, crop
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of the user"))
    options = preparation(f"{tmp_path}/folder" if kind == "a folder" else kind, crop=crop)
    expected = load_image_set(source, preparation("ram", crop=crop))
    for found in (load_image_set(source, options), load_image_set(source, options)):
        assert same(found, expected)
        assert all(
            same(one, other)
            for one, other in zip(found.split(0.5), expected.split(0.5), strict=True)
        )


def test_what_is_in_the_cache_is_not_decoded_again(source, truth, kept):
    load_image_set(source, preparation(kept))
    assert same(load_image_set(replace(source, open=undecoded), preparation(kept)), truth)


def test_a_changed_image_file_leads_to_a_new_entry(source, truth, photos, kept):
    load_image_set(source, preparation(kept))
    Image.new("RGB", (6, 5), "white").save(photos / "0/00.png")
    changed = load_image_set(folder(path=str(photos)), preparation(kept))
    assert (changed.all_images()[0] == 255).all()
    assert torch.equal(changed.all_images()[1:], truth.all_images()[1:])


@pytest.mark.parametrize(
    "options",
    [
        {"size": 3},
        {"size": [4, 3]},
        {"channels": 1},
        {"crop": "adm"},
        {"crop": "random"},
        {"crop": "random", "margin": 0.5},
    ],
)
def test_another_preparation_has_an_entry_of_its_own(source, kept, options):
    load_image_set(source, preparation(kept))
    assert same(
        load_image_set(source, preparation(kept, **options)),
        load_image_set(source, preparation("ram", **options)),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_told_and_the_entry_built_anew(source, truth, kept, caplog, name, seed):
    load_image_set(source, preparation(kept))
    damaged, rng = entry(kept) / name, random.Random(seed)
    content = bytearray(damaged.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    damaged.write_bytes(content)
    assert same(load_image_set(source, preparation(kept)), truth)
    assert f"the cache in {entry(kept)} is damaged and is built anew" in caplog.text
    assert damaged.read_bytes() != content


@pytest.mark.parametrize("length", [0, 1, -1])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_told_and_the_entry_built_anew(
    source, truth, kept, caplog, name, length
):
    load_image_set(source, preparation(kept))
    damaged = entry(kept) / name
    damaged.write_bytes(damaged.read_bytes()[:length])
    assert same(load_image_set(source, preparation(kept)), truth)
    assert "is damaged and is built anew" in caplog.text


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_told_and_the_entry_built_anew(source, truth, kept, caplog, name):
    load_image_set(source, preparation(kept))
    (entry(kept) / name).unlink()
    assert same(load_image_set(source, preparation(kept)), truth)
    assert "is damaged and is built anew" in caplog.text


def test_a_disk_that_writes_otherwise_than_told_is_not_tried_for_ever(source, kept, monkeypatch):
    monkeypatch.setattr(cache, "entry_checksum", lambda *_: str(random.random()))
    with pytest.raises(
        ValueError, match=r"what is written to the cache in '.*kept' is read otherwise: is the disk"
    ):
        load_image_set(source, preparation(kept))


def test_what_a_killed_process_left_is_replaced(source, truth, kept):
    load_image_set(source, preparation(kept))
    place = entry(kept)
    place.rename(place.with_suffix(".partial"))
    (place.with_suffix(".partial") / "images").write_bytes(b"some")
    assert same(load_image_set(source, preparation(kept)), truth)
    assert [*kept.glob("*.partial")] == []


def test_images_that_the_disk_cannot_take_are_told_before_they_are_decoded(
    source, kept, monkeypatch
):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(
        ValueError,
        match=r"^12 prepared images take 0\.0 GiB, and 0\.0 are free in '.*kept': choose "
        r"data\.cache=FOLDER .*size$",
    ):
        load_image_set(replace(source, open=undecoded), preparation(kept))


def test_a_disk_that_is_full_in_the_midst_is_told_in_one_line_and_nothing_is_left(
    source, kept, monkeypatch
):
    monkeypatch.setattr(
        "os.fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(
        ValueError,
        match=r"^data\.cache must be a folder that can be written to, but '.*kept' cannot: No "
        r"space left on device$",
    ):
        load_image_set(source, preparation(kept))
    assert [each for each in kept.iterdir() if each.is_dir()] == []


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_cache_that_cannot_be_written_to_is_told_in_one_line(source, kept, below):
    kept.write_text("a file in its place")
    with pytest.raises(
        ValueError,
        match=r"^data\.cache must be a folder that can be written to, but '.*kept.*' cannot: .*$",
    ):
        load_image_set(source, preparation(f"{kept}{below}"))


def test_an_image_is_not_taken_for_the_cache_that_cannot_be_written_to(source, kept):
    def failing(index):
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        load_image_set(replace(source, open=failing), preparation(kept))


def test_who_waits_for_another_that_builds_is_told_so(source, truth, kept, monkeypatch):
    place, told = future_entry(source, kept), []
    kept.mkdir()
    held = FileLock(place.with_suffix(".lock"), thread_local=False)
    monkeypatch.setattr(
        console.log, "info", lambda *words: told.append(words[1][:7]) or held.release()
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(held.acquire).result()
        assert same(load_image_set(source, preparation(kept), verbose=True), truth)
    assert told == ["waiting", "cached "]


def test_only_one_process_is_verbose(source, kept, caplog):
    caplog.set_level(logging.INFO)
    load_image_set(source, preparation(kept), verbose=False)
    assert caplog.text == ""


@pytest.fixture
def damaged(photos):
    """The folder with two images that cannot be read."""
    (photos / "0/02.png").write_bytes(b"no image")
    (photos / "1/05.png").write_bytes((photos / "1/05.png").read_bytes()[:50])
    return folder(path=str(photos))


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_cannot_be_read_stop_a_run_and_are_named(damaged, tmp_path, kind):
    options = preparation(f"{tmp_path}/folder" if kind == "a folder" else kind)
    told = (
        r"^cannot read 2 of 12 images: .*/0/02\.png: .*; .*/1/05\.png: .* \(data\.on_error=skip "
        r"goes without, ddpm-data lists all\)$"
    )
    for _ in range(2):
        with pytest.raises(ValueError, match=told):
            load_image_set(damaged, options)


@pytest.mark.parametrize("kind", KINDS)
def test_images_labels_and_indices_stay_together_where_some_are_skipped(
    damaged, tmp_path, caplog, kind
):
    options = preparation(f"{tmp_path}/folder" if kind == "a folder" else kind, on_error="skip")
    data = [load_image_set(damaged, options) for _ in range(2)][1]
    assert caplog.text.count("2 of 12 images cannot be read and are skipped: ") == 2
    batch = next(batches(BatchDataset(data, 10, 0, False)))
    assert (
        (batch.images[:, 0, 0, 0] // 20 % 2).tolist()
        == batch.labels.tolist()
        == data.labels[batch.indices].tolist()
    )
    assert sorted((batch.images[:, 0, 0, 0] // 20).tolist()) == [0, 1, 3, 4, 6, 7, 8, 9, 10, 11]
    assert torch.equal(batch.images, data.all_images()[batch.indices])


@pytest.mark.parametrize("kind", ["ram", "off", "a folder"])
def test_images_none_of_which_can_be_read_stop_a_run_that_skips(photos, tmp_path, kind):
    [file.write_bytes(b"") for file in photos.rglob("*.png")]
    options = preparation(f"{tmp_path}/folder" if kind == "a folder" else kind, on_error="skip")
    with pytest.raises(ValueError, match=r"^cannot read any of the 12 images: .*; .*; .*; \.\.\.$"):
        load_image_set(folder(path=str(photos)), options)


def former(data):
    """The fingerprint that older checkpoints hold."""
    images, labels = (
        data.all_images(),
        b"" if data.labels is None else data.labels.numpy().tobytes(),
    )
    content = repr(torch.Size(images.shape)).encode() + images.numpy().tobytes() + labels
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crop", ["center", "random"])
def test_a_set_matches_its_fingerprint_and_that_of_older_checkpoints(source, tmp_path, kind, crop):
    whole = load_image_set(
        source, preparation(f"{tmp_path}/folder" if kind == "a folder" else kind, crop=crop)
    )
    for data in (whole, *whole.split(0.5), replace(whole, labels=None)):
        assert data.matches(former(data))
        assert data.matches(data.fingerprint)


def test_a_set_matches_no_fingerprint_of_another(truth):
    changed = truth.all_images().clone()
    changed[3, 0, 0, 0] ^= 1
    for other in (
        ImageSet(changed, truth.labels, []),
        ImageSet(truth.all_images(), truth.labels.flip(0), []),
        truth.split(0.5)[0],
    ):
        assert not truth.matches(former(other))
        assert not truth.matches(other.fingerprint)


def begun(photos, kept):
    """A process that is about to prepare the folder, and waits to be told to."""
    command = [sys.executable, "-c", PROGRAM, str(photos), str(kept)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def let_go(process):
    """Tells a process to prepare, once it can."""
    process.stdin.write("now\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready now\n"


@pytest.mark.slow
def test_two_processes_that_start_at_once_on_a_cold_cache_build_it_once(source, photos, kept):
    processes = [begun(photos, kept) for _ in range(2)]
    [let_go(process) for process in processes]
    told = "".join(process.communicate(timeout=60)[0] for process in processes)
    assert told.count("cached") == told.count("waiting") == 1
    assert told.count(load_image_set(source, preparation("ram", size=64)).fingerprint) == 2


@pytest.mark.slow
def test_builds_killed_at_random_never_lead_to_a_wrong_image(source, photos, kept):
    rng, left = np.random.default_rng(0), []
    for _ in range(5):
        with begun(photos, kept) as process:
            let_go(process)
            time.sleep(rng.uniform(0.1, 0.6))
            process.kill()
        left += [path.stat().st_size for path in kept.glob("*.partial/images")]
    assert any(
        0 < size < COUNT * 3 * 64 * 64 for size in left
    )  # one at least was killed while it wrote
    assert same(
        load_image_set(source, preparation(kept, size=64)),
        load_image_set(source, preparation("ram", size=64)),
    )
    assert [*kept.glob("*.partial")] == []


def test_an_image_that_is_replaced_while_nothing_is_kept_is_told(source, photos, tmp_path):
    data = load_image_set(source, preparation("off"))
    Image.new("L", (4, 4), 99).save(next(iter(sorted(photos.rglob("*.png")))))
    with pytest.raises(ValueError, match=r"0/00.png is another image than when the run began"):
        data.all_images()


def test_a_file_in_the_place_of_an_unfinished_entry_is_in_nobodys_way(source, kept, truth):
    place = future_entry(source, kept)
    kept.mkdir()
    place.with_suffix(".partial").write_text("")
    assert same(load_image_set(source, preparation(kept)), truth)
