"""A check of a run on a CPU that takes long, with the command of a run that ends in time."""

from collections.abc import Iterator

from ddpm_cli.config.invocation import ONE_COMMAND, Invocation
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.recipes.values import HOURS
from ddpm_cli.text import duration_text

LONG = 3600.0  # seconds from which a run on a CPU causes a warning


def check_patience(seconds: float, invocation: Invocation) -> Iterator[Finding]:
    """Warn of a run of more than an hour, with a command that ends tonight or in an hour."""
    if seconds <= LONG:
        return
    tonight = seconds > 3600 * HOURS
    minutes, when = (60 * HOURS, "tonight") if tonight else (60, "in an hour")
    typed = invocation.with_length(f"trainer.minutes={minutes:g}").overrides
    lasting = [each for each in typed if not each.startswith(ONE_COMMAND)]
    command = invocation.train_command(lasting)
    text = f"the run takes about {duration_text(seconds)} on this CPU; this one ends {when}"
    yield Finding("warning", f"{text}: {command}")
