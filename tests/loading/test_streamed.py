"""Streamed sets: their order, the parts of processes, and where reading goes on."""

import json
import logging
from itertools import islice
from zipfile import ZipFile

import datasets
import pytest
import torch
from PIL import Image

from ddpm_cli.data import Preparation, hub
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.loading import StreamShare, streamed_batches
from ddpm_cli.loading import streamed as streaming

COUNT, SHARDS = 40, 4
PLAIN = Preparation(size=4, channels=1, flip=False)
WHOLE = slice(0, 8)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW", 7)


@pytest.fixture
def shards(tmp_path):
    """Images whose brightness, five times their label, is their number, in four Parquet files."""
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(num_classes=COUNT)
    )
    images = [Image.new("L", (6, 6), 5 * number) for number in range(COUNT)]
    rows = datasets.Dataset.from_dict(
        {"image": images, "label": list(range(COUNT))}, features=features
    )
    for shard in range(SHARDS):
        rows.shard(SHARDS, shard, contiguous=True).to_parquet(
            tmp_path / "set" / f"train-{shard}-of-{SHARDS}.parquet"
        )
    return str(tmp_path / "set")


def share(path, preparation=PLAIN, rank=0, ranks=1, seed=0):
    return StreamShare(hub(name=path, streaming=True).rows, preparation, seed, rank, ranks)


def taken(count, *args, part=WHOLE, position="", threads=1, **options):
    return list(
        islice(streamed_batches(share(*args, **options), part, position, threads=threads), count)
    )


def labels(batches):
    return torch.cat([batch.labels for batch in batches]).tolist()


def test_every_epoch_holds_every_image_once_in_an_order_of_its_own(shards):
    seen = labels(taken(10, shards))
    assert sorted(seen[:COUNT]) == sorted(seen[COUNT:]) == list(range(COUNT))
    assert seen[:COUNT] != seen[COUNT:] != list(range(COUNT))


def test_rows_are_shuffled_within_windows(shards):
    seen = labels(taken(5, shards))
    assert [sorted(seen[first : first + 7]) for first in (0, 7)] == [
        list(range(7)),
        list(range(7, 14)),
    ]
    assert seen != labels(taken(5, shards, seed=1))


def test_images_labels_and_numbers_belong_together(shards):
    batch = taken(1, shards)[0]
    assert torch.equal(batch.images[:, 0, 0, 0].long(), 5 * batch.labels)
    assert torch.equal(batch.indices, batch.labels)


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_the_processes_have_every_image_once_between_them(shards, ranks):
    whole = [
        taken(1, shards, rank=rank, ranks=ranks, part=slice(0, len(range(rank, COUNT, ranks))))
        for rank in range(ranks)
    ]
    assert sorted(label for batches in whole for label in labels(batches)) == list(range(COUNT))


VARIED = Preparation(size=4, channels=1, flip=True, crop="random", margin=0.5, holdout=0.2)


def test_any_number_of_threads_gives_the_same_batches(shards):
    one, four = (taken(12, shards, VARIED, threads=threads) for threads in (1, 4))
    assert all(
        torch.equal(a.images, b.images) and torch.equal(a.indices, b.indices)
        for a, b in zip(one, four, strict=True)
    )
    assert [batch.position for batch in one] == [batch.position for batch in four]


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("step", [1, 2, 6, 11])
def test_a_stream_goes_on_anywhere_and_again_as_if_it_had_not_stopped(shards, step, ranks):
    mine = {"rank": ranks - 1, "ranks": ranks, "part": slice(2, 6)}
    whole = taken(18, shards, VARIED, **mine)
    rest = taken(3, shards, VARIED, **mine, position=whole[step - 1].position)
    again = taken(15 - step, shards, VARIED, **mine, position=rest[-1].position)
    found = [*rest, *again]
    assert all(
        torch.equal(a.images, b.images) and torch.equal(a.indices, b.indices)
        for a, b in zip(whole[step:], found, strict=True)
    )


def test_half_of_the_images_are_mirrored_anew_in_every_epoch(tmp_path):
    features, ramp = (
        datasets.Features(image=datasets.Image()),
        Image.linear_gradient("L").rotate(90),
    )
    datasets.Dataset.from_dict({"image": [ramp] * 100}, features=features).to_parquet(
        tmp_path / "x.parquet"
    )
    batch = taken(
        2,
        str(tmp_path / "x.parquet"),
        Preparation(size=4, channels=1, flip=True),
        part=slice(0, 100),
    )
    mirrored = [each.images[:, 0, 0, 0] > each.images[:, 0, 0, 3] for each in batch]
    assert mirrored[0].float().mean().item() == pytest.approx(0.5, abs=0.15)
    assert not torch.equal(*mirrored)
    assert batch[0].labels is None


def test_images_that_are_held_out_are_never_trained_on(shards):
    preparation = Preparation(size=4, channels=1, flip=False, holdout=0.3)
    _, held_out = load_image_set(hub(name=shards, streaming=True), preparation).split(0.3)
    assert len(held_out.images) > 3
    assert set(labels(taken(10, shards, preparation))) == set(range(COUNT)) - set(
        held_out.labels.tolist()
    )


def test_the_first_rows_are_kept_to_be_shown(shards, monkeypatch):
    monkeypatch.setattr("ddpm_cli.data.sources.source.HEAD", 13)
    data = load_image_set(hub(name=shards, streaming=True), PLAIN)
    assert data.labels.tolist() == list(range(13))
    assert (data.images[:, 0, 0, 0].tolist(), data.classes[-1]) == (list(range(0, 65, 5)), "39")


@pytest.fixture
def damaged(tmp_path):
    """A folder of ten images, the fourth of which is none."""
    for number in range(10):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    return str(tmp_path)


def test_images_of_a_zip_file_are_streamed_out_of_it(tmp_path):
    with ZipFile(tmp_path / "some.zip", "w") as file:
        for number in range(8):
            Image.new("L", (4, 4), number).save(tmp_path / "one.png")
            file.write(tmp_path / "one.png", f"{number}.png")
    (tmp_path / "one.png").unlink()
    assert sorted(taken(1, str(tmp_path))[0].images[:, 0, 0, 0].tolist()) == list(range(8))


def test_an_image_that_cannot_be_read_stops_the_run_with_its_name(damaged):
    with pytest.raises(
        ValueError,
        match=r"cannot read .*3\.png: it is no image of a known format \(data.on_error=skip "
        r"goes without\)",
    ):
        taken(2, damaged)


def test_images_that_cannot_be_read_are_skipped_every_time(damaged, caplog):
    skipping = Preparation(size=4, channels=1, flip=False, on_error="skip")
    with caplog.at_level(logging.WARNING):
        batches = taken(6, damaged, skipping, part=slice(0, 3))
    seen = torch.cat([batch.images[:, 0, 0, 0] for batch in batches]).tolist()
    assert sorted(seen[:9]) == sorted(seen[9:]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [
        record.getMessage().partition("skipped: ")[2].partition(" so far")[0]
        for record in caplog.records
    ] == ["1", "2"]
    rest = taken(3, damaged, skipping, part=slice(0, 3), position=batches[2].position)
    assert all(torch.equal(a.images, b.images) for a, b in zip(batches[3:], rest, strict=True))


def test_a_share_without_an_image_to_train_on_is_told(damaged):
    with pytest.raises(
        ValueError,
        match="the rows of the stream cannot be read on after 0: there are none for process 11 "
        "of 11",
    ):
        taken(1, damaged, rank=10, ranks=11)
    with pytest.raises(
        ValueError, match="process 4 of 10 finds no image to train on in its share of the stream"
    ):
        taken(
            1,
            damaged,
            Preparation(size=4, channels=1, flip=False, on_error="skip"),
            rank=3,
            ranks=10,
        )


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "[" * 100_000,
        '{"before": 0, "done": 0}',
        '{"before": -1, "done": 0, "state": null}',
        '{"before": true, "done": 0, "state": null}',
        '{"before": 1e3, "done": 0, "state": null}',
        '{"before": 0, "done": 8, "state": null}',
        '{"before": 0, "done": 0, "state": 5}',
        '{"before": 0, "done": 0, "state": {}}',
    ],
)
def test_a_position_that_is_none_is_refused(shards, text):
    with pytest.raises(ValueError, match="the checkpoint's position in the stream is invalid"):
        taken(1, shards, position=text)


@pytest.mark.parametrize(
    "state",
    [
        {"epoch": 0},
        {"epoch": 0, "examples_iterable": {"x": 1}},
        {"epoch": 0, "examples_iterable": 5},
    ],
)
def test_a_state_of_no_such_stream_is_told(shards, state):
    with pytest.raises(ValueError, match="the rows of the stream cannot be read on after 7: "):
        taken(1, shards, position=json.dumps({"before": 7, "done": 0, "state": state}))


def test_classes_of_a_stream_must_be_declared(tmp_path):
    features = datasets.Features(image=datasets.Image(), cls=datasets.Value("int64"))
    rows = datasets.Dataset.from_dict(
        {"image": [Image.new("L", (4, 4))], "cls": [1]}, features=features
    )
    rows.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(
        ValueError,
        match="label_column must declare its classes with streaming=true, but 'cls' does not",
    ):
        hub(name=str(tmp_path / "x.parquet"), label_column="cls", streaming=True)


def test_a_saved_data_set_is_not_streamed(tmp_path):
    datasets.Dataset.from_dict({"x": [1]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(
        ValueError,
        match=r"streaming=true does not go with .*saved.*: a saved data set is read where it lies",
    ):
        hub(name=str(tmp_path / "saved"), streaming=True)
