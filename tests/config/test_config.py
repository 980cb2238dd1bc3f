"""From a node to an object: what is checked, and what may be called."""

import pytest
import torch
from omegaconf import OmegaConf

from ddpm_cli import config
from ddpm_cli.commands.train.command import Options
from ddpm_cli.config.build import GROUPS
from ddpm_cli.samplers import Grid


def test_a_node_becomes_what_its_target_returns(composed):
    cfg = composed("train", "schedule=linear", "schedule.steps=100")
    assert len(config.build(cfg, "schedule")) == 100
    assert config.bind(cfg, "loss").func.__name__ == "l2"
    assert config.bind_options(Grid, cfg.sampler)().steps == 50


def test_a_nested_node_is_left_out_of_its_parents_call(composed):
    assert set(config.bind(composed("train"), "model").keywords) == {
        "predicts",
        "variance",
        "conditional",
        "time_scale",
    }


def test_whole_numbers_are_numbers(composed):
    cfg = composed("train", "sampler.eta=1", "trainer.ema=0")
    config.parse_options(cfg, Options, groups=GROUPS)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "+model.network.in_channels=3",
            "model.network.in_channels is not an option of ddpm_cli.networks.unet.UNet; ",
        ),
        (
            "+sampler.etta=1",
            "sampler.etta is not an option of ddpm_cli.samplers.ddim; did you mean eta?",
        ),
        ("+data.sise=1", "data.sise is not an option of ddpm_cli.data.digits; did you mean size?"),
        ("~schedule.steps", None),
        ("~data.size", "data.size must be given"),
        (
            "~data._target_",
            "data._target_ must name a function or class of ddpm_cli.data, but is null",
        ),
        ("trainer.steps=true", "trainer.steps must be int or auto, but is true"),
        ("trainer.steps=null", "trainer.steps must be int or auto, but is null"),
        ("trainer.steps=nan", "trainer.steps must be int or auto, but is nan"),
        ("data.size=[8,null]", "data.size must be int or a list of int or auto, but is [8, null]"),
        ("trainer.minutes=inf", "trainer.minutes must be a finite number or null, but is inf"),
        (
            "trainer.optimizer.betas=[nan,0.9]",
            "trainer.optimizer.betas must be a list of 2 finite numbers, but is [nan, 0.9]",
        ),
        (f"trainer.steps=1{400 * '0'}", "trainer.steps must be int or auto, but is 1000"),
        ("trainer.epochs=x", "trainer.epochs must be int or null, but is 'x'"),
        ("sampler.steps=some", "sampler.steps must be int or all, but is 'some'"),
        (
            "model.network.dim_mults=4",
            "model.network.dim_mults must be a list of int or auto, but is 4",
        ),
        (
            "trainer.optimizer.betas=[0.9]",
            "trainer.optimizer.betas must be a list of 2 float, but is [0.9]",
        ),
        ("seed=one", "seed must be int, but is 'one'"),
        ("trust=os", "trust must be a list of str, but is 'os'"),
    ],
)
def test_every_option_is_checked_before_anything_is_called(composed, override, told):
    cfg = composed("train", override)
    if told is None:
        config.parse_options(cfg, Options, groups=GROUPS)
        return
    with pytest.raises(ValueError, match="^" + __import__("re").escape(told)):
        config.parse_options(cfg, Options, groups=GROUPS)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("model", "os.system"),
        ("model", "builtins.eval"),
        ("data", "ddpm_cli.data.os.system"),
        ("data", "urllib.request.urlopen"),
        ("data", "ddpm_cli.data.preparation.os"),
        ("model.network", "ddpm_cli.networks.unet.partial"),
        ("model.network", "ddpm_cli.networks.unet.torch.load"),
        ("model.network", "ddpm_cli.networks"),
        ("trainer.optimizer", "torch.optim.sgd.torch.hub.load"),
        ("trainer.optimizer", "torch.optimizers.Evil"),
        ("loss", "ddpm_cli.schedules.linear"),
        ("sampler", "ddpm_cli.samplers.none"),
        ("sampler", 7),
    ],
)
def test_names_outside_their_room_are_never_called(composed, key, name):
    cfg = composed("train")
    OmegaConf.update(cfg, f"{key}._target_", name)
    room = config.TARGET_PREFIXES[key][:-1]
    with pytest.raises(
        ValueError,
        match=rf"^{key}._target_ must name a function or class of {room}( or \S+)?, but is ",
    ):
        config.check_groups(cfg, key)


def test_a_module_of_ones_own_is_called_only_where_it_is_trusted(composed, tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(
        "def mine(denoiser, batch, *, power: float = 2.0):\n    return batch.x0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    cfg = composed("train")
    cfg.loss = {"_target_": "own_losses.mine", "power": 3.0}
    with pytest.raises(ValueError, match=r"a module of your own is trusted by"):
        config.bind(cfg, "loss")
    cfg.trust = ["own_losses"]
    assert config.bind(cfg, "loss").keywords == {"power": 3.0}


def test_the_errors_of_a_target_name_its_node(composed):
    with pytest.raises(
        ValueError, match=r"^schedule: steps must be at least 1 and at most 1,000,000, but is 0"
    ):
        config.build(composed("train", "schedule.steps=0"), "schedule")


def test_optimizers_take_their_own_options(composed):
    optimizer = config.bind(composed("train", "trainer.optimizer.lr=0.5"), "trainer.optimizer")
    assert optimizer([torch.nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] == 0.5


def test_differences_are_named_by_their_keys():
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 4}
    assert list(config.option_differences(old, new)) == [
        ("a.c", 2, 5),
        ("d", 3, None),
        ("e", None, 4),
    ]


def test_the_loss_of_a_learned_variance_is_hybrid_where_it_is_auto(composed):
    targets = [
        composed("train", *choices).loss._target_.rpartition(".")[2]
        for choices in (["model=ho"], ["model=iddpm"], ["model=iddpm", "loss=vlb"])
    ]
    assert targets == ["l2", "hybrid", "vlb"]
