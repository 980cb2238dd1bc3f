"""The protocol of a number: how it was measured. Only numbers of one protocol compare."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ddpm_cli.metrics import Number
from ddpm_cli.seeds import RANDOMNESS
from ddpm_cli.text import align

ID = 8  # hexadecimal digits of a protocol's ID
MEASURES = 2  # version of all metrics: one more when a metric would give another number
DIGITS = 6  # significant digits of a figure; its interval makes two or three meaningful


@dataclass(frozen=True)
class Protocol:
    """All that decides a number, apart from the model; a field that does not matter is empty.

    by: the extractor, or the method of the likelihood. images: the images that the number is
    measured on or against, by fingerprint, count and part. sampler: the sampler with its options.
    steering: label, guidance and threshold. randomness: the version of the noise from the seed.
    measures: the version of the metrics.
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
    randomness: int = RANDOMNESS
    measures: int = MEASURES

    @property
    def text(self) -> str:
        """The protocol in one line."""
        noise = [f"seed {self.seed}", f"randomness {self.randomness}"] * (self.seed is not None)
        images = [self.metric, self.by, self.images, f"n {self.n}"]
        drawing = [self.sampler, self.steering, *noise, self.weights, self.precision]
        return " | ".join([*filter(None, images + drawing), f"measures {self.measures}"])

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
        """The row for a file of rows: the number of a checkpoint at a step."""
        number = {name: round_figure(value) for name, value in vars(self.number).items()}
        names = {"protocol": self.protocol.text, "protocol_id": self.protocol.id}
        return {"step": step, "metric": self.metric, **number, **names}


def round_figure(value: float) -> float | None:
    """A figure without digits that depend on the order of summation; None if it is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def results_table(results: Sequence[MetricResult]) -> list[str]:
    """The lines of a table of metric, value, interval and protocol; the protocols stand below."""
    rows = [("metric", "value", "95% interval", "protocol")]
    for each in results:
        number, interval = each.number, f"[{each.number.low:.4g}, {each.number.high:.4g}]"
        rows.append((each.metric, f"{number.value:.4g}", interval, each.protocol.id))
    protocols = {each.protocol.id: each.protocol.text for each in results}
    return [*align(rows, right={1, 2}), *(f"{key}  {text}" for key, text in protocols.items())]
