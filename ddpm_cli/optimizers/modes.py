"""Optimizers that evaluate other weights than they differentiate, such as those of schedulefree.

Such an optimizer has the methods `train` and `eval`, which exchange the weights of the network. A
run keeps it in `eval`, but for the time from the first pass of a step to the optimizer's step: so
evaluation, samples, EMA and checkpoints see the weights that are meant for them, and a run that
goes on from a checkpoint takes the same steps.
"""

from torch.optim import Optimizer


def has_modes(optimizer: Optimizer) -> bool:
    """Whether an optimizer evaluates other weights than it differentiates."""
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def set_mode(optimizer: Optimizer, name: str) -> None:
    """Give the network the weights of `train` or `eval`, if the optimizer tells them apart."""
    if has_modes(optimizer):
        getattr(optimizer, name)()
