"""How numbers came about: only numbers of one protocol can be compared."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ddpm_cli.metrics import Number
from ddpm_cli.text import align

ID = 8  # hexadecimal digits
DIGITS = 6  # that a figure has; its interval leaves it two or three


@dataclass(frozen=True)
class Protocol:
    """All that decides about a number beside the model; a field that does not matter is empty.

    by: the extractor, or the way to the likelihood. images: what the number is measured on or
    against, by fingerprint, count and part. sampler: with its options. steering: label, guidance
    and threshold.
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
        images = [self.metric, self.by, self.images, f"n {self.n}"]
        drawing = [self.sampler, self.steering, seed, self.weights, self.precision]
        return " | ".join([*filter(None, images + drawing), f"ddpm-cli {self.version}"])

    @property
    def id(self) -> str:
        """The first digits of a hash of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:ID]


@dataclass(frozen=True)
class MetricResult:
    """A number of a metric, with its protocol."""

    metric: str
    number: Number
    protocol: Protocol

    def row(self, step: int) -> dict[str, Any]:
        """The number of a checkpoint at a step, as in files of rows."""
        number = {name: round_figure(value) for name, value in vars(self.number).items()}
        names = {"protocol": self.protocol.text, "protocol_id": self.protocol.id}
        return {"step": step, "metric": self.metric, **number, **names}


def round_figure(value: float) -> float | None:
    """A figure without the digits that depend on the order of its sums; None if not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def results_table(results: Sequence[MetricResult]) -> list[str]:
    """Lines of a table: metric, value, interval, protocol; below it the protocols."""
    rows = [("metric", "value", "95% interval", "protocol")]
    for each in results:
        number, interval = each.number, f"[{each.number.low:.4g}, {each.number.high:.4g}]"
        rows.append((each.metric, f"{number.value:.4g}", interval, each.protocol.id))
    protocols = {each.protocol.id: each.protocol.text for each in results}
    return [*align(rows, right={1, 2}), *(f"{key}  {text}" for key, text in protocols.items())]
