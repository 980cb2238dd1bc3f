"""A length of a run that the user types takes the place of lengths in YAML files."""

from collections.abc import Sequence

from omegaconf import DictConfig

LENGTHS = ("trainer.steps", "trainer.epochs", "trainer.minutes")
BEFORE_STEPS = LENGTHS[1:]  # which take the place of the steps unless they are null


def has_typed_length(overrides: Sequence[str]) -> bool:
    """Whether an override gives a length; null gives none."""
    pairs = (each.lstrip("+").partition("=")[::2] for each in overrides)
    return any(name in LENGTHS and value.lower() not in ("null", "none") for name, value in pairs)


def clear_untyped_lengths(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Set epochs and minutes that come from YAML files to null if an override gives a length."""
    trainer = cfg.get("trainer")
    if not (isinstance(trainer, DictConfig) and has_typed_length(overrides)):
        return
    typed = {each.lstrip("+").partition("=")[0] for each in overrides}
    for key in BEFORE_STEPS:
        name = key.removeprefix("trainer.")
        if key not in typed and name in trainer:
            trainer[name] = None
