"""The check of options that no choice of a recipe could mend, before images are looked for."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.components import build_diffusion, build_loss, build_time_sampler
from ddpm_cli.config.auto import fill_fixed
from ddpm_cli.config.build import bind, bind_options, build
from ddpm_cli.data import Preparation
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.training import try_optimizer


def check_options(cfg: DictConfig) -> None:
    """Build the cheap parts of a run, with fixed values where options hold `auto`."""
    fixed = deepcopy(cfg)
    fill_fixed(fixed)
    build(fixed, "trainer", try_optimizer(bind(fixed, "trainer.optimizer")))
    bind_options(Preparation, fixed.data)()
    build_time_sampler(fixed, build_diffusion(fixed))
    build_loss(fixed)
    check_label_dropout(fixed)


def check_label_dropout(cfg: DictConfig) -> None:
    """Refuse to hide labels from a network that needs a label for every image."""
    select = partial(OmegaConf.select, cfg)
    needs_label = select("model.conditional") and select("model.network.null_label") is False
    if needs_label and cfg.trainer.label_dropout > 0:
        rule = f"trainer.label_dropout={cfg.trainer.label_dropout} hides labels"
        remedy = "use trainer.label_dropout=0, or null_label=true"
        fault = "model.network.null_label=false needs a label for every image"
        raise ValueError(f"{rule}, but {fault}; {remedy}")


def check_attention(cfg: DictConfig, shape: Sequence[int]) -> Iterator[Finding]:
    """Check that maps of images [C, H, W] have the sides at which the network shall attend."""
    name, select = "model.network.attention_at", partial(OmegaConf.select, cfg)
    wanted, stages = select(name) or (), len(select("model.network.dim_mults") or ())
    sides = list(dict.fromkeys(side // 2**stage for stage in range(stages) for side in shape[1:]))
    if missing := [each for each in wanted if each not in sides]:
        there = f"the sides are {', '.join(map(str, sides))}"
        yield Finding("warning", f"{name}: no maps have {', '.join(map(str, missing))}; {there}")
