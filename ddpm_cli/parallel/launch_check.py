"""Checks of a launch: its processes, and what each would train on."""

from omegaconf import DictConfig

from ddpm_cli.hardware import check_compiler, find_device
from ddpm_cli.parallel.group import ProcessGroup


def check_launch(cfg: DictConfig, group: ProcessGroup) -> None:
    """Refuse processes of torchrun that would not train together or would get no image.

    Raises ValueError also if a compiler is missing.
    """
    trainer, count = cfg.trainer, group.count
    if trainer.compile is True:  # which is not yet chosen where it is `auto`
        check_compiler(find_device(trainer.device))
    if count > 1 and trainer.parallel != "ddp":
        which = f"trainer.parallel is {trainer.parallel!r}"
        raise ValueError(f"trainer=ddp is for {count} processes; {which}")
    if count > 1 and trainer.processes not in ("auto", 1, group.here, count):
        allowed = f"auto where torchrun has started {count}"
        raise ValueError(f"trainer.processes must be {allowed}, but is {trainer.processes}")
    check_batch_share(trainer.batch_size, count)


def check_batch_share(batch_size: int | str, count: int) -> None:
    """Refuse a batch that has no image for some of `count` processes; `auto` has enough."""
    if isinstance(batch_size, int) and batch_size < count:
        allowed = f"at least {count}, the processes there are"
        raise ValueError(f"trainer.batch_size must be {allowed}, but is {batch_size}")
