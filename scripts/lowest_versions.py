"""Print pip's constraints for the lowest version of each dependency that pyproject.toml names."""

import tomllib
from itertools import chain
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"].values()
for requirement in chain(project["dependencies"], *extras):
    if ">=" in requirement:
        print(requirement.replace(">=", "=="))
