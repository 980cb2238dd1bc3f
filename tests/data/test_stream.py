"""The stream: order and flips as functions of (seed, position)."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_cli.data import ImageSet, Stream, batches
from ddpm_cli.parallel import Ranks

DATA = ImageSet(torch.arange(10 * 4, dtype=torch.uint8).view(10, 1, 2, 2), torch.arange(10), [str(i) for i in range(10)])


def stream(batch_size=4, seed=0, flip=False, part=slice(None), **options):
    return batches(Stream(DATA, batch_size, seed, flip, part), **options)


def indices(count, **options):
    return [batch.indices.tolist() for batch in islice(stream(**options), count)]


def test_every_epoch_holds_every_image_once_in_an_order_of_its_own():
    order = [index for batch in indices(5) for index in batch]
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:]


@given(st.integers(0, 40), st.integers(1, 10))
@settings(derandomize=True, deadline=None)
def test_a_stream_starts_anywhere_as_if_it_had_come_that_far(start, batch_size):
    assert indices(3, start=start, batch_size=batch_size) == indices(start + 3, batch_size=batch_size)[start:]


@given(st.integers(1, 12), st.integers(1, 12))
@settings(derandomize=True, deadline=None)
def test_the_parts_of_all_processes_are_the_batch_of_one(batch_size, count):
    parts = [next(stream(batch_size=batch_size, flip=True, part=Ranks(rank, count).part(batch_size))) for rank in range(count)]
    whole = next(stream(batch_size=batch_size, flip=True))
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.indices for part in parts]), whole.indices)
    assert [part.first for part in parts] == [sum(len(other.images) for other in parts[:rank]) for rank in range(count)]


def test_workers_prepare_the_same_batches_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    assert indices(5, workers=2, flip=True) == indices(5)
    assert torch.equal(torch.get_rng_state(), before)


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
    plain, flipped, again = (list(islice(stream(batch_size=10, flip=flip), 30)) for flip in (False, True, True))
    mirrored = torch.cat([(one.images != other.images).any(dim=(1, 2, 3)) for one, other in zip(plain, flipped, strict=True)])
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert all(torch.equal(one.images, other.images) for one, other in zip(flipped, again, strict=True))
    assert torch.equal(flipped[0].images[mirrored[:10]], plain[0].images[mirrored[:10]].flip(3))
