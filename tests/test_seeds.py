"""Randomness as a function of its position."""

import torch

from ddpm_cli.seeds import Purpose, normal_like, rng_at, words_at

CPU = torch.device("cpu")


def test_the_numbers_of_the_purposes_never_change():
    assert " ".join(purpose.name for purpose in Purpose) == (
        "WEIGHTS ORDER FLIP TIMES NOISE DROPOUT SAMPLE_START SAMPLE_STEPS LABELS OFFSET "
        "PERTURBATION EVALUATION CROP"
    )
    assert [purpose.value for purpose in Purpose] == list(range(len(Purpose)))


def test_a_position_gives_the_same_numbers_for_ever():
    assert words_at(0, Purpose.NOISE, 3, count=2) == [3971982538, 2872774896]
    assert (
        rng_at(7, Purpose.ORDER, 1).permutation(5).tolist()
        == rng_at(7, Purpose.ORDER, 1).permutation(5).tolist()
    )


def test_seeds_purposes_and_positions_are_all_told_apart():
    positions = [
        (0, Purpose.NOISE, 0),
        (1, Purpose.NOISE, 0),
        (0, Purpose.TIMES, 0),
        (0, Purpose.NOISE, 1),
        (2**32, Purpose.NOISE, 0),
    ]
    assert len({words_at(*position)[0] for position in positions}) == len(positions)


def test_the_first_words_do_not_depend_on_how_many_are_asked_for():
    assert words_at(0, Purpose.NOISE, 5, count=64)[:8] == words_at(0, Purpose.NOISE, 5, count=8)


def test_the_noise_of_an_image_depends_on_its_word_alone():
    like = torch.zeros(3, 1, 4, 4)
    seeded = torch.Generator(CPU).manual_seed
    whole, last = normal_like(like, map(seeded, [1, 2, 3])), normal_like(like[:1], [seeded(3)])
    assert torch.equal(whole[2:], last)


def test_keyed_noise_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    normal_like(torch.zeros(2, 1, 4, 4), map(torch.Generator(CPU).manual_seed, [1, 2]))
    assert torch.equal(before, torch.get_rng_state())
