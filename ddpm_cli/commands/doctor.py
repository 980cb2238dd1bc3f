"""`ddpm-doctor`: the checks of a training run alone; it trains nothing."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.train.checks import preflight_findings
from ddpm_cli.commands.train.command import train
from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.console import fact, logging_to
from ddpm_cli.hardware import deterministic_kernels, find_device, words_for_full_memory
from ddpm_cli.parallel import join_group
from ddpm_cli.preflight.resources import FULL_MEMORY


def doctor(cfg: DictConfig, invocation: Invocation) -> bool:
    """Log the findings of every check. Raises ValueError if a training run would stop."""
    return train(cfg, invocation, doctor_in_process)


@words_for_full_memory(FULL_MEMORY)
def doctor_in_process(
    plain: dict[Any, Any], invocation: Invocation, features: Mapping[str, Any]
) -> bool:
    """Run the checks in this process, which may be one of a group."""
    cfg, errors = OmegaConf.create(plain), list[str]()
    device = find_device(cfg.trainer.device)
    with (
        join_group(device) as group,
        logging_to(None, group.rank == 0),
        deterministic_kernels(cfg.trainer.deterministic, device),
    ):
        for each in preflight_findings(set_up_run(cfg, invocation, group, features)):
            fact(each.level, each.text)
            errors += [each.text] * (each.level == "error")
        if errors:
            raise ValueError(f"ddpm-train would stop here: {errors[0]}")
    return True
