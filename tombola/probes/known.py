"""The probes that come with the package, found by reading their sources: listing them runs nothing."""

import ast
from collections.abc import Iterator

from tombola.core import catalogue
from tombola.core.catalogue import Entry
from tombola.study.shipped import settings

HERE = "tombola.probes"


def entries() -> list[Entry]:
    """Each with its arguments and their defaults: the step of a module that has its name."""
    return sorted(_entries(), key=lambda entry: entry.name)


def _entries() -> Iterator[Entry]:
    for path in (catalogue.ROOT / "probes").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == path.stem and any(map(_is_step, node.decorator_list)):
                summary, text = catalogue.described(ast.get_docstring(node))
                said = tuple((name, default) for name, default in settings(node.args) if name != "context")
                yield Entry("probe", node.name, f"{HERE}.{path.stem}", summary, said, text)


def _is_step(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "step"
