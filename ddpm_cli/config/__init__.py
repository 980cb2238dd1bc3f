"""From YAML to objects and back: targets, their options, and values. Imports no torch."""

from ddpm_cli.config.build import (
    CONFIG_DIR,
    GROUP_OPTIONS,
    GROUPS,
    TARGET_PREFIXES,
    bind,
    bind_options,
    build,
    options_of,
    suggestion,
)
from ddpm_cli.config.schema import at_least, check_groups, option_differences, parse_options
from ddpm_cli.config.values import path_override, quote
