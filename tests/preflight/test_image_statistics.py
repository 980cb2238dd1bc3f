"""What a report finds in sets whose facts are known."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from ddpm_cli.data import Preparation, folder
from ddpm_cli.image_sets import assemble_image_set, decode_source
from ddpm_cli.image_sets.decoding import RECORD, content_hash, perceptual_hash
from ddpm_cli.images import prepare_image
from ddpm_cli.preflight.duplicates import candidate_pairs, exact_copies, near_copies
from ddpm_cli.preflight.image_statistics import image_statistics

LOOKS = np.random.default_rng(0).integers(0, 2**64, 200, dtype=np.uint64)


def smooth(count, side=32, seed=0):
    """Different images that look like photographs out of focus."""
    cells = torch.randint(
        0, 256, (count, 3, 6, 6), generator=torch.Generator().manual_seed(seed)
    ).float()
    return interpolate(cells, size=(side, side), mode="bicubic").clamp(0, 255).byte()


def noisy(images, levels, seed=1):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return (images + levels * noise).clamp(0, 255).byte()


def known(images):
    records = np.zeros(len(images), dtype=RECORD)
    records["word"], records["look"] = content_hash(images), perceptual_hash(images)
    return records


def flipped(looks, *bits):
    return looks ^ np.bitwise_or.reduce([np.uint64(1) << np.uint64(bit) for bit in bits])


def reported(place, holdout=0.0, **options):
    source, preparation = (
        folder(path=str(place)),
        Preparation(size=8, channels=3, flip=False, holdout=holdout, **options),
    )
    found = decode_source(source, preparation)
    return image_statistics(
        found.images, found.records, assemble_image_set(found, source, preparation), holdout
    )


@pytest.fixture
def photographs(tmp_path):
    """Ten images of two classes: 0 to 2 alike, 3 nearly so, 4 of one colour, the rest different."""
    images = smooth(10)
    images[1:3], images[3], images[4] = images[0], noisy(images[:1], 2)[0], 200
    for name, image in enumerate(images):
        path = tmp_path / ("b" if name > 6 else "a") / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    Image.new("L", (4, 5), 200).save(tmp_path / "a/4.png")
    return tmp_path


def test_a_report_tells_sizes_modes_and_classes(photographs):
    facts = reported(photographs)
    assert facts.sizes == [(4, 5), (32, 32), (32, 32)]
    assert facts.modes == {"RGB": 9, "L": 1}
    assert (facts.classes, facts.unlabelled) == ({"a": 7, "b": 3}, 0)


def test_a_report_tells_images_of_one_colour_and_those_that_are_enlarged(photographs):
    facts = reported(photographs)
    assert (facts.plain.tolist(), facts.enlarged.tolist()) == ([4], [4])


def test_a_report_tells_exact_and_near_copies(photographs):
    facts = reported(photographs)
    assert [group.tolist() for group in facts.exact] == [[0, 1, 2]]
    assert facts.near.tolist() == [[0, 3]]


def test_the_held_out_images_with_a_near_copy_in_training_are_told(photographs):
    source = folder(path=str(photographs))
    found = decode_source(source, Preparation(size=8, channels=3, flip=False))
    between = found.records["word"][[0, 3]].astype(float).mean() / 2**64
    assert reported(photographs, between).leaked.tolist() in ([0, 1, 2], [3])
    assert not len(reported(photographs).leaked)


def test_labels_that_are_missing_are_counted_and_classes_without_an_image_are_told(
    photographs, tmp_path
):
    (tmp_path / "l.jsonl").write_text(
        '{"file_name": "a/0.png", "label": "x"}\n{"file_name": "a/5.png", "label": "y"}\n'
    )
    (tmp_path / "a/5.png").write_bytes(b"")
    source, preparation = (
        folder(path=str(tmp_path), labels=str(tmp_path / "l.jsonl")),
        Preparation(size=8, channels=3, flip=False),
    )
    found = decode_source(source, preparation)
    facts = image_statistics(
        found.images, found.records, assemble_image_set(found, source, preparation), 0.0
    )
    assert (facts.classes, facts.unlabelled) == ({"x": 1, "y": 0}, 8)


def test_a_set_without_one_readable_image_has_nothing_to_tell(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    facts = reported(tmp_path)
    assert (facts.sizes, facts.modes, facts.exact, facts.near.tolist()) == ([], {}, [], [])


@pytest.mark.parametrize("bits", [(0,), (63,), (0, 16), (5, 40, 63), (0, 1, 2)])
def test_looks_that_differ_in_three_bits_are_candidates_wherever_these_are(bits):
    assert candidate_pairs(np.append(LOOKS, flipped(LOOKS[7], *bits))).tolist() == [[7, 200]]


@pytest.mark.parametrize("bits", [(0, 1, 2, 3), (0, 20, 40, 60)])
def test_looks_that_differ_in_four_bits_are_none(bits):
    assert not len(candidate_pairs(np.append(LOOKS, flipped(LOOKS[7], *bits))))


@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_looks_have_no_candidates(count):
    assert candidate_pairs(LOOKS[:count]).shape == (0, 2)


def test_a_crowd_that_looks_alike_costs_no_more_than_a_few_pairs_each():
    assert 1000 < len(candidate_pairs(np.zeros(1000, np.uint64), enough=0)) < 5000


def test_a_copy_that_was_compressed_again_is_near_on_a_plain_ground():
    drawing, file = Image.new("RGB", (128, 128), "white"), BytesIO()
    drawing.paste((200, 30, 60), (40, 47, 91, 84))
    drawing.save(file, "jpeg", quality=60)
    both = torch.stack([prepare_image(image, (3, 32, 32)) for image in (drawing, Image.open(file))])
    assert near_copies(both, known(both)).tolist() == [[0, 1]]


@pytest.mark.parametrize(("levels", "found"), [(3, 20), (60, 0)])
def test_near_copies_are_those_whose_pixels_hardly_differ(levels, found):
    images = smooth(200)
    both = torch.cat([images, noisy(images[:20], levels)])
    pairs = near_copies(both, known(both)).tolist()
    assert {other - one for one, other in pairs} <= {200}
    assert found * 0.8 <= len(pairs) <= found


def test_images_that_look_alike_but_differ_in_brightness_are_no_copies():
    images = smooth(1) // 2
    both = torch.cat([images, images + 40])
    assert len(candidate_pairs(known(both)["look"].astype(np.uint64))) == 1
    assert not len(near_copies(both, known(both)))


def test_of_exact_copies_the_first_is_compared():
    image = smooth(1)
    every = torch.cat([image, image, noisy(image, 2), noisy(image, 2)])
    assert [group.tolist() for group in exact_copies(known(every))] == [[0, 1], [2, 3]]
    assert near_copies(every, known(every)).tolist() == [[0, 2]]
