"""`page.json` in a run's folder: the parts of its page that come from a checkpoint.

With the file, the page is written anew without the checkpoint and without torch.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, get_origin

from omegaconf import DictConfig, OmegaConf
from PIL import Image

from ddpm_cli.files import save_text
from ddpm_cli.run_folder.layout import METRICS, PAGE_PARTS

LARGEST = 2**22  # the most bytes of a file that is read


@dataclass(frozen=True)
class PageParts:
    """The parts of a run's page that come from a checkpoint.

    step, steps: the steps done, and the length of the run. config: the recipe. verdict: the verdict
    in words. last: the name of the run's last checkpoint. film: pictures by sampling step.
    """

    step: int
    steps: int
    classes: list[str]
    config: dict[str, Any]
    environment: dict[str, str]
    verdict: str
    last: str
    film: dict[str, bytes]

    @property
    def recipe(self) -> DictConfig:
        """The recipe as a configuration."""
        return OmegaConf.create(self.config)


KINDS: dict[str, Any] = {
    part.name: get_origin(part.type) or part.type for part in fields(PageParts)
}


def page_key(folder: Path, device: str, trust: list[str]) -> dict[str, Any]:
    """What the parts of a page depend on: equal keys have equal parts."""
    files = [*(folder / "checkpoints").glob("[!.]*"), folder / METRICS]
    stats = {path.name: path.stat() for path in sorted(files) if path.is_file()}
    return {
        "files": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
        "device": device,
        "trust": trust,
        "version": version("ddpm-cli"),
    }


def save_page_parts(folder: Path, key: Mapping[str, Any], parts: PageParts) -> None:
    """Write the parts of a page. A full disk does not fail the page."""
    film = {name: b64encode(data).decode() for name, data in parts.film.items()}
    with suppress(OSError):
        save_text(folder / PAGE_PARTS, json.dumps({"key": key, **asdict(parts), "film": film}))


def read_page_parts(folder: Path, key: Mapping[str, Any]) -> PageParts | None:
    """Read the parts of a page; None if the file is missing, damaged, or of another key."""
    path = folder / PAGE_PARTS
    try:
        content = json.loads(path.read_text()) if path.stat().st_size <= LARGEST else {}
        if (
            content.pop("key") != key
            or {name: type(each) for name, each in content.items()} != KINDS
        ):
            return None
        if "${" in str(content["config"]):  # an interpolation could read the environment
            return None
        content["film"] = {name: picture_bytes(text) for name, text in content["film"].items()}
        return PageParts(**content)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def picture_bytes(text: str) -> bytes:
    """The bytes of a picture in base64. Raises OSError if they are no PNG or WebP."""
    data = b64decode(text)
    with Image.open(BytesIO(data), formats=["PNG", "WEBP"]):
        return data
