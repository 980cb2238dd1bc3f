"""The settings that decide generated images, as a protocol names them."""

from ddpm_cli.checkpoints import file_hash
from ddpm_cli.generation.options import STEERING, GenerationOptions, options_text


def steering_text(options: GenerationOptions, guider: str = "") -> str:
    """Label, guidance and threshold where they differ from their defaults; a guide by its hash.

    guider: the guider in words, unless the other options imply it.
    """
    values = {name: getattr(options, name) for name in STEERING}
    if options.guide is not None:
        values["guide"] = file_hash(options.guide)[:10]
    defaults = vars(GenerationOptions())
    own = {name: value for name, value in values.items() if value != defaults[name]}
    return options_text({**own, **({"guider": guider} if guider else {})})
