"""The options of ddpm-compare."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ddpm_cli.config.schema import at_least, at_most
from ddpm_cli.seeds import MAX_IMAGES, check_seed


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-compare`, apart from its features, its data and guidance.

    ckpt: the checkpoint. samplers: names of samplers. steps: numbers of steps, or `all`. n: images
    to draw with every setting. batch: images at a time; the batch size does not change the images.
    seed: image i is a function of the seed and i. weights: the EMA's weights (ema) or the network's
    last weights (raw). device: auto, cpu, cuda, cuda:N or mps. columns: columns of the contact
    sheet. trust: the user's own modules that targets may name.
    """

    _: KW_ONLY
    ckpt: str
    samplers: list[str]
    steps: list[int | Literal["all"]]
    n: int
    batch: int
    seed: int
    weights: Literal["ema", "raw"]
    device: str
    columns: int
    trust: list[str]

    def __post_init__(self) -> None:
        check_seed(self.seed)
        at_least(self, n=2, batch=1, columns=1)
        at_most(self, n=MAX_IMAGES)
        if not self.samplers or not self.steps:
            raise ValueError(
                "samplers and steps must each name at least one: nothing would be compared"
            )
