"""How numbers came about: only those of one protocol can be compared."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ddpm_cli.metrics import Number

ID = 8  # hexadecimal digits
DIGITS = 6  # that a figure has; its interval leaves it two or three


@dataclass(frozen=True)
class Protocol:
    """All that decides about a number beside the model; what a metric does not go by is empty.

    by: the extractor, or the way to the likelihood. images: those that it is measured on or against, by fingerprint, count and part.
    sampler: with its options; steering: label, guidance and threshold.
    """

    metric: str
    by: str
    images: str
    n: int
    sampler: str
    steering: str
    seed: int | None
    weights: str
    precision: str
    version: str

    @property
    def text(self) -> str:
        """The protocol in a line."""
        seed = "" if self.seed is None else f"seed {self.seed}"
        said = [
            self.metric,
            self.by,
            self.images,
            f"n {self.n}",
            self.sampler,
            self.steering,
            seed,
            self.weights,
            self.precision,
        ]
        return " | ".join([*filter(None, said), f"ddpm-cli {self.version}"])

    @property
    def id(self) -> str:
        """The first of a hash of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:ID]


@dataclass(frozen=True)
class MetricResult:
    """A number of a metric, with its protocol."""

    metric: str
    number: Number
    protocol: Protocol

    def row(self, step: int) -> dict[str, Any]:
        """The number of a checkpoint's step, as files of rows hold it."""
        number = {name: round_figure(value) for name, value in asdict(self.number).items()}
        return {
            "step": step,
            "metric": self.metric,
            **number,
            "protocol": self.protocol.text,
            "protocol_id": self.protocol.id,
        }


def round_figure(value: float) -> float | None:
    """A figure without the digits in which another order of its sums would show; null where it is not finite, as JSON has it."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def results_table(found: Sequence[MetricResult]) -> list[str]:
    """Lines of a table: metric, value, interval, protocol; below it the protocols."""
    cells = [
        (each.metric, f"{n.value:.4g}", f"[{n.low:.4g}, {n.high:.4g}]", each.protocol.id)
        for each in found
        for n in [each.number]
    ]
    head = ("metric", "value", "95% interval", "protocol")
    name, value, interval, _ = (
        max(len(row[column]) for row in [head, *cells]) for column in range(4)
    )
    lines = [
        f"{row[0]:<{name}}  {row[1]:>{value}}  {row[2]:>{interval}}  {row[3]}"
        for row in [head, *cells]
    ]
    protocols = {each.protocol.id: each.protocol.text for each in found}
    return [*lines, *(f"{key}  {text}" for key, text in protocols.items())]
