"""How the reference pages read our docstrings: an extension of griffe, named in mkdocs.yml."""

import ast
import re
from typing import Any

import griffe


class HouseStyle(griffe.Extension):
    """Translate the headings that we write to those that griffe knows."""

    def on_instance(self, *, node: ast.AST | griffe.ObjectNode, obj: griffe.Object, **kwargs: Any) -> None:
        """Show `Example:` as a session, and the `Args:` of a plug-in, whose fields they are, with their types."""
        if obj.docstring is None:
            return
        text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
        if obj.is_class and "__init__" not in obj.members:
            text = re.sub(r"^Args:$", "Attributes:", text, flags=re.MULTILINE)
        obj.docstring.value = text
