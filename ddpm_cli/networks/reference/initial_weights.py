"""The initial weights of the reference UNet."""

from typing import Literal, TypeAlias

from torch import Tensor, nn

from ddpm_cli.networks.reference.blocks import ResidualBlock, SelfAttention

Initial: TypeAlias = Literal["torch", "xavier"]


def initialise(trunk: nn.Module, last: nn.Conv2d, initial: Initial, zero_last: bool) -> None:
    """Draw the weights anew where asked, and zero the last convolution of each residual part.

    last: the last convolution of the whole network. xavier: uniform by the mean of both fans, with
    biases of zero (Ho et al. 2020).
    """
    if initial == "xavier":
        for name, module in trunk.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # q, k and v are three layers in the paper.
                for part in module.weight.chunk(3 if name.endswith(".qkv") else 1):
                    nn.init.xavier_uniform_(part)
                zero(module.bias)
    if zero_last:
        parts = (
            each for each in trunk.modules() if isinstance(each, ResidualBlock | SelfAttention)
        )
        for layer in (*(part.last for part in parts), last):
            zero(layer.weight, layer.bias)


def zero(*parameters: Tensor | None) -> None:
    """Set parameters to zero."""
    for each in parameters:
        if each is not None:
            nn.init.zeros_(each)
