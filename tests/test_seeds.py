"""Randomness as a function of its position."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st

from ddpm_cli.seeds import Purpose, check_seed, keyed_normal, rng_at, torch_seed, words_at
from ddpm_cli.seeds.normals import fastest_uniforms, uniforms
from ddpm_cli.seeds.philox import philox
from ddpm_cli.seeds.purpose import SUBS, key_of, tag_of

MASK = 2**32 - 1
WORD = st.integers(0, MASK)
SEEDS = [0, 1, 2**32 - 1, 2**32, 4 << 32, 2**63, 2**64 - 1]


def noise(size=16, seed=0, purpose=Purpose.NOISE, step=0, images=(0,), sub=0):
    like = torch.empty(len(images), 1, 1, size)
    return keyed_normal(like, seed, purpose, step, torch.tensor(images), sub).flatten(1)


def test_the_numbers_of_the_purposes_never_change():
    assert " ".join(purpose.name for purpose in Purpose) == (
        "WEIGHTS ORDER FLIP TIMES NOISE DROPOUT SAMPLE_START SAMPLE_STEPS LABELS OFFSET "
        "PERTURBATION EVALUATION CROP"
    )
    assert [purpose.value for purpose in Purpose] == list(range(len(Purpose)))


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # the known answers of Random123
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((MASK, MASK, MASK, MASK), (MASK, MASK), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_its_known_answers(counter, key, words):
    assert " ".join(f"{word:08x}" for word in philox(*counter, *key)) == words


@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
def test_the_words_of_tensors_are_those_of_numbers(counter, key):
    tensors = philox(*map(torch.tensor, counter), *key)
    assert [int(word) for word in tensors] == list(philox(*counter, *key))


@pytest.mark.slow
def test_the_words_of_the_kernel_are_those_of_tensors():
    # the interpreter reads the formulas as a kernel only beside Triton's names
    text = """
import torch, triton.language
import ddpm_cli.seeds.philox as formulas
formulas.tl = triton.language
from ddpm_cli.seeds.kernel import uniforms_by_kernel
from ddpm_cli.seeds.normals import uniforms
images = torch.tensor([0, 3, 2**32 - 1])
for step, key, blocks in ((0, (0, 0), 1), (7, (1, 2**32 - 1), 300), (torch.tensor(9), (5, 6), 5)):
    position = images, step, 12 << 24 | 77, key, blocks
    for one, other in zip(uniforms_by_kernel(*position), uniforms(*position), strict=True):
        assert torch.equal(one, other)
"""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", text], env=environment, check=True)


def failing_kernel(*_):
    raise RuntimeError("no C compiler\nand more")


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        (None, []),
        (
            SimpleNamespace(uniforms_by_kernel=failing_kernel, FAILURES=(RuntimeError,)),
            ["warning: noise takes some hundred launches, as Triton has no kernel: no C compiler"],
        ),
    ],
)
def test_without_a_kernel_the_words_are_those_of_tensors(monkeypatch, caplog, kernel, told):
    monkeypatch.setitem(sys.modules, "ddpm_cli.seeds.kernel", kernel)
    fastest_uniforms.cache_clear()
    assert fastest_uniforms(torch.device("cpu")) is uniforms
    assert caplog.messages == told
    fastest_uniforms.cache_clear()


@given(st.sampled_from(Purpose), st.integers(0, SUBS - 1), st.sampled_from(SEEDS))
def test_no_two_positions_share_a_counter_or_a_key(purpose, sub, seed):
    low, high = key_of(seed)
    assert divmod(tag_of(purpose, sub), SUBS) == (purpose, sub)
    assert (high << 32) + low == seed


def test_a_position_gives_the_same_numbers_for_ever():
    assert words_at(0, Purpose.WEIGHTS) == [0x6627E8D5]
    assert words_at(0, Purpose.NOISE, 3, count=2) == [3828086677, 1606379491]
    assert torch_seed(2**40, Purpose.DROPOUT, 5, 1, 2) == 3376176603008877055
    assert rng_at(7, Purpose.ORDER, 1).permutation(5).tolist() == [4, 1, 0, 3, 2]
    assert rng_at(2**32 - 1, Purpose.CROP, 1, 2, 3).random() == 0.8598541411586037


def test_a_position_of_words_is_step_image_and_sub_number():
    words = words_at(3, Purpose.NOISE, 5, 7, 9, count=8)
    counter = 5, 7, tag_of(Purpose.NOISE, 9)
    assert words == [*philox(0, *counter, 3, 0), *philox(1, *counter, 3, 0)]
    assert words_at(3, Purpose.NOISE, 5, 7, 9, count=3) == words[:3]


def test_seeds_of_any_size_purposes_and_positions_are_all_told_apart():
    positions = [
        *((seed, Purpose.NOISE, 0) for seed in SEEDS),
        (0, Purpose.TIMES, 0),
        *((0, Purpose.NOISE, *place) for place in ((1,), (0, 1), (0, 0, 1), (1, 1))),
        (4 << 32, Purpose.SAMPLE_START, 3),
        (0, Purpose.NOISE, 6, 3),
    ]
    assert len({words_at(*position)[0] for position in positions}) == len(positions)
    assert len({rng_at(*position).random() for position in positions}) == len(positions)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_has_64_bits(seed):
    with pytest.raises(
        ValueError, match=rf"^seed must be at least 0 and less than 2\^64, but is {seed}$"
    ):
        check_seed(seed)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        noise(seed=seed)


@pytest.mark.parametrize("name", ["train", "sample", "evaluate", "compare"])
def test_commands_refuse_other_seeds(command, name):
    ckpt = ["ckpt=any"] * (name != "train")
    Path("any").write_bytes(b"a checkpoint")
    outcome = command(name, *ckpt, f"seed={2**64}", "hydra.run.dir=out")
    told = f"seed must be at least 0 and less than 2^64, but is {2**64}"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


def test_the_largest_seed_trains_goes_on_and_draws(command):
    options = [*TINY, f"seed={2**64 - 1}", "trainer.steps=2", "hydra.run.dir=run"]
    stopped = command("train", *options, "trainer.stop_at=1")
    resumed = command("train", *options, "resume=auto")
    drawn = command(
        "sample", "ckpt=run/checkpoints/last.safetensors", f"seed={2**64 - 1}", "n=2", "png=true"
    )
    assert [each.code for each in (stopped, resumed, drawn)] == [0, 0, 0], resumed.err + drawn.err


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_element_e_is_of_word_e_modulo_4_of_block_e_over_4(dtype):
    like = torch.empty(2, 3, 1, 2, dtype=dtype)
    drawn = keyed_normal(like, 2**40 + 5, Purpose.NOISE, 8, [7, 2**32 - 1])
    one, two, three, four = (
        word / 2**32 for word in philox(1, 8, 2**32 - 1, tag_of(Purpose.NOISE, 0), 5, 2**8)
    )
    radius, angle = math.sqrt(-2 * math.log(one + 2**-32)), 2 * math.pi * two
    expected = torch.tensor([radius * math.cos(angle), radius * math.sin(angle)], dtype=dtype)
    assert three != four
    torch.testing.assert_close(drawn[1, 2].flatten().float(), expected.float())
    assert (drawn.dtype, drawn.shape, drawn.is_contiguous()) == (dtype, like.shape, True)


@given(st.permutations(range(6)), st.integers(1, 6))
def test_an_image_has_the_same_noise_in_any_batch_and_any_order(order, size):
    whole = noise(images=range(6))
    parts = [order[first : first + size] for first in range(0, 6, size)]
    assert torch.equal(torch.cat([noise(images=part) for part in parts]), whole[order])


def test_a_larger_image_begins_as_a_smaller_one():
    assert torch.equal(noise(size=23)[:, :9], noise(size=9))


def test_a_step_on_the_device_is_a_step_and_is_not_read_back():
    like, images = torch.empty(2, 1, 3, 3), torch.tensor([4, 9])
    one, other = (
        keyed_normal(like, 1, Purpose.NOISE, step, images) for step in (5, torch.tensor(5))
    )
    assert torch.equal(one, other)
    blank = [each.to("meta") for each in (like, torch.tensor(5), images)]
    drawn = keyed_normal(blank[0], 1, Purpose.NOISE, *blank[1:])
    assert (drawn.is_meta, drawn.shape) == (True, like.shape)


def test_keyed_noise_changes_neither_its_arguments_nor_the_global_generator():
    before, like, images = torch.get_rng_state(), torch.zeros(2, 1, 4, 4), torch.tensor([1, 2])
    step = torch.tensor(3)
    keyed_normal(like, 0, Purpose.NOISE, step, images)
    assert torch.equal(before, torch.get_rng_state())
    assert (like.any(), images.tolist(), int(step)) == (False, [1, 2], 3)


def test_noise_has_the_moments_and_the_tails_of_a_normal():
    drawn = noise(size=2**12, images=range(256)).double()
    count = drawn.numel()
    moments = [drawn.pow(power).mean().item() for power in (1, 2, 3, 4)]
    spreads = [math.sqrt(each / count) for each in (1, 2, 15, 96)]
    for moment, expected, spread in zip(moments, (0, 1, 0, 3), spreads, strict=True):
        assert abs(moment - expected) < 4 * spread
    normal = torch.distributions.Normal(0, 1)
    for edge in (0.5, 1, 2, 3, 4):
        for side in (drawn, -drawn):
            share = 1 - normal.cdf(torch.tensor(edge, dtype=torch.float64)).item()
            spread = math.sqrt(share * (1 - share) / count)
            assert abs((side > edge).double().mean().item() - share) < 4.5 * spread
    assert 4.5 < drawn.abs().max() < 6.7


def test_neighbours_are_independent():
    """Elements of one pair, of one block, of two blocks; images; steps; seeds; purposes."""
    size = 2**18
    own = noise(size=size)[0]
    others = {
        **{f"element {lag}": own.roll(lag) for lag in (1, 2, 3, 4)},
        "image": noise(size=size, images=[1])[0],
        "step": noise(size=size, step=1)[0],
        "seed": noise(size=size, seed=1)[0],
        "large seed": noise(size=size, seed=2**32)[0],
        "purpose": noise(size=size, purpose=Purpose.DROPOUT)[0],
        "sub-number": noise(size=size, sub=1)[0],
    }
    for one, other in ((own, 1), (own.square() - 1, 2)):
        for name, neighbour in others.items():
            both = one * (neighbour if other == 1 else neighbour.square() - 1)
            assert abs(both.mean().item()) < 4 * other / math.sqrt(size), name


@pytest.mark.parametrize("word", [0, MASK])
def test_the_extreme_words_give_finite_noise(monkeypatch, word):
    words = tuple(torch.full((1, 4), word) for _ in range(4))
    monkeypatch.setattr("ddpm_cli.seeds.normals.philox", lambda *_: words)
    drawn = noise()
    assert drawn.isfinite().all()
    assert drawn.abs().max() < 6.7
