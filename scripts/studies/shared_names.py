#!/usr/bin/env python
"""List the names of a package that several files define, and its functions named by a participle.

It reads the source and imports nothing. It sees functions and classes of a file's top level.
The participles show functions that are called neither for what they return nor by a verb.

    scripts/studies/shared_names.py [PACKAGE]     the folder of a package, else ddpm_cli
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

IRREGULAR = "told|said|kept|found|made|drawn|seen|known|given|taken|begun|gone|held|shown"
PARTICIPLE = re.compile(rf"{IRREGULAR}|[a-z]+(?:ed|en)")
VERBS = {"read", "set", "put"}  # their participle is the verb itself


def definitions(package: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield (name, file, whether it is a function) of every definition at a file's top level."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                file = str(path.relative_to(package))
                yield node.name, file, not isinstance(node, ast.ClassDef)


def files_by_name(package: Path, *, functions: bool) -> dict[str, list[str]]:
    """Return the files that define each name, of functions alone or of classes too."""
    found = defaultdict(list)
    for name, file, is_function in definitions(package):
        if is_function or not functions:
            found[name].append(file)
    return dict(sorted(found.items()))


def show(title: str, names: Mapping[str, list[str]]) -> None:
    """Print the names with their files below a title that counts them."""
    print(f"{title}: {len(names)}")
    for name, files in names.items():
        print(f"  {name}: {', '.join(files)}")


def main() -> None:
    """Print both lists."""
    beside = Path(__file__).resolve().parents[2] / "ddpm_cli"
    package = Path(sys.argv[1]) if len(sys.argv) > 1 else beside
    if not (package / "__init__.py").is_file():
        sys.exit(f"error: {str(package)!r} is no folder of a package")
    every = files_by_name(package, functions=False)
    functions = files_by_name(package, functions=True)
    shared = {name: files for name, files in every.items() if len(files) > 1}
    participles = {
        name: files
        for name, files in functions.items()
        if PARTICIPLE.fullmatch(name) and name not in VERBS
    }
    show("names that several files define", shared)
    print()
    show("functions named by a bare participle", participles)


if __name__ == "__main__":
    main()
