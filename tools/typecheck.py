"""How the tests check types and shapes at run time: named in pyproject.toml, called on every function and class."""

from collections.abc import Callable
from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

_CONF = BeartypeConf(
    # An int will do for a float, as it does for pyright.
    is_pep484_tower=True,
    # Methods are checked one by one, and there `Self` has no meaning.
    hint_overrides=FrozenDict({Self: Any}),
)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check what a function is given and what it returns."""
    if function.__name__ == "__init__":
        # The fields of a plug-in come from users: it refuses them in words of its own, which tests want to see.
        return function
    return beartype(function, conf=_CONF)
