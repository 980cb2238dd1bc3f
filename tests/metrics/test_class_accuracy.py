"""A small classifier: it learns what can be learned, and gives equal numbers for equal images."""

import pytest
import torch

from ddpm_cli.data import Preparation, digits
from ddpm_cli.evaluation.classification_scores import (
    LabelledImages,
    labelled_places,
    score_classification,
)
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.metrics.class_accuracy import small_images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts():
    """120 digits to learn from, and 72 others."""
    training, held_out = load_image_set(
        digits(), Preparation(size=8, channels=1, flip=False)
    ).split(0.05)
    return [LabelledImages.of_set(training, 120), LabelledImages.of_set(held_out)]


def accuracy(training, unseen):
    return score_classification("cas", training, unseen, [*"0123456789"], CPU)


def test_a_classifier_of_real_digits_sees_the_class_of_most_others(parts):
    number = accuracy(*parts)
    assert number.low < number.value < number.high
    assert number.value > 0.7


def test_equal_images_give_the_same_accuracy_with_any_random_state(parts):
    torch.manual_seed(1)
    first = accuracy(*parts)
    state = torch.get_rng_state()
    assert accuracy(*parts) == first
    assert torch.equal(torch.get_rng_state(), state)


def test_classes_that_say_nothing_of_the_images_leave_chance(parts):
    training, unseen = parts
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    assert accuracy(LabelledImages(training.images, training.labels[order]), unseen).value < 0.3


def test_a_classifier_takes_images_of_any_size_and_any_number_of_channels():
    images = small_images(torch.zeros(4, 3, 40, 64, dtype=torch.uint8), torch.arange(4))
    assert images.shape == (4, 3, 32, 32)
    alone = LabelledImages(torch.zeros(4, 2, 1, 3, dtype=torch.uint8), torch.zeros(4).long())
    assert accuracy(alone, alone).value == 1


def test_images_without_a_class_are_left_out():
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False)).subset(
        torch.arange(6)
    )
    data.labels[:] = torch.tensor([-1, 0, 1, -1, 2, 3])
    assert labelled_places(data).tolist() == [1, 2, 4, 5]
    assert labelled_places(data, 2).tolist() == [1, 4]
