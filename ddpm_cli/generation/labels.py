"""A class by its name or its number."""

from ddpm_cli.denoiser import Denoiser


def check_label(label: str | int | None, denoiser: Denoiser, classes: list[str]) -> None:
    """Refuses a label that this model does not know."""
    if label is None:
        return
    if not denoiser.conditional:
        needed = "a class-conditional checkpoint (trained with model.conditional=true)"
        raise ValueError(f"label={label} needs {needed}; this one is unconditional")
    if label != "all":
        class_number(label, classes)


def class_number(label: str | int, classes: list[str]) -> int:
    """The number of a class by its name, or by its number where no class is called that."""
    names = {name: number for number, name in enumerate(classes)}
    text = str(label)
    if text in names:
        return names[text]
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    known = ", ".join(classes[:20]) + ", ..." * (len(classes) > 20)
    raise ValueError(
        f"label must be all, or one of the {len(classes)} classes ({known}) or its number, but is {label!r}"
    )
