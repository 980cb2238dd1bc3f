"""The options of a training run that scale with its length, for a run that is shorter."""

import math
from collections.abc import Mapping
from typing import Any

PACED = (
    *("log_every", "evaluate_every", "measure_every"),
    *("sample_every", "checkpoint_every", "ema_every"),
)


def scale_to_length(options: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The options that follow a shorter length: cadences, warm-up and the decay of the EMA."""
    share = steps / max(1, options["steps"])
    if share >= 1:
        return {}
    paced = {
        name: max(1, math.ceil(share * options[name]))
        for name in PACED
        if isinstance(options.get(name), int)  # not `auto`
    }
    judged = "evaluate_every" if options["best"] == "held_out" else "measure_every"
    for seldom, often in (("checkpoint_every", judged), (judged, "checkpoint_every")):
        # best.safetensors must be a checkpoint that was judged
        if {seldom, often} <= paced.keys() and options[seldom] % options[often] == 0:
            paced[seldom] = paced[often] * options[seldom] // options[often]
    return {
        **paced,
        "warmup": int(share * options["warmup"]),
        "ema": max(0.0, 1 - (1 - options["ema"]) / share),
    }
