"""A trained network: final weights, the curve that led there, what was checked and what it cost; with its ticket."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor, nn

from tombola.core import container, files
from tombola.core.artifact import Artifact, Parts
from tombola.core.call import Call
from tombola.core.errors import Damaged
from tombola.core.layout import blank, shapes
from tombola.core.lineage import Lineage
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.train.recipe import Recipe

SCORES = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a training took.

    `seconds` of the clock and `device_seconds` of the device (processor time, or the time that a GPU was held), of both
    its share where it was in a fleet; steps; the peak of the process's memory, or on a GPU of its tensors, in bytes;
    operations (see train.flops); `images`: training examples seen, with repetition.
    """

    seconds: float
    steps: int
    peak_memory: int
    flops_dense: float
    flops_sparse: float
    device_seconds: float = 0.0
    images: int = 0

    @property
    def images_per_second(self) -> float:
        """Training examples for each second of the clock, evaluations included."""
        return self.images / self.seconds if self.seconds else 0.0

    def numbers(self) -> dict[str, float]:
        """All of it, by name."""
        return {**dataclasses.asdict(self), "images_per_second": self.images_per_second}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Trained(Artifact):
    """What `train` gives. `weights` is the final state dict, `log` the curve, `scores` the result, `checks` the proofs.

    `scores` has test_accuracy, test_loss, train_accuracy, train_loss, and with a validation part validation_accuracy
    and validation_loss (accuracies as fractions), all of the weights given back. `checks` maps the name of a check to
    whether it held; a check that fails stops the training, so a result whose checks are not all true was altered.
    If the mask changed in training, `rewired` is the last one, and `history` tells each change: its step, how many
    weights died and came, how many live in each tensor, how many ever lived, and the mask's digest.
    """

    ticket: Ticket
    task: Task
    recipe: Recipe
    seeds: Seeds
    weights: Mapping[str, Tensor]
    log: tuple[Mapping[str, Any], ...]
    scores: Mapping[str, float]
    checks: Mapping[str, bool]
    cost: Cost
    rewired: Mask | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    lineage: Lineage = Lineage()

    @property
    def mask(self) -> Mask:
        """What is alive at the end."""
        return self.ticket.mask if self.rewired is None else self.rewired

    @property
    def test_accuracy(self) -> float:
        """The fraction of test examples answered rightly."""
        return self.scores["test_accuracy"]

    @functools.cached_property
    def digest(self) -> str:
        """The digest of the final weights and the mask."""
        return container.content_digest({"mask": self.mask.digest()}, self.weights)[:32]

    @property
    def key(self) -> str:
        """The key of the call that made it; one of its content if it was changed by hand."""
        return self.lineage.key_for(self.digest, otherwise="trained")

    def stamped(self, call: Call) -> Self:
        """The same network with one call more in its lineage."""
        return dataclasses.replace(self, lineage=self.lineage.then(call, digest=self.digest))

    def __repr__(self) -> str:
        """A line for people."""
        by = "" if self.rewired is None else f", {self.recipe.rewire} to density {self.mask.density:.4g}"
        where = "" if str(self.task) == self.ticket.task else f", trained on {self.task}"
        return f"Trained({self.ticket!r}{by}{where}, test accuracy {self.test_accuracy:.4f}, {self.cost.steps:,} steps)"

    def numbers(self) -> dict[str, float]:
        """Scores, what its ticket keeps, and what the training took."""
        explored = {"explored": self.history[-1]["explored"]} if self.history else {}
        return {**self.scores, **self.mask.numbers(), **self.cost.numbers(), **explored}

    def proofs(self) -> dict[str, bool]:
        """The checks made inside the training."""
        return dict(self.checks)

    def module(self) -> nn.Module:
        """A plain module with the final weights."""
        net = blank(self.ticket.arch, self.ticket.io)
        net.load_state_dict({name: value.clone() for name, value in self.weights.items()}, assign=True)
        return net

    def parts(self) -> Parts:
        """Header, ticket and weights, as they are written."""
        inner = self.ticket.parts()
        header = {
            "task": str(self.task),
            "recipe": str(self.recipe),
            "seeds": str(self.seeds),
            "scores": dict(self.scores),
            "checks": dict(self.checks),
            "cost": dataclasses.asdict(self.cost),
            "lineage": self.lineage.to_json(),
            "ticket": dict(inner.header),
        }
        groups = {f"ticket_{name}": members for name, members in inner.groups.items()}
        shared = frozenset(f"ticket_{name}" for name in inner.shared)
        groups["trained"] = dict(self.weights)
        if self.rewired is not None:
            header["history"] = [dict(row) for row in self.history]
            groups["rewired"] = {"bits": self.rewired.bits()}
        return Parts(header, groups, self.log, shared)

    @classmethod
    def from_parts(cls, parts: Parts) -> "Trained":
        """The trained network, after checking that all fits.

        Raises:
            Damaged: If something does not, or text in its header cannot be printed.
        """
        container.check_printable(parts)
        header = parts.header
        own = ("trained", "rewired")
        inner = {name.removeprefix("ticket_"): group for name, group in parts.groups.items() if name not in own}
        try:
            ticket = Ticket.from_parts(Parts(header["ticket"], inner))
            weights = parts.groups["trained"]
            expected = shapes(blank(ticket.arch, ticket.io))
            if {name: tuple(value.shape) for name, value in weights.items()} != expected:
                raise Damaged(f"the trained weights do not fit {ticket.arch}.")
            return cls(
                ticket=ticket,
                task=parse("task", header["task"]),
                recipe=parse("recipe", header["recipe"]),
                seeds=parse("seeds", header["seeds"]),
                weights={name: weights[name] for name in expected},
                log=parts.rows,
                scores=_named(header, "scores", float, SCORES),
                checks=_named(header, "checks", bool, ()),
                cost=Cost(**header["cost"]),
                rewired=_rewired(parts, ticket.mask),
                history=tuple(header.get("history", ())),
                lineage=Lineage.from_json(header["lineage"]),
            )
        except Damaged:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Damaged(f"not a sound trained network: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `.trained` file, whole or not at all.

        Raises:
            Failed: If the place cannot be written.
        """
        files.write_bytes(path, container.encode("trained", self.parts()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Trained":
        """Read a `.trained` file.

        Raises:
            Damaged: If it is absent, no such file, or altered.
        """
        parts = container.decode("trained", files.read_bytes(path), source=str(pathlib.Path(path)))
        try:
            return cls.from_parts(parts)
        except Damaged as error:
            raise Damaged(f"{path}: {error}") from error


def _rewired(parts: Parts, like: Mask) -> Mask | None:
    """The last mask of a training that changed it, of the tensors that the ticket masks."""
    if "rewired" not in parts.groups:
        return None
    return Mask.unpacked(parts.groups["rewired"]["bits"].numpy().tobytes(), like.shapes)


def _named(header: Mapping[str, Any], name: str, kind: type, needed: tuple[str, ...]) -> dict[str, Any]:
    """A header's named values, all of one kind, with those that must be there."""
    values = header[name]
    if not isinstance(values, dict) or not values or not all(type(value) is kind for value in values.values()):
        raise Damaged(f"not a sound trained network: its {name} are not names with a {kind.__name__} each.")
    if missing := [one for one in needed if one not in values]:
        raise Damaged(f"not a sound trained network: '{missing[0]}' is not among its {name}.")
    return dict(values)
