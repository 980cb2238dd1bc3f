"""The settings that decide generated images, as a protocol names them."""

from collections.abc import Mapping
from typing import Any

from ddpm_cli.generation.draw import file_hash
from ddpm_cli.generation.options import STEERING, GenerationOptions


def steering_text(options: GenerationOptions) -> str:
    """Label, guidance and threshold where they differ from their defaults; a guide by its hash."""
    values = {name: getattr(options, name) for name in STEERING}
    if options.guide is not None:
        values["guide"] = file_hash(options.guide)[:10]
    defaults = vars(GenerationOptions())
    return options_text({name: value for name, value in values.items() if value != defaults[name]})


def options_text(options: Mapping[str, Any]) -> str:
    """Options in words, 1 as 1.0."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in options.items()
    )
