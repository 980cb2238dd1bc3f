"""`ddpm-doctor`: the checks of a training run alone; it trains nothing and writes nothing."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.train.checks import preflight_findings
from ddpm_cli.commands.train.command import train
from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.console import fact, logging_to
from ddpm_cli.hardware import find_device
from ddpm_cli.parallel import join_group


def doctor(cfg: DictConfig, invocation: Invocation) -> bool:
    """Log the findings of every check. Raises ValueError if a training run would stop."""
    return train(cfg, invocation, doctor_in_process)


def doctor_in_process(
    plain: dict[Any, Any], invocation: Invocation, features: Mapping[str, Any]
) -> bool:
    """Run the checks in this process, which may be one of a group."""
    cfg, errors = OmegaConf.create(plain), list[str]()
    with join_group(find_device(cfg.trainer.device)) as group, logging_to(None, group.rank == 0):
        for each in preflight_findings(set_up_run(cfg, invocation, group, features)):
            fact(each.level, each.text)
            errors += [each.text] * (each.level == "error")
        if errors:
            raise ValueError(f"ddpm-train would stop here: {errors[0]}")
    return True
