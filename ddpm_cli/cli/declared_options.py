"""The options of targets as their source declares them; nothing is imported, no torch either."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from inspect import Parameter
from typing import Any, Literal, TypeAlias

from ddpm_cli.config.build import PACKAGE, Options

OURS = f"{PACKAGE.name}."
Declared: TypeAlias = Iterator[tuple[str, ast.expr | None, object]]  # name, type, default or empty


@cache
def declared_options(target: str) -> Options:
    """The options that `options_of` would find for a function or class of the package.

    A type that only an import could tell is Any; another target than ours has no options.
    """
    module, _, name = target.replace(":", ".").rpartition(".")
    where, node = find_definition(module, name)
    if isinstance(node, ast.ClassDef):
        methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
        declared = next((each for each in methods if each.name == "__init__"), None)
        node = declared or node
    pairs = keyword_arguments(node) if isinstance(node, ast.FunctionDef) else keyword_fields(node)
    types = TypeNames(where)
    return {
        name: Parameter(name, Parameter.KEYWORD_ONLY, annotation=types.of(kind), default=default)
        for name, kind, default in pairs
    }


def keyword_arguments(node: ast.FunctionDef) -> Declared:
    """Yield the arguments of a function after `*`."""
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        yield argument.arg, argument.annotation, default or Parameter.empty


def keyword_fields(node: ast.AST | None) -> Declared:
    """Yield the fields of a dataclass after `_: KW_ONLY`, which its caller may give."""
    is_keyword = False
    for each in node.body if isinstance(node, ast.ClassDef) else ():
        if not (isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)):
            continue
        if is_keyword and "init=False" not in ast.unparse(each):
            yield each.target.id, each.annotation, each.value or Parameter.empty
        is_keyword = is_keyword or each.target.id == "_"


def find_definition(module: str, name: str) -> tuple[str, ast.AST | None]:
    """Find the module and the statement that define a name; imports are followed."""
    for node in statements(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return find_definition(str(node.module), alias.name)
    return module, None


@cache
def statements(module: str) -> Sequence[ast.stmt]:
    """The statements of a module of the package."""
    place = PACKAGE.parent.joinpath(*module.split("."))
    paths = (place.with_suffix(".py"), place / "__init__.py")
    path = next((each for each in paths if module.startswith(OURS) and each.is_file()), None)
    return ast.parse(path.read_text(encoding="utf-8")).body if path else []


class TypeNames(dict[str, Any]):
    """The types that the annotations of a module name."""

    def __init__(self, module: str) -> None:
        super().__init__(Any=Any, Literal=Literal, Sequence=Sequence, Mapping=Mapping)
        self.module = module

    def of(self, annotation: ast.expr | None) -> Any:
        """The type that an annotation names, or Any."""
        if annotation is None:
            return Any
        try:
            return eval(compile(ast.Expression(annotation), self.module, "eval"), {}, self)
        except (NameError, AttributeError):
            return Any

    def __missing__(self, name: str) -> Any:
        where, node = find_definition(self.module, name)
        if not isinstance(node, ast.AnnAssign):
            raise KeyError(name)
        return TypeNames(where).of(node.value)
