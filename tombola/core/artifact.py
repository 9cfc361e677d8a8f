"""Results that can be kept: a header, groups of tensors and rows of a log, with the call that made them on top."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from tombola.core.call import Call
from tombola.core.canon import Keyed

Groups = Mapping[str, Mapping[str, Tensor]]


@dataclasses.dataclass(frozen=True)
class Parts:
    """An artifact taken apart: JSON data, named groups of tensors, rows of a log.

    `shared` names the groups that other artifacts are likely to hold too (the rewind point of a whole ladder); a store
    keeps them once.
    """

    header: Mapping[str, Any]
    groups: Groups
    rows: tuple[Mapping[str, Any], ...] = ()
    shared: frozenset[str] = frozenset()


class Artifact(Keyed):
    """A result of a step that can be written and read back."""

    @abc.abstractmethod
    def stamped(self, call: Call) -> Self:
        """The same result, with the call that made it added to its lineage."""

    @abc.abstractmethod
    def parts(self) -> Parts:
        """Taken apart, to be written."""

    def numbers(self) -> dict[str, float]:
        """What can be read off it at once: a store writes these beside it, so that a report need not load it."""
        return {}

    def proofs(self) -> dict[str, bool]:
        """The checks that were made while it was made, and whether they held."""
        return {}

    @classmethod
    @abc.abstractmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together again; what does not fit is `Damaged`."""
