"""Pictures of which one is shown: the last, until the page's script has a slider and a button choose another."""

from collections.abc import Sequence
from dataclasses import dataclass

from ddpm_cli.rendering.html.markup import Markup, element
from ddpm_cli.rendering.html.pictures import picture


@dataclass(frozen=True)
class Frame:
    """A picture: a PNG or WebP, where it stands ("step 400"), and what it shows."""

    data: bytes
    stands: str
    alt: str


def slider(frames: Sequence[Frame], label: str, *, plays: bool) -> Markup:
    """The frames, at least one, with a slider of that label and, where it plays, a button that shows one after another."""
    *others, last = frames
    shown = [picture(each.data, each.alt, data_stands=each.stands, hidden="") for each in others]
    shown.append(picture(last.data, last.alt, data_stands=last.stands))
    end = str(len(others))
    choice = element(
        "input",
        type="range",
        min="0",
        max=end,
        value=end,
        autocomplete="off",
        aria_valuetext=last.stands,
    )
    play = [element("button", "Play", type="button")] if plays else []
    where = element("span", last.stands, aria_hidden="true")
    controls = element(
        "div", *play, element("label", label + " ", choice), where, class_="controls", hidden=""
    )
    return element("div", *shown, *[controls] * bool(others), class_="slider")
