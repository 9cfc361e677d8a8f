"""What a step may be called: its name is in keys, in texts, and a folder of every store."""

import re

from tombola.core.call import NAME
from tombola.core.errors import Refused

ROOMS = frozenset({"blobs", "damaged", "locks", "noted", "partial", "studies", "tmp"})
"""Folders of a store that hold something else than the results of the step of that name."""

_OWN: dict[str, str] = {}


def claim_name(name: str, *, module: str, of: str) -> None:
    """Take a name for the step that a function of a module is made.

    Raises:
        Refused: If no step can be called so.
    """
    if not re.fullmatch(NAME, name):
        raise Refused(
            f"no step can be called {name!r}: a name has letters a-z, digits after the first of them, and underscores, "
            "such as 'my_prune2'."
        )
    if name in ROOMS:
        raise Refused(
            f"no step can be called '{name}': a store keeps other things in its folder '{name}'. Taken are "
            f"{', '.join(sorted(ROOMS))}."
        )
    own = module.startswith("tombola.")
    if name in _OWN and not own:
        raise Refused(
            f"no step can be called '{name}': tombola has one ({_OWN[name]}), and keys would not tell them apart."
        )
    if own:
        _OWN[name] = f"{module}.{of}"
