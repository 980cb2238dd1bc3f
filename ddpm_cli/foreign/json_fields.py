"""The fields of a JSON file of diffusers, which a stranger may have written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.config.schema import fits, type_text
from ddpm_cli.config.values import yaml_text

LONGEST = 80  # characters of a value in a message


@dataclass(frozen=True)
class JsonFields:
    """The fields of a file. file: its name in messages."""

    file: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "JsonFields":
        """Read a file. Raises ValueError if the file is not there, or holds no object of JSON."""
        try:
            values = plain_json(bounded_text(path))
        except (OSError, ValueError) as error:
            raise ValueError(f"{str(path)!r} must be JSON, but {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{str(path)!r} must be an object of JSON")
        return cls(path.name, values)

    def get(self, name: str, kind: Any, default: Any) -> Any:
        """The value of a field, or its default in diffusers. Raises ValueError for other types."""
        value = self.values.get(name, default)
        if not fits(value, kind):
            raise ValueError(f"{self.file}: {self.rule(name, type_text(kind))}")
        return value

    def count(self, name: str, default: int, most: int, least: int = 1) -> int:
        """The whole number of a field, or its default. Raises ValueError outside least to most."""
        number: int = self.get(name, int, default)
        if not least <= number <= most:
            raise ValueError(f"{self.file}: {self.rule(name, f'{least} to {most:,}')}")
        return number

    def expect(self, name: str, allowed: Sequence[Any]) -> None:
        """Refuse a field that has none of some values, of which the first is the default."""
        if self.values.get(name, allowed[0]) not in allowed:
            raise ValueError(
                f"{self.file}: {self.rule(name, ' or '.join(map(yaml_text, allowed)))}"
            )

    def rule(self, name: str, allowed: str) -> str:
        """What a field must be, and what it is."""
        return f"{name} must be {allowed}, but is {yaml_text(self.values.get(name))[:LONGEST]}"

    def refuse_others(self, known: Collection[str]) -> None:
        """Refuse a field of another name, which may change what is computed."""
        names = self.values.keys() - {*known}
        if others := sorted(name for name in names if not name.startswith("_")):
            raise ValueError(f"{self.file}: the field {others[0][:LONGEST]!r} is not known here")
