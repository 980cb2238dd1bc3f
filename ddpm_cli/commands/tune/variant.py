"""A setting of what a checkpoint can vary, and its neighbours along a coordinate."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from ddpm_cli.config.values import yaml_text

Steps: TypeAlias = int | Literal["all"]
COORDINATES = {  # the field of a setting that each list of the options varies, in their order
    "lengths": "length",
    "guidance": "guidance",
    "guiders": "guider",
    "intervals": "interval",
    "samplers": "sampler",
    "steps": "steps",
}
OPTIONS = {  # of ddpm-sample, by the fields of a setting; the length is a checkpoint's
    "length": "length",
    "guidance": "guidance",
    "guider": "guider",
    "interval": "guidance_interval",
    "sampler": "sampler",
    "steps": "sampler.steps",
}
GUIDED = ("guider", "interval")  # fields that have no effect without guidance


@dataclass(frozen=True)
class Variant:
    """What decides the images of a checkpoint, apart from noise and labels.

    length: the length of the EMA, relative to the run; None: the EMA of the checkpoint. guidance:
    the scale, 1 for none. guider: None for the guider that scale and interval imply. interval: the
    noise levels with guidance; None: all.
    """

    sampler: str
    steps: Steps
    length: float | None = None
    guidance: float = 1.0
    guider: str | None = None
    interval: tuple[float, float] | None = None

    def plain(self) -> dict[str, Any]:
        """The setting as JSON may hold it."""
        interval = None if self.interval is None else list(self.interval)
        return {**asdict(self), "interval": interval}

    def changes_from(self, other: "Variant") -> str:
        """The fields that differ from another setting's, in words; "" if there are none."""
        names = [each.name for each in fields(self)]
        different = [name for name in names if getattr(self, name) != getattr(other, name)]
        return ", ".join(f"{name} {self.field_text(name)}" for name in different)

    @property
    def summary(self) -> str:
        """The setting in words."""
        names = [each.name for each in fields(self) if getattr(self, each.name) is not None]
        return ", ".join(f"{name} {self.field_text(name)}" for name in names)

    def options_from(self, start: "Variant") -> dict[str, Any]:
        """The options of ddpm-sample in which the setting differs from the start.

        Steps come with a sampler, whose own number may be another.
        """
        mine, other = self.plain(), start.plain()
        options = {OPTIONS[name]: mine[name] for name in OPTIONS if mine[name] != other[name]}
        if self.sampler != start.sampler:
            options["sampler.steps"] = self.steps
        return options

    def field_text(self, name: str) -> str:
        """The value of a field in words."""
        value = getattr(self, name)
        if isinstance(value, float):
            return f"{value:g}"
        return value if isinstance(value, str) else yaml_text(self.plain()[name])

    def neighbours(self, field: str, values: Sequence[Any], scale: float) -> Iterator["Variant"]:
        """Yield the other settings along a field, each once.

        scale: the guidance of settings in which the field has an effect, where this has none.
        """
        seen = {self}
        for value in values:
            changed = replace(self, **{field: value})
            if field in GUIDED and value is not None and self.guidance == 1:
                changed = replace(changed, guidance=scale)
            if changed.guidance == 1:
                changed = replace(changed, guider=None, interval=None)
            if changed not in seen:
                seen.add(changed)
                yield changed
