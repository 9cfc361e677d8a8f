"""The words that settings of studies may have."""

from collections.abc import Collection, Iterable

from tombola import Refused


def known(what: str, given: Iterable[str], words: Collection[str]) -> None:
    """Refuse a setting's words that mean nothing.

    Raises:
        Refused: If one of them is not known.
    """
    for word in given:
        if word not in words:
            raise Refused(f"{what}: there is no '{word}'. There are: {', '.join(words)}.")
