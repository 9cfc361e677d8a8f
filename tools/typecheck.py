"""How the tests check types at run time: what functions of the package are given, and what they return."""

from typing import IO, Any, Literal, Self

from beartype import BeartypeConf, BeartypeDecorPlace, FrozenDict
from beartype.claw import beartype_package

beartype_package(
    "tombola",
    conf=BeartypeConf(
        claw_is_pep526=False,
        claw_decor_place_func=BeartypeDecorPlace.FIRST,  # What is a step afterwards is a function first.
        # The fields of a plug-in come from users: it refuses them in words of its own, which tests want to see.
        claw_decor_place_type=BeartypeDecorPlace.FIRST,
        is_pep484_tower=True,  # An int will do for a float, as it does for pyright.
        hint_overrides=FrozenDict(
            {
                Self: Any,  # Methods are looked at one by one, and there it has no meaning.
                Literal["any", "same"]: Any,  # So is this of users, whom the store answers itself.
                IO[str]: Any,  # Captured output has no `mode`.
            }
        ),
    ),
)
