"""The stream: order and flips as functions of (seed, position)."""

import errno
import os
import re
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from ddpm_cli.data import Preparation, folder
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.images import CentreCrop
from ddpm_cli.loading import BatchDataset, batches
from ddpm_cli.loading.shuffled import epoch_order
from ddpm_cli.parallel import ProcessGroup

DATA = ImageSet(
    torch.arange(10 * 4, dtype=torch.uint8).view(10, 1, 2, 2),
    torch.arange(10),
    [str(i) for i in range(10)],
)
LARGER = (
    torch.arange(12 * 6 * 7, dtype=torch.int64)
    .view(12, 1, 6, 7)
    .mul(37)
    .remainder(251)
    .to(torch.uint8)
)
WINDOWS = ImageSet(
    CentreCrop(LARGER, 4, 4),
    torch.arange(12),
    [],
    weights=torch.arange(1, 13, dtype=torch.float64),
    larger=LARGER,
)  # everything that a stream can do, if it mirrors too


def stream(batch_size=4, seed=0, flip=False, part=slice(None), **options):
    return batches(BatchDataset(DATA, batch_size, seed, flip, part), **options)


def indices(count, **options):
    return [batch.indices.tolist() for batch in islice(stream(**options), count)]


def test_every_epoch_holds_every_image_once_in_an_order_of_its_own():
    order = [index for batch in indices(5) for index in batch]
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]


@given(st.integers(0, 40), st.integers(1, 10))
@settings(derandomize=True, deadline=None)
def test_a_stream_starts_anywhere_as_if_it_had_come_that_far(start, batch_size):
    assert (
        indices(3, start=start, batch_size=batch_size)
        == indices(start + 3, batch_size=batch_size)[start:]
    )


@given(st.integers(1, 12), st.integers(1, 12))
@settings(derandomize=True, deadline=None)
def test_the_parts_of_all_processes_are_the_batch_of_one(batch_size, count):
    parts = [
        next(
            stream(
                batch_size=batch_size,
                flip=True,
                part=ProcessGroup(rank, count).slice_of(batch_size),
            )
        )
        for rank in range(count)
    ]
    whole = next(stream(batch_size=batch_size, flip=True))
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.indices for part in parts]), whole.indices)
    assert [part.first for part in parts] == [
        sum(len(other.images) for other in parts[:rank]) for rank in range(count)
    ]


def test_workers_prepare_the_same_batches_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    assert indices(5, workers=2, flip=True) == indices(5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.ENOENT, errno.EAGAIN])
def test_workers_that_the_machine_does_not_start_are_told(monkeypatch, number):
    def start(loader):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(DataLoader, "__iter__", start)
    rule = "trainer.workers=2 needs processes with shared memory (/dev/shm)"
    with pytest.raises(ValueError, match=re.escape(f"{rule}, but: {os.strerror(number)}; choose")):
        stream(workers=2)


def test_seeds_give_orders_of_their_own():
    assert indices(3, seed=0) != indices(3, seed=1)


def test_images_labels_and_indices_belong_together():
    batch = next(stream(batch_size=10))
    assert torch.equal(batch.images, DATA.images[batch.indices])
    assert torch.equal(batch.labels, batch.indices)


def test_images_and_labels_wait_in_pinned_memory(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    batch = next(stream(batch_size=10))
    assert torch.equal(batch.pin_memory().labels, batch.labels)
    assert [id(each) for each in pinned] == [id(batch.labels), id(batch.images)]
    assert replace(batch, labels=None).pin_memory().labels is None


def test_half_of_the_images_are_mirrored_by_seed_and_step():
    plain, flipped, again = (
        list(islice(stream(batch_size=10, flip=flip), 30)) for flip in (False, True, True)
    )
    mirrored = torch.cat(
        [
            (one.images != other.images).any(dim=(1, 2, 3))
            for one, other in zip(plain, flipped, strict=True)
        ]
    )
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert all(
        torch.equal(one.images, other.images) for one, other in zip(flipped, again, strict=True)
    )
    assert torch.equal(flipped[0].images[mirrored[:10]], plain[0].images[mirrored[:10]].flip(3))


def everything(part=slice(None), start=0, workers=0):
    """Indices, labels and images of a part of each step, from one on to the end of epoch three."""
    steps = islice(
        batches(BatchDataset(WINDOWS, 5, 0, True, part), start=start, workers=workers),
        3 * 12 // 5 + 1 - start,
    )
    return [(batch.indices, batch.labels, batch.images) for batch in steps]


def joined(*steps):
    """All indices, all labels and all images of such steps."""
    return [torch.cat(kind) for kind in zip(*steps, strict=True)]


@pytest.mark.parametrize("start", [0, 4])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("processes", [1, 2])
def test_batches_are_the_same_for_any_processes_and_workers_and_after_a_resume_in_an_epoch(
    processes, workers, start
):
    parts = [
        everything(ProcessGroup(rank, processes).slice_of(5), start, workers)
        for rank in range(processes)
    ]
    found = [joined(*step) for step in zip(*parts, strict=True)]
    assert all(map(torch.equal, joined(*found), joined(*everything()[start:])))
    assert len(found) == 8 - start


@given(
    st.lists(st.integers(1, 9) | st.floats(0.01, 100), min_size=1, max_size=30), st.integers(0, 5)
)
@settings(derandomize=True, deadline=None)
def test_an_epoch_with_weights_holds_each_image_as_often_as_is_its_share(weights, epoch):
    shares = np.array(weights, dtype=np.float64) / sum(weights) * len(weights)
    held = np.bincount(
        epoch_order(len(weights), torch.tensor(weights, dtype=torch.float64), 0, epoch),
        minlength=len(weights),
    )
    assert held.sum() == len(weights)
    assert (np.floor(shares - 1e-9) <= held).all()
    assert (held <= np.ceil(shares + 1e-9)).all()


def test_weights_are_met_over_many_epochs_and_their_order_is_mixed():
    weights = torch.tensor([0.5] * 5 + [1.5] * 5, dtype=torch.float64)
    epochs = [epoch_order(10, weights, 0, epoch) for epoch in range(400)]
    assert np.bincount(np.concatenate(epochs)) / 400 == pytest.approx(weights.numpy(), abs=0.1)
    assert {epoch[0] for epoch in epochs} == set(range(10))


def offsets(batch, height, width):
    """Where in its larger image each image of a batch was cut out."""
    found = [
        LARGER[index].unfold(1, height, 1).unfold(2, width, 1) == image[:, None, None]
        for index, image in pairs(batch)
    ]
    return [tuple(map(tuple, each.all(dim=(0, 3, 4)).nonzero().tolist())) for each in found]


def pairs(batch):
    """The indices and images of a batch."""
    return zip(batch.indices.tolist(), batch.images, strict=True)


def test_windows_lie_inside_and_every_offset_occurs():
    steps = islice(batches(BatchDataset(replace(WINDOWS, weights=None), 12, 0, False)), 30)
    found = [place for batch in steps for place in offsets(batch, 4, 4)]
    assert {len(each) for each in found} == {1}
    assert {each[0] for each in found} == {(top, left) for top in range(3) for left in range(4)}


def test_a_window_and_its_mirroring_are_drawn_apart():
    plain, mirrored = (next(batches(BatchDataset(WINDOWS, 12, 0, flip))) for flip in (False, True))
    turned = torch.tensor(
        [
            not torch.equal(one, other)
            for one, other in zip(plain.images, mirrored.images, strict=True)
        ]
    )
    assert torch.equal(
        mirrored.images,
        torch.where(turned[:, None, None, None], plain.images.flip(3), plain.images),
    )
    assert 0 < turned.sum() < 12


@pytest.mark.parametrize("kind", ["ram", "off", "a folder"])
def test_random_windows_are_of_the_size_that_is_asked_for_and_the_images_those_about_the_centre(
    tmp_path, kind
):
    noise = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    Image.fromarray(noise).save(tmp_path / "photos/1.png")
    cache = f"{tmp_path}/kept" if kind == "a folder" else kind
    options = Preparation(
        size=[8, 10], channels=3, flip=False, crop="random", margin=0.2, cache=cache
    )
    data = load_image_set(folder(path=str(tmp_path / "photos")), options)
    whole = torch.from_numpy(noise).permute(2, 0, 1)
    assert (options.stored_shape, tuple(data.images.shape), tuple(data.larger.shape)) == (
        (3, 10, 12),
        (1, 3, 8, 10),
        (1, 3, 10, 12),
    )
    assert torch.equal(data.all_images()[0], whole[:, 1:9, 1:11])
    windows = torch.cat(
        [batch.images for batch in islice(batches(BatchDataset(data, 1, 0, False)), 60)]
    )
    places = [whole[:, top : top + 8, left : left + 10] for top in range(3) for left in range(3)]
    assert {tuple(each.flatten().tolist()) for each in windows} == {
        tuple(each.flatten().tolist()) for each in places
    }


@pytest.mark.parametrize("kind", ["in memory", "mapped"])
def test_mirroring_a_batch_leaves_the_images_as_they_are(tmp_path, kind):
    DATA.images.numpy().tofile(tmp_path / "images")
    mapped = torch.from_file(str(tmp_path / "images"), size=40, dtype=torch.uint8).view(10, 1, 2, 2)
    images = {"in memory": DATA.images.clone(), "mapped": mapped}[kind]
    list(islice(batches(BatchDataset(ImageSet(images, None, []), 10, 0, True)), 5))
    assert torch.equal(images, DATA.images)
