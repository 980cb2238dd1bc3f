"""State dicts of OpenAI's codes: what is refused by what it is, and the flags of what is not."""

import pytest
import torch
from omegaconf import OmegaConf

from ddpm_cli.foreign.entries import diffusers_entries, misfit, openai_entries, ours_of, theirs_of
from ddpm_cli.foreign.openai_file import refuse_others
from ddpm_cli.foreign.openai_flags import openai_flags
from ddpm_cli.networks.reference import ReferenceUNet

NETWORK = {
    "dim": 32,
    "dim_mults": [1, 2],
    "blocks": 1,
    "attention_at": [8],
    "head_dim": 16,
    "qkv": "heads",
}


@pytest.fixture(scope="module")
def own():
    """The tensors of a small reference UNet."""
    torch.manual_seed(0)
    return ReferenceUNet(3, 6, 0, (16, 16), **NETWORK).state_dict()


@pytest.fixture
def state(own):
    """The tensors by OpenAI's names."""
    return theirs_of(openai_entries(own), own)


@pytest.mark.parametrize("program", ["openai", "diffusers"])
def test_tensors_go_both_ways_bit_for_bit(own, program):
    entries = openai_entries(own) if program == "openai" else diffusers_entries(own, NETWORK)
    state = theirs_of(entries, own)
    assert misfit(entries, state) == ""
    assert sum(each.numel() for each in state.values()) == sum(map(torch.numel, own.values()))
    back = ours_of(entries, state, own)
    assert back.keys() == own.keys()
    assert all(torch.equal(back[name], own[name]) for name in own)


def test_features_ordered_by_heads_are_taken_apart_for_diffusers(own):
    parts = theirs_of(diffusers_entries(own, NETWORK), own)
    whole = own["middle.1.qkv.weight"].reshape(4, 3, 16, 64)  # heads, q k v, features, inputs
    for place, name in enumerate(("to_q", "to_k", "to_v")):
        part = parts[f"mid_block.attentions.0.{name}.weight"]
        assert torch.equal(part, whole[:, place].reshape(64, 64))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda state: {n: each for n, each in state.items() if "output_blocks" not in n},
            "it is a classifier, which draws no images",
        ),
        (
            lambda state: {**state, "input_blocks.0.0.weight": torch.zeros(32, 6, 3, 3)},
            "it is an upsampler, which draws from a small image (it has 6 channels in, 6 out)",
        ),
        (
            lambda state: {f"model.diffusion_model.{name}": state[name] for name in state},
            "it is a latent diffusion model, of no images",
        ),
        (lambda state: {"conv_in.weight": torch.zeros(1)}, "it is a network of diffusers: name"),
        (lambda state: {"ema.stem.weight": torch.zeros(1)}, "it is a checkpoint of ddpm-train"),
        (lambda state: {"model.enc.a": torch.zeros(1)}, "(model.enc.a, ...) are of no network"),
    ],
)
def test_weights_of_other_kinds_are_refused_by_what_they_are(state, change, told):
    refuse_others(state)
    with pytest.raises(ValueError, match="it") as error:
        refuse_others(change(state))
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"out.0.bias": None}, "out.0.bias is missing"),
        ({"label_emb.weight": (5, 128)}, "label_emb.weight is one tensor too many"),
        (
            {"input_blocks.1.0.emb_layers.1.weight": (64, 128)},
            "input_blocks.1.0.emb_layers.1.weight must be [32, 128], but is [64, 128]",
        ),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(own, state, change, told):
    for name, shape in change.items():
        state[name] = None if shape is None else torch.zeros(shape)
    state = {name: each for name, each in state.items() if each is not None}
    assert misfit(openai_entries(own), state) == told


def flags_of(composed, like, **changes):
    cfg = composed("import", f"like={like}")
    for name, value in changes.items():
        OmegaConf.update(cfg, name, value)
    config = OmegaConf.create({"model": cfg.model, "schedule": cfg.schedule})
    return openai_flags(config, [3, cfg.size, cfg.size], cfg.classes)


def test_the_flags_of_a_like_are_those_that_its_paper_names(composed):
    package, flags = flags_of(composed, "adm_64")
    assert package == "guided_diffusion"
    assert flags["attention_resolutions"] == "32,16,8"
    assert flags["resblock_updown"] and flags["use_new_attention_order"] and flags["class_cond"]
    assert (flags["num_head_channels"], "channel_mult" in flags) == (64, False)
    package, flags = flags_of(composed, "iddpm_cifar10")
    assert (package, flags["rescale_timesteps"]) == ("improved_diffusion", True)
    assert (flags["diffusion_steps"], flags["noise_schedule"]) == (4000, "cosine")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("model.predicts", "v", "model.predicts must be eps or x0, but is 'v'"),
        ("model.time_scale", 0.5, "model.time_scale must be 1, or 1 (1000 / T), but is 0.5"),
        ("model.variance", "small", "model.variance must be large or learned for this network"),
        ("model.network.groups", 16, "model.network.groups must be 32, but is 16"),
        ("model.network.dim_mults", [0.5, 1], "dim_mults must be whole numbers, but is [0.5, 1]"),
        ("schedule.zero_snr", True, "schedule.zero_snr must be false, but is true"),
        ("schedule.last", 0.03, "schedule must be linear from 1e-4 to 0.02, or cosine"),
    ],
)
def test_what_openais_codes_cannot_hold_is_refused_with_the_option(composed, name, value, told):
    with pytest.raises(ValueError, match="must be ") as error:
        flags_of(composed, "adm_256", **{name: value})
    assert told in str(error.value)
