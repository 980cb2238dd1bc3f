"""From YAML to objects and back: targets, their options, and values. Imports no torch."""

from ddpm_cli.config.build import bind, bind_options, build, group_options, parse_options
from ddpm_cli.config.schema import check_groups, options_of
from ddpm_cli.config.targets import GROUPS, ROOMS, SHARED, config_dir, locate, suggestion
from ddpm_cli.config.values import at_least, option_differences, path_override, quote, to_plain
