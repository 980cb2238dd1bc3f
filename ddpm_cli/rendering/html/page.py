"""Pages that open from disk: templates of Jinja, each beside the code that fills it."""

import math
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ddpm_cli.console import printable
from ddpm_cli.files import write_atomically
from ddpm_cli.rendering.html.pictures import image_source

PACKAGE = Path(__file__).parents[2]
SCRIPT = Markup(Path(__file__).with_name("page.js").read_text(encoding="utf-8"))


def save_page(path: Path, template: str, **content: object) -> None:
    """Write a page. template: a file of the package, which lists the `content` that it takes."""
    text = ENVIRONMENT.get_template(template).render(content)
    write_atomically(path, lambda partial: partial.write_bytes(text.encode()))


def printable_lines(value: object) -> object:
    """Markup as it is; other text without characters that reverse lines or are not printable."""
    if isinstance(value, Markup):
        return value
    return "\n".join(map(printable, str(value).split("\n")))


def cell_text(value: object) -> object:
    """The text of a value in a cell of a table; a gap is empty."""
    if value is None or isinstance(value, float):
        return f"{value:.4g}" if value is not None and math.isfinite(value) else ""
    return f"{value:,}" if isinstance(value, int) else value


def address(path: str) -> str:
    """The address of a file by its path from the page's folder."""
    return quote(f"{'./' * path.startswith('/')}{path}".encode(errors="surrogateescape"))


def digest(script: str) -> str:
    """The hash by which a page's policy allows a script."""
    return f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"


ENVIRONMENT = Environment(
    loader=FileSystemLoader(PACKAGE),
    autoescape=True,
    finalize=printable_lines,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(
    address=address, cell_text=cell_text, digest=digest, image_source=image_source
)
ENVIRONMENT.globals["script"] = SCRIPT
