"""A class by its name or number, as `label=` names it."""

import re
import shlex
from collections.abc import Sequence

from ddpm_cli.config.values import quote, text_value
from ddpm_cli.console import fact

WHOLE = re.compile(r"[0-9]{1,20}")
SPECIAL = ("all", "auto")  # labels that are no names of classes
WITHOUT_CLASS = "none, images without a class; label=all draws the classes in turn"
SHOWN, QUOTED = 20, 3  # the most classes and quoted names in a message


def class_number(label: str | int, classes: Sequence[str]) -> int:
    """The number of the class that a label names.

    The class has this name, or is the only class whose name is this number (1 is "01"); if no name
    is a number, the label is the number itself. A text in double quotes is always a name.
    """
    text = str(label)
    name = text[1:-1] if text[:1] == text[-1:] == '"' and text not in classes else text
    if name in classes:
        return list(classes).index(name)
    numbers = {each: int(each) for each in classes if WHOLE.fullmatch(each)}
    if WHOLE.fullmatch(text):
        equal = [each for each, number in numbers.items() if number == int(text)]
        if len(equal) == 1:
            return list(classes).index(equal[0])
        if not numbers and int(text) < len(classes):
            return int(text)
    known = ", ".join(classes[:SHOWN]) + ", ..." * (len(classes) > SHOWN)
    number = "" if numbers else " or its number"
    rule = f"label must be all, or one of the {len(classes)} classes ({known}){number}"
    raise ValueError(f"{rule}, but is {label!r}{quoting_text(classes)}")


def quoting_text(classes: Sequence[str]) -> str:
    """The quoting of names that `label=` or a shell would misread, if there are any."""
    misread = [each for each in classes if shlex.quote(text_value(each)) != each]
    names = [each for each in misread if not WHOLE.fullmatch(each)]
    names += [each for each in SPECIAL if each in classes]
    quoted = ", ".join(map(quoted_label, names[:QUOTED]))
    return f"; in quotes: {quoted}" if names else ""


def quoted_label(name: str) -> str:
    """The name of a class as an argument in a shell."""
    text = f'"{name}"' if name in SPECIAL else name  # label=all and label=auto name no class
    in_shell = quote(text).replace("'", r"'\''")
    return f"'label={in_shell}'"


def tell_label(label: str | int | None, classes: Sequence[str]) -> None:
    """Log which class a label names, unless it is the name of the class."""
    if label is None and "null" in classes:
        fact("label", f"null is no label; the class of this name is {quoted_label('null')}")
    elif label == "all" and "all" in classes:
        fact("label", f"all is every class; the class of this name is {quoted_label('all')}")
    elif label is not None and label != "all":
        name = classes[class_number(label, classes)]
        if name != str(label):
            fact("label", f"{label} is the class {name}")
