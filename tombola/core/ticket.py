"""A ticket: a mask, the weights it restarts from, the network both belong to, and how it came about.

A ticket is an immutable value in one `.ticket` file. Everything that happens to tickets is `Ticket -> Ticket`.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from tombola.core import container, files
from tombola.core.artifact import Artifact, Parts
from tombola.core.call import Call
from tombola.core.errors import Damaged, Refused, UnknownName
from tombola.core.expected import FLOATS, check_weights, expected
from tombola.core.layout import Arch, Interface, blank
from tombola.core.lineage import Lineage
from tombola.core.mask import Mask
from tombola.core.text import parse

Restart = Literal["weights", "rate", "fine-tune"]
RESTARTS = ("weights", "rate", "fine-tune")
Holding = Literal["all", "alive"]
Move = Callable[["Ticket"], "Ticket"]
CUTS = ("cut", "cut_early")
"""The verbs that end in a ticket of the next level."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Ticket(Artifact):
    """Mask, weights at the rewind point, and lineage, for a network built by `arch` and `io`.

    `weights` is a whole state dict: parameters and batch-norm statistics. With `holding` "all" it keeps the rewind
    values under dead positions too, which controls and rewiring need; with "alive" those are zero. `step` is where its
    training starts. `restart` says what the weights are: "weights", those of the rewind point; "rate", trained ones
    with the schedule set back to `step`; "fine-tune", trained ones with the schedule's last rate (Renda et al. 2020).
    `task` and `recipe` are the texts of those it was drawn with, `data` is the digest of the data set that was read.
    Its tensors must not be changed in place.
    """

    arch: Arch
    io: Interface
    mask: Mask
    weights: Mapping[str, Tensor]
    step: int = 0
    restart: Restart = "weights"
    holding: Holding = "all"
    task: str = ""
    recipe: str = ""
    data: str = ""
    lineage: Lineage = Lineage()

    @property
    def level(self) -> int:
        """The number of cuts behind it; of a merged ticket, behind the one of its parts that has most."""
        return self.lineage.longest(CUTS)

    @property
    def moves(self) -> tuple[str, ...]:
        """The texts of the moves that made it what it is since its last cut or merge, in order."""
        since: list[str] = []
        for event in self.lineage:
            if event.function == "carry":
                since.append(event.call.partition("by=")[2].removesuffix(")"))
            elif event.function in ("merge", "renorm", "align"):
                since = [*(since if event.function != "merge" else ()), event.function]
            elif event.function in CUTS:
                since = []
        return tuple(since)

    @property
    def density(self) -> float:
        """The fraction of prunable weights alive."""
        return self.mask.density

    @functools.cached_property
    def digest(self) -> str:
        """The digest of the content: everything but the lineage."""
        parts = self.parts()
        header = {name: value for name, value in parts.header.items() if name not in ("lineage", "level")}
        tensors = {f"{group}.{name}": value for group, of in parts.groups.items() for name, value in of.items()}
        return container.content_digest(header, tensors)[:32]

    @property
    def key(self) -> str:
        """The key of the call that made it; one of its content if it was made or changed by hand."""
        return self.lineage.key_for(self.digest, otherwise="ticket")

    def numbers(self) -> dict[str, float]:
        """What it keeps, and how many tensors have no weight left."""
        return self.mask.numbers()

    def stamped(self, call: Call) -> Self:
        """The same ticket with one call more in its lineage."""
        return dataclasses.replace(self, lineage=self.lineage.then(call, digest=self.digest))

    def rebuilt(self, **changes: Any) -> "Ticket":
        """A ticket with some fields replaced and the same lineage: what moves are made of."""
        return dataclasses.replace(self, **changes)

    def __or__(self, move: Move) -> "Ticket":
        """`ticket | move` is `carry(ticket, by=move)`."""
        return move(self).stamped(Call("carry", 1, {"ticket": self, "by": move}))

    def __repr__(self) -> str:
        """A line for people."""
        task = f" on {self.task}" if self.task else ""
        moves = "".join(f", by {move}" for move in self.moves)
        return f"Ticket({self.arch}{task}, level {self.level}, density {self.density:.4g}{moves})"

    def masked(self) -> dict[str, Tensor]:
        """A copy of the weights with dead ones exactly zero: where training starts."""
        return self.mask.apply(self.weights)

    def module(self) -> nn.Module:
        """A plain module with a plain state dict; dead weights are zero."""
        net = blank(self.arch, self.io)
        net.load_state_dict(self.masked(), assign=True)
        return net

    def alive(self) -> "Ticket":
        """The ticket with its survivors only, for storing and sharing: the smallest file."""
        if self.holding == "alive":
            return self
        return self.rebuilt(weights=self.masked(), holding="alive").stamped(Call("alive", 1, {"ticket": self}))

    def needs_all(self, what: str) -> Mapping[str, Tensor]:
        """The weights, dead positions included.

        Raises:
            Refused: If the ticket holds its survivors only.
        """
        if self.holding == "all" or self.mask.kept == self.mask.size:
            return self.weights
        needed = f"{what} needs the rewind values under dead positions; {self!r}"
        if self.restart != "weights":
            raise Refused(
                f"{needed} restarts from trained weights (restart='{self.restart}'), which have none there. Cut "
                "it with restart='weights'."
            )
        raise Refused(
            f"{needed} holds its survivors only. Use the ticket file that holds all weights (find --out writes it "
            "unless --alive is given)."
        )

    def parts(self) -> Parts:
        """Header, mask and weights, as they are written (see docs/ticket-format.md)."""
        header = {
            "arch": str(self.arch),
            "io": self.io.to_json(),
            "task": self.task,
            "recipe": self.recipe,
            "data": self.data,
            "step": self.step,
            "restart": self.restart,
            "weights": self.holding,
            "mask": [[name, list(shape)] for name, shape in self.mask.shapes.items()],
            "kept": self.mask.kept,
            "size": self.mask.size,
            "level": self.level,
            "lineage": self.lineage.to_json(),
        }
        bits = {"bits": self.mask.bits()}
        if self.holding == "all":
            return Parts(header, {"mask": bits, "weights": dict(self.weights)}, shared=frozenset({"weights"}))
        rest = {name: value for name, value in self.weights.items() if name not in self.mask}
        survivors = [self.weights[name][self.mask[name]] for name in self.mask]
        if len({value.dtype for value in survivors}) > 1:
            raise Refused("the masked weights are of several types; a file of survivors needs one. Write all weights.")
        values = torch.cat(survivors) if survivors else torch.zeros(0)
        return Parts(header, {"mask": bits, "weights": rest, "alive": {"values": values}})

    @classmethod
    def from_parts(cls, parts: Parts) -> "Ticket":
        """The ticket, after checking that mask and tensors fit the network, on the meta device, before it is built.

        Raises:
            Damaged: If they do not, a count in the header is wrong, or text in it cannot be printed.
        """
        container.check_printable(parts)
        header = parts.header
        try:
            arch = parse("arch", _text(header, "arch"))
            io = Interface.from_json(header["io"])
            state = expected(arch, io)
            masked = {name: tuple(shape) for name, shape in header["mask"]}
            if len(masked) != len(header["mask"]):
                raise Damaged("a tensor stands twice in the mask.")
            sizes = {name: shape for name, (shape, _) in state.items()}
            if unknown := [name for name, shape in masked.items() if sizes.get(name) != shape]:
                raise Damaged(f"the mask of '{unknown[0]}' does not fit {arch}, which has {sizes.get(unknown[0])}.")
            bits = parts.groups["mask"]["bits"]
            if bits.dtype != torch.uint8 or bits.dim() != 1:
                raise Damaged("the mask's bits are not a row of bytes.")
            mask = Mask.unpacked(bits.numpy().tobytes(), masked)
            _matches(header, "kept", mask.kept)
            _matches(header, "size", mask.size)
            holding: Holding = "all" if _word(header, "weights", ("all", "alive")) == "all" else "alive"
            weights = dict(parts.groups.get("weights", {}))
            if holding == "alive":
                weights |= _spread(parts.groups["alive"]["values"], mask)
            check_weights(weights, state, arch)
            ticket = cls(
                arch=arch,
                io=io,
                mask=mask,
                weights={name: weights[name] for name in state},
                step=header["step"],
                restart=_word(header, "restart", RESTARTS),  # type: ignore[arg-type]
                holding=holding,
                task=_text(header, "task"),
                recipe=_text(header, "recipe"),
                data=_text(header, "data"),
                lineage=Lineage.from_json(header["lineage"]),
            )
        except Damaged:
            raise
        except UnknownName as error:
            hint = "If it comes from a file of your own, name that file: --use FILE.py, or load_file() in Python."
            raise Damaged(f"not a sound ticket here: {error} {hint}") from error
        except KeyError as error:
            raise Damaged(f"not a sound ticket: {error} is missing.") from error
        except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise Damaged(f"not a sound ticket: {str(error)[:500]}") from error
        _matches(header, "level", ticket.level)
        if type(ticket.step) is not int or not 0 <= ticket.step < 2**63:
            raise Damaged(f"not a sound ticket: it starts at step {container.brief(ticket.step)}.")
        return ticket

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the `.ticket` file, whole or not at all.

        Raises:
            Failed: If the place cannot be written.
        """
        files.write_bytes(path, self.encoded())

    def encoded(self) -> bytes:
        """The bytes of its file; equal tickets have equal bytes."""
        return container.encode("ticket", self.parts())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Ticket":
        """Read a `.ticket` file.

        Raises:
            Damaged: If it is absent, no ticket file, altered, or does not fit the network that it names.
        """
        return cls.decoded(files.read_bytes(path), source=str(pathlib.Path(path)))

    @classmethod
    def decoded(cls, data: bytes, *, source: str = "the data") -> "Ticket":
        """A ticket from the bytes of its file."""
        parts = container.decode("ticket", data, source=source)
        try:
            return cls.from_parts(parts)
        except Damaged as error:
            raise Damaged(f"{source}: {error}") from error


def _text(header: Mapping[str, Any], name: str) -> str:
    value = header[name]
    if not isinstance(value, str):
        raise Damaged(f"the header's '{name}' is not text.")
    return value


def _word(header: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    value = header[name]
    if value not in words:
        raise Damaged(f"the header's '{name}' is {container.brief(value)}; it must be one of {', '.join(words)}.")
    return str(value)


def _matches(header: Mapping[str, Any], name: str, true: int) -> None:
    if type(header.get(name)) is not int or header[name] != true:
        raise Damaged(f"the header says {name} {container.brief(header.get(name))}; counted: {true}.")


def _spread(values: Tensor, mask: Mask) -> dict[str, Tensor]:
    if values.dim() != 1 or len(values) != mask.kept:
        raise Damaged(f"{tuple(values.shape)} survivors for {mask.kept} living weights.")
    weights: dict[str, Tensor] = {}
    start = 0
    for name in mask:
        stop = start + mask.kept_in(name)
        whole = torch.zeros(mask[name].shape, dtype=values.dtype)
        if values.dtype in FLOATS:
            whole.masked_scatter_(mask[name], values[start:stop])  # Twice as fast as an indexed assignment.
        else:  # Few operations know the other types; what is wrong with them is said where all tensors are checked.
            whole[mask[name]] = values[start:stop]
        weights[name] = whole
        start = stop
    return weights
