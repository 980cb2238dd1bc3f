"""The overrides that a file may give without trust: choices of groups, and options of groups."""

import re
from itertools import accumulate

from ddpm_cli.config.build import GROUPS

GROUP = "|".join([*GROUPS, "guider", "previews"])
CHOICE = r"['\"]?[\w-]+['\"]?"  # by its name alone, which is no path
OF_A_RECIPE = re.compile(
    rf"\+?(?:{GROUP}|experiment)=(?:{CHOICE}(?:,{CHOICE})*|choice\({CHOICE}(?:,\s*{CHOICE})*\))"
    rf"|[+~]*(?!trainer\.loggers\b)(?:{GROUP})(?:\.\w+)+(?:=.*)?|seed=.*|auto=(?:true|false)"
)
OF_LOGGERS = re.compile(r"[+~]*(?:trainer\.loggers|logger)\b.*")  # no file says what is sent where
MOST_DEPTH = 20  # of brackets


def is_recipe(override: str) -> bool:
    """Whether an override is a choice or an option of a group, or the seed.

    A value that is nested deep, or resolves a name outside the configuration, is of no recipe.
    """
    changes = ((each in "[({") - (each in "])}") for each in override)
    is_deep = max(accumulate(changes), default=0) > MOST_DEPTH
    resolves = "${" in override and ":" in override  # as ${oc.env:HOME}
    return bool(OF_A_RECIPE.fullmatch(override)) and not is_deep and not resolves
