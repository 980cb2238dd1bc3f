"""From YAML to objects and back: targets, their options, and values. Imports no torch."""

from ddpm_cli.config.build import (
    GROUP_OPTIONS,
    GROUPS,
    TARGET_PREFIXES,
    bind,
    bind_options,
    build,
    config_dir,
    group_options,
    locate,
    options_of,
    suggestion,
)
from ddpm_cli.config.schema import at_least, check_groups, parse_options
from ddpm_cli.config.values import option_differences, path_override, quote
