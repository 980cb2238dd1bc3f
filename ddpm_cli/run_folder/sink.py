"""The contract of a logger: what a logger learns of a run, and what it does with the events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias

from ddpm_cli.rendering.tiles import Picture

Numbers: TypeAlias = Mapping[str, float]


@dataclass(frozen=True)
class LoggedRun:
    """What a logger learns of a run.

    config: plain values whose paths are cut to names. step: the last step whose rows count; 0 in a
    new run. id: the id under which the logger's service knows the run already, if it does.
    preparing: set while a logger prepares what a run may not interrupt; training waits for it.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    step: int = 0
    id: str | None = None
    preparing: Event = field(default_factory=Event, compare=False)


def ignore(*_: object) -> None:
    """Do nothing with an event."""


@dataclass(frozen=True)
class Sink:
    """An open logger.

    write_numbers: gets (step, row); a number may be NaN or infinite. write_picture: gets (step,
    tag, picture), the picture as bytes [C, H, W]. close: gets whether the run ended well.
    id: the service's id of the run, with which a later process goes on. place: where the user finds
    the run, for the screen.
    """

    write_numbers: Callable[[int, Numbers], object]
    write_picture: Callable[[int, str, Picture], object] = ignore
    close: Callable[[bool], object] = ignore
    id: str | None = None
    place: str = ""


Logger: TypeAlias = Callable[[LoggedRun], Sink]
