"""A check of a run on a CPU that takes long, with the command of a run that ends in time."""

from collections.abc import Iterator

from ddpm_cli.config.invocation import LENGTHS, ONE_COMMAND, Invocation
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.recipes.values import HOURS
from ddpm_cli.text import duration_text

LONG = 3600.0  # seconds from which a run on a CPU causes a warning


def check_patience(seconds: float, invocation: Invocation, has_epochs: bool) -> Iterator[Finding]:
    """Warn of a run that takes more than an hour, with a command that ends tonight or in an hour.

    has_epochs: whether epochs set the length, which then must not.
    """
    if seconds <= LONG:
        return
    tonight = seconds > 3600 * HOURS
    minutes, when = (60 * HOURS, "tonight") if tonight else (60, "in an hour")
    typed = [each for each in invocation.overrides if not each.startswith((*ONE_COMMAND, *LENGTHS))]
    no_epochs = ["trainer.epochs=null"] * has_epochs
    command = invocation.train_command([*typed, *no_epochs, f"trainer.minutes={minutes:g}"])
    text = f"the run takes about {duration_text(seconds)} on this CPU; this one ends {when}"
    yield Finding("warning", f"{text}: {command}")
