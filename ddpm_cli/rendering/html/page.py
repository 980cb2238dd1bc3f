"""The page: a title, sections with headings that it links to, and no word that is not in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from ddpm_cli.rendering.html.markup import Markup, element, escaped


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    heading: str
    body: Sequence[Markup]


def page(title: str, sections: Sequence[Section]) -> str:
    """One HTML file with all that it shows; sections without a body are left out."""
    shown = {f"part-{place}": each for place, each in enumerate(sections, 1) if each.body}
    links = [
        element("li", element("a", each.heading, href=f"#{name}")) for name, each in shown.items()
    ]
    blocks = [
        element("section", element("h2", each.heading, id=name), *each.body, aria_labelledby=name)
        for name, each in shown.items()
    ]
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escaped(title),
        links=element("ul", *links).text,
        sections="\n".join(each.text for each in blocks),
    )
