"""Formats of checkpoints: from each one to the next, so that whatever was written once is read for good."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Content: TypeAlias = Mapping[str, Any]

FORMAT = 4


def with_scaler_and_counts(content: Content) -> Content:
    """Format 2 has the scaler of fp16, a count of skipped steps, and an entry of the optimizer's for every parameter.

    Of what is damaged nothing is made up: its faults are told once it is in the newest format.
    """
    facts, moments, network = content.get("facts"), content.get("optimizer"), content.get("network")
    counted = {"lr_scale": 1.0, "skipped": 0, **facts} if isinstance(facts, dict) else facts
    if moments == {} and isinstance(network, dict):  # as it was before the first step
        moments = {number: {} for number in range(len(network))}
    return {**content, "format": 2, "scaler": {}, "facts": counted, "optimizer": moments}


def with_loss_and_history(content: Content) -> Content:
    """Format 3 has the parameters of the loss, the losses that the sampler of times goes by, and the verdict on the run."""
    return {**content, "format": 3, "loss": {}, "history": {}, "verdict": {}}


def with_stream(content: Content) -> Content:
    """Format 4 has where the stream of every process goes on."""
    return {**content, "format": 4, "stream": []}


MIGRATIONS: dict[int, Callable[[Content], Content]] = {
    1: with_scaler_and_counts,
    2: with_loss_and_history,
    3: with_stream,
}


def to_newest_format(content: Content) -> Content:
    """The content in the newest format; ValueError where it is of a newer one than this version knows."""
    while (number := content["format"]) != FORMAT:
        if number not in MIGRATIONS:
            raise ValueError(
                f"has format {str(number)[:20]}, but this version reads formats 1 to {FORMAT}: upgrade ddpm-cli"
            )
        content = MIGRATIONS[number](content)
    return content
