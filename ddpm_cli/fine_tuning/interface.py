"""What a network takes and gives, and which axes of its tensors follow from that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from torch import nn

LEARNED = "learned"
Axes: TypeAlias = Mapping[str, int]  # an axis of a tensor, by the tensor's name


@dataclass(frozen=True)
class Interface:
    """What a network takes and gives.

    channels: of the images. classes: their names; none for a network without labels.
    variance: of the reverse step; for a learned one the network has twice the output channels.
    """

    channels: int
    classes: Sequence[str]
    variance: str

    @property
    def halves(self) -> int:
        """The output channels for each channel of the images."""
        return 1 + (self.variance == LEARNED)


Outline: TypeAlias = Callable[[Interface], nn.Module]  # the network of an interface


@dataclass(frozen=True)
class InterfaceAxes:
    """The axes that channels, classes and variance decide."""

    inputs: Axes = field(default_factory=dict)
    outputs: Axes = field(default_factory=dict)
    classes: Axes = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of all these tensors."""
        return {*self.inputs, *self.outputs, *self.classes}


def interface_axes(outline: Outline, interface: Interface) -> InterfaceAxes:
    """Find the axes, in any network, by outlines of networks that differ in one thing alone."""
    shapes = outline_shapes(outline, interface)

    def moved_by(**changes: Any) -> dict[str, int]:
        others = outline_shapes(outline, replace(interface, **changes))
        moved = {
            name: [axis for axis, size in enumerate(shapes[name]) if size != shape[axis]]
            for name, shape in others.items()
            if len(shapes.get(name, ())) == len(shape)
        }
        return {name: axes[0] for name, axes in moved.items() if len(axes) == 1}

    channels = moved_by(channels=interface.channels + 1)
    outputs = moved_by(variance="small" if interface.halves == 2 else LEARNED)
    inputs = {name: axis for name, axis in channels.items() if name not in outputs}
    one_more = [*interface.classes, ""]
    classes = moved_by(classes=one_more) if interface.classes else {}
    return InterfaceAxes(inputs, outputs, classes)


def outline_shapes(outline: Outline, interface: Interface) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's tensors by name; {} if there is no such network."""
    try:
        return {name: tuple(each.shape) for name, each in outline(interface).state_dict().items()}
    except ValueError:  # a network of one's own may take one number of channels alone
        return {}
