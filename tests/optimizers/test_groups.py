"""Groups of parameters by patterns, and parameters that are not trained."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from training_problem import fresh, named, trained, trainer, weights

from ddpm_cli.networks.unet import UNet
from ddpm_cli.optimizers import Muon
from ddpm_cli.optimizers.groups import build_optimizer, freeze, group_names, groups_text

ADAMW = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1)
NOTHING = nn.Module()


def network():
    return UNet(1, 1, 3, dim=8, dim_mults=(1, 2))


def names_of(pattern):
    return group_names(network(), NOTHING, [{"match": pattern}])[1]


def test_a_pattern_is_a_name_a_part_or_has_stars():
    assert names_of("stem.weight") == ["stem.weight"]
    assert names_of("stem") == ["stem.weight", "stem.bias"]
    assert names_of("down.0.first") == [name for name in names_of("*") if "down.0.first." in name]
    assert names_of("time.?.bias") == ["time.1.bias", "time.3.bias"]


def test_kinds_are_matrices_vectors_and_tables():
    sizes = dict(network().named_parameters())
    assert names_of("tables") == ["label.weight"]
    assert names_of("vectors") == [name for name, each in sizes.items() if each.ndim == 1]
    assert {*names_of("matrices")} == {*sizes} - {*names_of("vectors"), "label.weight"}


def test_a_parameter_belongs_to_the_first_group_that_matches():
    groups = [{"match": "stem.bias"}, {"match": "vectors"}]
    rest, first, second = group_names(network(), NOTHING, groups)
    assert first == ["stem.bias"]
    assert second == [name for name in names_of("vectors") if name != "stem.bias"]
    assert {*rest} == {*names_of("matrices"), *names_of("tables")}


def test_the_parameters_of_a_loss_are_named_too():
    names = group_names(network(), nn.Linear(2, 2), [{"match": "loss.*"}])
    assert names[1] == ["loss.weight", "loss.bias"]


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (
            [{"match": "steam"}],
            r"trainer.parameter_groups\[0\].match: 'steam' matches no parameter; did you mean stem",
        ),
        ([{"match": "x"}], "'x' matches no parameter; there are stem, time, label, down, shrink"),
        (
            [{"match": "vectors"}, {"match": "stem.bias"}],
            r"groups\[1\].match='stem.bias' matches only parameters of the groups before it",
        ),
    ],
)
def test_a_group_without_parameters_is_refused_with_names(groups, told):
    with pytest.raises(ValueError, match=told):
        group_names(network(), NOTHING, groups)


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ({"lr": 1}, r"parameter_groups\[0\].match must be a pattern of names, or one of matrices"),
        ({"match": 1}, "match must be a pattern of names, or one of matrices, vectors, tables"),
        ({"match": "*", "lrr": 1}, r"\[0\].lrr is not an option of a group; did you mean lr\?"),
        ({"match": "*", "fused": True}, r"\[0\].fused is not an option of a group"),
        ({"match": "*", "lr": "x"}, r"\[0\].lr must be float, but is 'x'"),
        ({"match": "*", "lr": -1.0}, r"parameter_groups\[0\]: Invalid learning rate: -1.0"),
    ],
)
def test_an_option_that_is_none_of_a_group_is_refused(group, told):
    with pytest.raises(ValueError, match=told):
        trainer(parameter_groups=[group])


def test_norms_and_biases_do_not_decay_if_a_group_says_so():
    groups = [{"match": "vectors", "weight_decay": 0.0}]
    first, second = build_optimizer(ADAMW, network(), NOTHING, groups).param_groups
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)
    assert {each.ndim for each in second["params"]} == {1}
    assert 1 not in {each.ndim for each in first["params"]}


def grouped(groups, **options):
    """The tiny problem with groups of parameters."""
    state = fresh(**options)
    kind = partial(torch.optim.AdamW, lr=1e-2, fused=True)
    inside, module = state.denoiser.network, state.loss_module
    state.optimizer = build_optimizer(kind, inside, module, groups)
    state.parameters = [each for group in state.optimizer.param_groups for each in group["params"]]
    return state


def test_each_group_keeps_its_ratio_through_warm_up_decay_and_a_roll_back():
    state = grouped([{"match": "down", "lr": 1e-3}])
    state.lr_scale = 0.5
    recipe = trainer()
    for stop in (1, 2, 7):  # while the rate rises, at its height, and while it falls
        *_, progress = trained(state, replace(recipe, stop_at=stop))
        rates = [float(group["lr"]) for group in state.optimizer.param_groups]
        factor = 0.5 * recipe.lr_factor(stop - 1, 10)
        assert progress.lr == pytest.approx(1e-2 * factor)
        assert rates == pytest.approx([1e-2 * factor, 1e-3 * factor])


def test_equal_groups_train_as_one_does():
    one, many = fresh(), grouped([{"match": "vectors"}, {"match": "up.*"}])
    for state in (one, many):  # a norm to clip by would be a sum in another order
        trained(state, trainer(grad_clip=None))
    assert torch.equal(weights(one.denoiser.network), weights(many.denoiser.network))
    assert list(named(one)) == list(named(many))


def test_a_group_at_rate_0_stays_as_it_is():
    state = grouped([{"match": "down", "lr": 0.0}])
    before = {name: each.clone() for name, each in state.denoiser.network.named_parameters()}
    trained(state, trainer())
    same = {
        name
        for name, each in state.denoiser.network.named_parameters()
        if torch.equal(each, before[name])
    }
    assert same == {name for name in before if name.startswith("down.")}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_frozen_parameters_get_no_gradient_and_no_state(precision):
    state = fresh()
    inside = state.denoiser.network
    freeze(inside, ["down", "vectors"])
    before = {name: each.clone() for name, each in inside.named_parameters()}
    trained(state, trainer(precision=precision))
    for name, each in inside.named_parameters():
        is_frozen = name.startswith("down.") or each.ndim == 1
        assert torch.equal(each, before[name]) == is_frozen, name
        assert (each.grad is None) == is_frozen
        assert bool(state.optimizer.state.get(each)) != is_frozen
    averages = dict(state.ema.named_parameters())
    assert all(
        torch.equal(averages[name], before[name]) for name in before if name.startswith("down.")
    )


@pytest.mark.parametrize(
    ("patterns", "told"),
    [
        (["dwn"], "trainer.freeze: 'dwn' matches no parameter; did you mean down"),
        (["vectors", "m*", "*"], r"trainer.freeze=\['vectors', 'm\*', '\*'\] leaves no parameter"),
    ],
)
def test_patterns_that_freeze_nothing_or_everything_are_refused(patterns, told):
    with pytest.raises(ValueError, match=told):
        freeze(network(), patterns)


def test_the_summary_names_shares_and_rates():
    inside, groups = network(), [{"match": "down", "lr": 1e-3}]
    text = groups_text(build_optimizer(partial(Muon, lr=0.01), inside, NOTHING, groups))
    assert text.startswith("Muon, ")
    assert text.count("orthogonal at 0.01") == text.count("orthogonal at 0.001") == 1
