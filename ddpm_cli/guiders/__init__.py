"""Guiders: how two estimates become one, over one contract; a sampler follows the result."""

from ddpm_cli.guiders.apg import apg
from ddpm_cli.guiders.cfg import autoguidance, cfg
from ddpm_cli.guiders.cfg_zero import cfg_zero
from ddpm_cli.guiders.contract import Guider
from ddpm_cli.guiders.interval import interval, limited_to, within_interval
from ddpm_cli.guiders.model_pair import ModelPair, beside_guide, with_and_without_label
