"""A length of a run that the user types takes the place of lengths in YAML files."""

from collections.abc import Sequence

from omegaconf import DictConfig

LENGTHS = ("trainer.steps", "trainer.epochs", "trainer.minutes")
BEFORE_STEPS = LENGTHS[1:]  # which take the place of the steps unless they are null


def has_typed_length(overrides: Sequence[str]) -> bool:
    """Whether an override gives a length; null gives none."""
    pairs = (each.lstrip("+").partition("=")[::2] for each in overrides)
    return any(name in LENGTHS and value.lower() not in ("null", "none") for name, value in pairs)


def untyped_lengths(overrides: Sequence[str]) -> list[str]:
    """The lengths in YAML files that give way to the length of an override."""
    typed = {each.lstrip("+").partition("=")[0] for each in overrides}
    return [key for key in BEFORE_STEPS if has_typed_length(overrides) and key not in typed]


def clear_untyped_lengths(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Set epochs and minutes that come from YAML files to null if an override gives a length."""
    trainer = cfg.get("trainer")
    for key in untyped_lengths(overrides):
        name = key.removeprefix("trainer.")
        if isinstance(trainer, DictConfig) and name in trainer:
            trainer[name] = None
