"""From each format of checkpoints to the next, so that every checkpoint stays readable."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Content: TypeAlias = Mapping[str, Any]

FORMAT = 4


def with_scaler_and_counts(content: Content) -> Content:
    """Format 2 adds fp16's scaler, the skipped steps, and optimizer state for every parameter.

    A damaged part stays as it is: `faults` finds it in the newest format.
    """
    facts, optimizer, network = (
        content.get("facts"),
        content.get("optimizer"),
        content.get("network"),
    )
    facts = {"lr_scale": 1.0, "skipped": 0, **facts} if isinstance(facts, dict) else facts
    if optimizer == {} and isinstance(network, dict):  # before the first step
        optimizer = {number: {} for number in range(len(network))}
    return {**content, "format": 2, "scaler": {}, "facts": facts, "optimizer": optimizer}


def with_loss_and_history(content: Content) -> Content:
    """Format 3 adds parameters of the loss, the sampler's history of losses, and the verdict."""
    return {**content, "format": 3, "loss": {}, "history": {}, "verdict": {}}


def with_stream(content: Content) -> Content:
    """Format 4 adds the position of every process in the stream."""
    return {**content, "format": 4, "stream": []}


MIGRATIONS: dict[int, Callable[[Content], Content]] = {
    1: with_scaler_and_counts,
    2: with_loss_and_history,
    3: with_stream,
}


def to_newest_format(content: Content) -> Content:
    """The content in the newest format; ValueError where its format is unknown."""
    while (number := content["format"]) != FORMAT:
        if number not in MIGRATIONS:
            raise ValueError(
                f"has format {str(number)[:20]}, "
                f"but this version reads formats 1 to {FORMAT}: upgrade ddpm-cli"
            )
        content = MIGRATIONS[number](content)
    return content
