"""The studies that come with the package, found by reading their sources: listing them runs nothing."""

import ast

from tombola.core import catalogue
from tombola.core.catalogue import Entry

SHIPPED = "tombola.studies"


def entries() -> list[Entry]:
    """Each with its settings and their defaults; the summary is its title, the first line of its docstring."""
    found: list[Entry] = []
    for path in sorted((catalogue.ROOT / "studies").glob("*.py")):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == "goals":
                title, text = catalogue.described(ast.get_docstring(tree))
                module, said = f"{SHIPPED}.{path.stem}", tuple(settings(node.args))
                found.append(Entry("study", path.stem, module, title or path.stem, said, text))
    return found


def settings(said: ast.arguments) -> list[tuple[str, str]]:
    """The names of a function's arguments, and the sources of their defaults; "" for those that have none."""
    words = [*said.posonlyargs, *said.args]
    lacking = [None] * (len(words) - len(said.defaults))
    pairs = [*zip(words, [*lacking, *said.defaults], strict=True), *zip(said.kwonlyargs, said.kw_defaults, strict=True)]
    return [(word.arg, ast.unparse(default) if default else "") for word, default in pairs]


def shipped() -> dict[str, str]:
    """Their titles by name."""
    return {entry.name: entry.summary for entry in entries()}
