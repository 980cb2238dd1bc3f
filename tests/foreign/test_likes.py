"""Every like is the network of a public checkpoint, by its number of parameters."""

import pytest
import torch

from ddpm_cli.commands.importing import likes
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.foreign.model import numbered_classes, outline

PARAMETERS = {
    "iddpm_cifar10": 52_546_438,
    "iddpm_imagenet64": 121_063_942,
    "iddpm_imagenet64_cond": 273_049_350,
    "iddpm_lsun": 118_798_470,
    "iddpm_lsun_added": 113_676_678,
    "adm_64": 295_904_454,
    "adm_128": 421_529_606,
    "adm_256": 553_838_086,
    "adm_256_uncond": 552_814_086,
    "adm_512": 558_997_638,
    "adm_lsun": 552_814_086,
}
CLASSES = ("iddpm_imagenet64_cond", "adm_64", "adm_128", "adm_256", "adm_512")


def test_every_like_has_a_number():
    assert {path.stem for path in (CONFIG_DIR / "like").glob("*.yaml")} == {*PARAMETERS}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_like_has_the_parameters_of_its_checkpoint(composed, name):
    cfg = composed("import", f"like={name}")
    assert cfg.classes == 1000 * (name in CLASSES)
    assert cfg.schedule.steps == (4000 if "iddpm" in name and "lsun" not in name else 1000)
    assert cfg.model.time_scale == (0.25 if name in ("iddpm_cifar10", "iddpm_imagenet64") else 1)
    tensors = outline(cfg, [3, cfg.size, cfg.size], numbered_classes(cfg.classes))
    assert sum(each.numel() for each in tensors.values()) == PARAMETERS[name]


def test_a_like_of_another_network_or_without_a_group_is_refused(composed, monkeypatch):
    state = {"input_blocks.0.0.weight": torch.zeros(8, 3, 3, 3)}
    cfg = composed("import", "like=adm_64")
    cfg.model.network._target_ = "ddpm_cli.networks.unet.UNet"
    monkeypatch.setattr(likes, "compose_present", lambda *_: cfg)
    assert not likes.is_like("mine", state)
    named = {"size": 8, "classes": 0, "origin": {}}
    told = (
        "like needs the network of model=ho, iddpm or adm, but model.network is ddpm_cli.networks"
    )
    with pytest.raises(ValueError, match=told):
        likes.like_model(cfg, state, **named)
    del cfg.schedule
    with pytest.raises(ValueError, match="like must give model and schedule, but has no schedule"):
        likes.like_model(cfg, state, **named)
    assert not likes.is_like("mine", state)
