"""From YAML to objects and back: targets, their options, and values. Imports no torch."""

from ddpm_cli.config.build import bind, bound, build, shared
from ddpm_cli.config.schema import check
from ddpm_cli.config.targets import GROUPS, ROOMS, config_dir, suggestion
from ddpm_cli.config.values import at_least, differences, located, plain, quoted
