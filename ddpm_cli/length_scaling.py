"""Cadences of a run that is shorter than its recipe."""

import math
from collections.abc import Mapping
from typing import Any

PACED = ("log_every", "evaluate_every", "measure_every", "sample_every", "checkpoint_every")


def shorten_cadences(recipe: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The options that follow a shorter length: cadences, warm-up and the decay of the EMA."""
    share = steps / max(1, recipe["steps"])
    if share >= 1:
        return {}
    paced = {name: max(1, math.ceil(share * recipe[name])) for name in PACED}
    judged = "evaluate_every" if recipe["best"] == "held_out" else "measure_every"
    for seldom, often in (("checkpoint_every", judged), (judged, "checkpoint_every")):
        if recipe[seldom] % recipe[often] == 0:  # best.pt must be a checkpoint that was judged
            paced[seldom] = paced[often] * recipe[seldom] // recipe[often]
    return {
        **paced,
        "warmup": int(share * recipe["warmup"]),
        "ema": max(0.0, 1 - (1 - recipe["ema"]) / share),
    }
