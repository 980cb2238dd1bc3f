"""The choice of a recipe: a function of facts, where a given value wins."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ddpm_cli.config.auto import AUTO, FIXED
from ddpm_cli.hardware import count_flops
from ddpm_cli.networks.reference import ReferenceUNet
from ddpm_cli.networks.unet import UNet
from ddpm_cli.recipes.choice import affordable_images, by_length, choose, image_flops, stages_for
from ddpm_cli.recipes.facts import REFERENCE_UNET, Facts, network_cost
from ddpm_cli.recipes.values import CPU, GPU, SMALL_SET

ALL = dict.fromkeys(FIXED, AUTO)
CPU2 = {"cores": 2, "side": 300}
H200 = {"device": "cuda", "memory": 2.0**37, "side": 300, "bf16": True, "compiles": True}


def chosen(facts, **said):
    names = {name.replace("__", "."): value for name, value in said.items()}
    return choose(facts, {**ALL, **names})


@pytest.mark.parametrize(
    ("facts", "size", "dim"),
    [
        (Facts(203, **CPU2), 32, 64),  # a night, and a small set
        (Facts(203, minutes=60, **CPU2), 32, 48),
        (Facts(1000, minutes=60, **CPU2), 32, 48),
        (Facts(5000, **CPU2), 64, 48),  # time allows it
        (Facts(203, minutes=10, **CPU2), 32, 32),
        (Facts(203, minutes=3, **CPU2), 16, 32),
        (Facts(203, minutes=0.1, **CPU2), 16, 32),
        (Facts(203, **H200), 64, 128),
        (Facts(50_000, **H200), 64, 128),
        (Facts(50_000, minutes=5, **H200), 64, 64),
        (Facts(None, **H200), 64, 128),
    ],
)
def test_size_and_width_follow_from_the_images_the_device_and_the_time(facts, size, dim):
    values = chosen(facts)
    assert (values["data.size"], values["model.network.dim"]) == (size, dim)


@given(
    st.one_of(st.none(), st.integers(1, 10**7)),
    st.integers(1, 5000),
    st.sampled_from(["cpu", "cuda", "mps"]),
    st.one_of(st.none(), st.floats(1e-3, 1e4)),
    st.integers(1, 64),
    st.floats(2**28, 2**40),
)
def test_every_choice_is_one_that_the_options_allow(images, side, device, minutes, cores, memory):
    facts = Facts(images, side, device=device, minutes=minutes, cores=cores, memory=memory)
    values = chosen(facts)
    size, mults = values["data.size"], values["model.network.dim_mults"]
    assert values.keys() == FIXED.keys()
    assert size % 2 ** (len(mults) - 1) == 0
    assert values["model.network.dim"] % 8 == 0
    assert 1 <= values["trainer.batch_size"] <= max(1, 0.75 * (images or 10**9))
    assert 0 <= values["trainer.ema"] < 1
    assert 1e-5 < values["trainer.optimizer.lr"] < 1e-2
    assert values["trainer.steps"] > values["trainer.warmup"]
    assert size < 2 * max(8, side)


@given(st.dictionaries(st.sampled_from(sorted(FIXED)), st.none(), min_size=1))
def test_a_value_that_is_given_is_never_chosen(names):
    said = {name: FIXED[name] for name in names}
    values = choose(Facts(500, **CPU2), {**ALL, **said})
    assert values.keys() == FIXED.keys() - said.keys()


def test_what_follows_follows_from_a_value_that_is_given():
    facts = Facts(500, **CPU2)
    wide = chosen(facts, model__network__dim=128)
    assert wide["trainer.optimizer.lr"] < chosen(facts)["trainer.optimizer.lr"]
    assert chosen(facts, data__size=20)["model.network.dim_mults"] == [1, 2, 2]
    assert chosen(facts, data__size=[24, 40])["model.network.dim_mults"] == [1, 2, 2, 2]
    assert chosen(facts, data__size=9)["model.network.dim_mults"] == [1]
    steps, more = (chosen(facts, trainer__batch_size=each)["trainer.steps"] for each in (32, 8))
    assert more == pytest.approx(4 * steps, rel=0.01)
    assert chosen(facts, trainer__steps=100)["trainer.ema"] == by_length(100)["trainer.ema"]


def test_a_network_of_ones_own_has_no_width_to_choose():
    own = {name: AUTO for name in FIXED if not name.startswith("model.network.")}
    assert choose(Facts(500, **CPU2), own).keys() == own.keys()


def test_images_are_mirrored_where_that_breaks_nothing():
    assert chosen(Facts(500))["data.flip"]
    assert not chosen(Facts(500, channels=1))["data.flip"]
    assert not chosen(Facts(500, classes=10))["data.flip"]


def test_a_small_set_is_seen_as_often_as_it_takes_and_a_large_one_less_often():
    def passes(images):
        values = chosen(Facts(images, **CPU2))
        return values["trainer.steps"] * values["trainer.batch_size"] / images

    assert passes(SMALL_SET) == pytest.approx(CPU.passes, rel=0.01)
    assert passes(100 * SMALL_SET) == pytest.approx(CPU.passes / 10, rel=0.01)
    assert passes(50) * 50 == pytest.approx(CPU.seen, rel=0.01)


def test_a_short_run_and_a_small_device_have_smaller_batches():
    assert chosen(Facts(500, minutes=60, **CPU2))["trainer.batch_size"] == CPU.batch
    assert chosen(Facts(500, minutes=1, **CPU2))["trainer.batch_size"] == 16
    assert chosen(Facts(9, **CPU2))["trainer.batch_size"] == 4
    assert chosen(Facts(5000, **H200))["trainer.batch_size"] == GPU.batch
    assert chosen(Facts(5000, **{**H200, "memory": 2.0**32}))["trainer.batch_size"] < GPU.batch
    assert chosen(Facts(9, processes=8))["trainer.batch_size"] == 8  # one for each process


def test_a_gpu_computes_in_bf16_and_compiles_what_takes_long():
    values = chosen(Facts(50_000, **H200))
    assert (values["trainer.precision"], values["trainer.compile"]) == ("bf16", True)
    assert not chosen(Facts(50_000, minutes=20, **H200))["trainer.compile"]
    assert not chosen(Facts(50_000, **{**H200, "compiles": False}))["trainer.compile"]
    assert chosen(Facts(50_000, **{**H200, "bf16": False}))["trainer.precision"] == "fp32"
    values = chosen(Facts(50_000, **CPU2, compiles=True, bf16=False))
    assert (values["trainer.precision"], values["trainer.compile"]) == ("fp32", False)


@pytest.mark.parametrize("steps", [0, 1, 100, 3000, 10**6])
def test_the_ema_remembers_a_share_of_the_run(steps):
    decay = by_length(steps)["trainer.ema"]
    assert 0.9 <= decay <= 0.9999
    if steps == 3000:
        assert decay**45 == pytest.approx(0.5, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "dim"), [(16, 32), (32, 64)])
def test_the_cost_of_a_network_is_about_what_is_counted(size, dim):
    mults = stages_for(size)
    with torch.device("meta"):
        network = UNet(3, 3, dim=dim, dim_mults=mults)
    count = count_flops(network, (3, size, size))
    assert image_flops(size, dim, mults) == pytest.approx(count, rel=0.15)


def test_more_time_never_gives_a_smaller_network():
    sizes = [
        affordable_images(Facts(5000, minutes=each, **CPU2), 32, 32, [1]) for each in (1, 10, 100)
    ]
    assert sizes == sorted(sizes)
    costs = []
    for minutes in (1, 5, 10, 30, 60, 120, 240, 480):
        values = chosen(Facts(5000, minutes=minutes, **CPU2))
        mults = values["model.network.dim_mults"]
        costs.append(image_flops(values["data.size"], values["model.network.dim"], mults))
    assert costs[0] == min(costs)
    assert costs[-1] == max(costs)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (32, {"attention_at": [16], "blocks": 2}),
        (32, {"attention_at": [16, 8], "blocks": 3}),
        (64, {"attention_at": [32, 16, 8], "blocks": 3, "resample": "block"}),
    ],
)
def test_the_cost_of_a_reference_unet_is_counted_within_a_third(size, options):
    with torch.device("meta"):
        network = ReferenceUNet(3, 3, 0, (size, size), dim=64, dim_mults=[1, 2, 2], **options)
    expected = network_cost(reference(options)) * image_flops(size, 64, [1, 2, 2])
    assert count_flops(network, (3, size, size)) == pytest.approx(expected, rel=0.33)


def reference(options):
    return OmegaConf.create({"_target_": REFERENCE_UNET, **options})


def test_the_blocks_of_other_networks_tell_no_cost():
    assert network_cost(OmegaConf.create({"_target_": "mine.Net", "blocks": 9})) == 1
    assert network_cost(reference({"blocks": [2, 2]})) == 1


def test_a_network_that_costs_more_sees_fewer_images():
    facts = Facts(5000, **CPU2)
    assert choose(replace(facts, cost=2.9), ALL)["data.size"] <= chosen(facts)["data.size"]
