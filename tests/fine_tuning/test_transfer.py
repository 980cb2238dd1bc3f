"""Weights of a checkpoint in a network with other channels, classes or variance."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from problems import filled
from small_networks import SMALL_NETWORKS, small_network

from ddpm_cli import schedules
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints.faults import WORD
from ddpm_cli.components import build_denoiser, build_diffusion
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.fine_tuning import start
from ddpm_cli.fine_tuning.channels import channel_sources
from ddpm_cli.fine_tuning.classes import class_sources
from ddpm_cli.fine_tuning.initial_weights import InitialWeights, initial_text
from ddpm_cli.fine_tuning.interface import Interface, interface_axes
from ddpm_cli.fine_tuning.transfer import take_weights
from ddpm_cli.networks.unet import UNet

DIFFUSION = GaussianDiffusion.from_betas(schedules.cosine(steps=10))
TIME = torch.tensor([3.0, 8.0])


def network(interface, **options):
    outputs = interface.channels * interface.halves
    widths = {"dim": 8, "dim_mults": (1, 2), **options}
    return UNet(interface.channels, outputs, len(interface.classes), **widths)


def initial(old, **options):
    """The network of an interface with drawn weights, and these weights as a checkpoint's."""
    torch.manual_seed(0)
    before = network(old, **options).eval()
    model = {"conditional": bool(old.classes), "variance": old.variance}
    about = {"fingerprint": "", "shape": [old.channels, 8, 8], "step": 7, "steps": 7}
    config = OmegaConf.create({"model": model})
    checkpoint = Checkpoint(
        config, classes=[*old.classes], tensors={}, **about, path=Path("a/b.pt")
    )
    return before, InitialWeights(checkpoint, "ema", before.state_dict(), "b.pt", "")


def continued(old, new):
    """A network before, the network that continues it, and what is recorded."""
    before, weights = initial(old)
    torch.manual_seed(1)
    after = network(new).eval()
    return before, after, take_weights(after, weights, new, network)


def images(channels):
    torch.manual_seed(2)
    return torch.randn(2, channels, 8, 8)


def test_an_equal_network_is_taken_whole():
    same = Interface(1, ["a", "b"], "learned")
    before, after, facts = continued(same, same)
    own, theirs = before.state_dict(), after.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    assert facts == {"tensors": f"{len(own)} of {len(own)}", "changes": ""}


def test_colour_begins_as_grey_in_its_red_channel_and_zero_in_the_others():
    before, after, facts = continued(Interface(1, [], "small"), Interface(3, [], "small"))
    x = images(3)
    out = after(x, TIME)
    torch.testing.assert_close(out[:, :1], before(x[:, :1], TIME))
    assert not out[:, 1:].any()
    assert facts["changes"] == "channels 1 -> 3 in stem.weight, head.1.weight, head.1.bias"


def test_grey_begins_as_the_mean_of_equal_colours():
    before, after, _ = continued(Interface(3, [], "small"), Interface(1, [], "small"))
    x = images(1)
    colours = before(x.expand(-1, 3, -1, -1), TIME)
    torch.testing.assert_close(after(x, TIME), colours.mean(1, keepdim=True))


@pytest.mark.parametrize("variance", ["small", "large"])
def test_a_learned_variance_begins_as_the_fixed_one(variance):
    before, after, _ = continued(Interface(2, [], variance), Interface(2, [], "learned"))
    one = Denoiser(DIFFUSION, before, variance=variance)(images(2), 3)
    other = Denoiser(DIFFUSION, after, variance="learned")(images(2), 3)
    torch.testing.assert_close(other.x0, one.x0)
    assert (other.variance_interpolation == one.variance_interpolation).all()


def test_a_fixed_variance_drops_the_learned_one():
    before, after, _ = continued(Interface(2, [], "learned"), Interface(2, [], "large"))
    torch.testing.assert_close(after(images(2), TIME), before(images(2), TIME)[:, :2])


def test_channels_of_a_learned_variance_are_fitted_in_both_halves():
    before, after, _ = continued(Interface(3, [], "learned"), Interface(4, [], "learned"))
    x = images(4)
    out, was = after(x, TIME), before(x[:, :3], TIME)
    torch.testing.assert_close(out[:, :3], was[:, :3])
    torch.testing.assert_close(out[:, 4:7], was[:, 3:])
    torch.testing.assert_close(out[:, 7], was[:, 3:].mean(1))


def test_rows_of_labels_follow_the_names_of_classes():
    old, new = Interface(1, ["cat", "dog", "owl"], "small"), Interface(1, ["ant", "cat"], "small")
    before, after, facts = continued(old, new)
    rows = before.label.weight
    expected = torch.stack([rows[:3].mean(0), rows[0], rows[3]])
    torch.testing.assert_close(after.label.weight, expected)
    assert facts["changes"] == "labels: 1 of 2 classes by name, 1 new (the mean of 3)"


def test_rows_of_as_many_classes_are_exchanged_by_name():
    old, new = Interface(1, ["cat", "dog"], "small"), Interface(1, ["dog", "cat"], "small")
    before, after, _ = continued(old, new)
    assert torch.equal(after.label.weight, before.label.weight[[1, 0, 2]])


def test_new_labels_change_nothing_at_first():
    before, after, facts = continued(Interface(1, [], "small"), Interface(1, ["a", "b"], "small"))
    for label in ([0, 1], [-1, 0]):
        torch.testing.assert_close(
            after(images(1), TIME, torch.tensor(label)), before(images(1), TIME)
        )
    assert facts["changes"] == "labels: 2 new (zero)"


def test_a_network_without_a_row_for_no_label_gets_the_mean():
    old = Interface(1, ["a", "b"], "small")
    before, weights = initial(old)
    weights.tensors["label.weight"] = before.label.weight[:2].detach()
    after = network(old)
    take_weights(after, weights, old, network)
    torch.testing.assert_close(after.label.weight[2], before.label.weight[:2].mean(0))


def test_labels_that_are_left_out_are_told():
    _, _, facts = continued(Interface(1, ["a"], "small"), Interface(1, [], "small"))
    assert facts["changes"] == "left out: label.weight"


def test_less_than_half_of_a_network_is_refused():
    plain = Interface(1, [], "small")
    _, weights = initial(plain)
    wider = network(plain, dim=16)
    before = {name: each.clone() for name, each in wider.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"^init: b.pt has only 4 of 135 tensors, 1% of the"
    ) as error:
        take_weights(wider, weights, plain, lambda each: network(each, dim=16))
    assert "stem.bias is [4] and must be [10]; name no option of model, and" in str(error.value)
    assert all(torch.equal(before[name], each) for name, each in wider.state_dict().items())


def test_what_a_checkpoint_lacks_stays_as_drawn():
    plain = Interface(1, [], "small")
    _, weights = initial(plain)
    weights.tensors.pop("head.1.bias")
    after = network(plain)
    drawn = after.head[1].bias.detach().clone()
    facts = take_weights(after, weights, plain, network)
    assert torch.equal(after.head[1].bias, drawn)
    assert facts == {"tensors": "134 of 135", "changes": "drawn: head.1.bias"}


def test_what_a_checkpoint_lacks_is_never_frozen():
    plain = Interface(1, [], "small")
    _, weights = initial(plain)
    weights.tensors.pop("head.1.bias")
    after = network(plain)
    after.head.requires_grad_(False)
    with pytest.raises(ValueError, match=r"trainer.freeze holds head.1.bias, which b.pt lacks"):
        take_weights(after, weights, plain, network)


def test_bands_of_images_stand_for_one_another():
    assert channel_sources(1, 3) == [[0], [], []]
    assert channel_sources(2, 4) == [[0], [], [], [1]]
    assert channel_sources(4, 2) == [[0, 1, 2], [3]]
    assert channel_sources(3, 5) == [[0], [1], [2], [], []]


def test_classes_of_other_names_are_the_same_by_place_if_they_are_as_many():
    assert class_sources(["0", "1"], ["a", "b"]) == [0, 1]
    assert class_sources(["0", "1", "2"], ["a", "b"]) == [None, None]


def test_axes_are_found_by_outlines_alone():
    axes = interface_axes(network, Interface(3, ["a"], "small"))
    assert axes.inputs == {"stem.weight": 1}
    assert axes.outputs == {"head.1.weight": 0, "head.1.bias": 0}
    assert axes.classes == {"label.weight": 0}


def test_a_network_of_one_number_of_channels_has_no_axes():
    def outline(interface):
        if interface != Interface(3, [], "small"):
            raise ValueError("three channels alone")
        return network(interface)

    assert interface_axes(outline, Interface(3, [], "small")).names == set()


def test_first_weights_in_words():
    facts = {"source": "a.safetensors", "step": "1200", "weights": "raw", "tensors": "46 of 48"}
    assert initial_text(facts) == "from a.safetensors (step 1200, raw weights), 46 of 48 tensors"
    assert initial_text({}) == ""


def test_what_is_recorded_of_changes_fits_into_a_checkpoint(composed, monkeypatch):
    many = (f"model.network.option_{place}: {'x' * 150}" for place in range(100))
    monkeypatch.setattr(start, "option_changes", lambda *_: many)
    plain = Interface(1, [], "small")
    before, weights = initial(plain)
    denoiser = Denoiser(DIFFUSION, before)
    facts = start.start_from(weights, denoiser, composed("train"), [1, 8, 8], [])
    assert 1000 < len(facts["changes"]) < WORD


@pytest.mark.parametrize("choice", sorted(SMALL_NETWORKS))
def test_every_network_continues_with_other_channels_variance_and_classes(composed, choice):
    cfg = composed("train", *small_network(choice), "model.conditional=true")
    cfg.model.predicts, cfg.model.variance = "eps", "small"
    diffusion = build_diffusion(cfg)

    def denoiser(channels, classes, variance):
        cfg.model.variance = variance
        return build_denoiser(cfg, diffusion, [channels, 8, 8], len(classes))

    before = denoiser(1, "ab", "small")
    filled(before.network)
    about = {"fingerprint": "", "shape": [1, 8, 8], "step": 0, "steps": 0, "tensors": {}}
    checkpoint = Checkpoint(cfg.copy(), classes=["a", "b"], **about)
    state = before.network.eval().state_dict()
    weights = InitialWeights(checkpoint, "ema", state, "b.pt", "")
    checkpoint.config.model.variance = "small"
    after = denoiser(3, "cba", "learned")
    cfg.model.variance = "learned"
    facts = start.start_from(weights, after, cfg, [3, 8, 8], ["c", "b", "a"])
    x, old, new = images(3), torch.tensor([0, -1]), torch.tensor([2, -1])
    with torch.no_grad():
        one, other = before(x[:, :1], 3, old), after.network.eval() and after(x, 3, new)
    torch.testing.assert_close(other.output[:, :1], one.output)
    assert not other.output[:, 1:].any()
    assert (other.variance_interpolation == 0).all()
    assert "channels 1 -> 3, variance small -> learned in" in facts["changes"]
    assert "labels: 2 of 3 classes by name, 1 new (the mean of 2)" in facts["changes"]
