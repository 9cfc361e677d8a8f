"""Carry a ticket to another domain: the same network, another task (Desai, Zhan and Aly 2019, section 5).

Only a mask and initial values cross the border; what was trained in the source domain stays there, unless the ticket
itself holds trained values. That the target is trained on all its labels, from the carried start, is up to who trains.
"""

import fnmatch
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.expected import State, expected
from tombola.core.layout import Arch, Interface, initial_weights
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.task import Task, label_space
from tombola.core.text import parse
from tombola.core.ticket import Ticket


@plugin("move", "transplant")
class Transplant:
    """The ticket on another task: its mask, with its own values or others (Desai, Zhan and Aly 2019, section 5).

    With the defaults it is MASKS-RESET of that paper, and with `weights` "reinit" MASKS-RANDOM. A ticket that restarts
    from trained weights (cut with restart='rate' or 'fine-tune') is carried with them: that is fine-tuning. Statistics
    of batch norm come with the values, so carried ones are those of the source domain; `renorm` gathers the target's.
    The text of the recipe stays the source's.

    Args:
        to: The task. Its inputs, and of texts its vocabulary, must be those of the ticket.
        weights: "rewound", the ticket's own values. "reinit", new ones, those of the move `reinit`. "init", those that
            `draw` begins with on the target for this seed: the target's own start, which is that of the source if the
            seed is (initial weights know of no task), so that only the mask is carried. "signs", the magnitudes of
            "reinit" with the signs of the ticket's values (Zhou et al. 2019).
        head: Whether the layout's head is "carried", treated as the rest; "fresh", new values, all alive; or "fresh,
            masked", new values under the carried mask. All but "fresh" need classes that are as many and stand for the
            same, where both tasks say for what (`label_space`).
        dense: Patterns of masked tensors whose mask is lifted, such as "stem.*" for an embedding; what was dead there
            lives with the values that it gets, so that the density rises.
        draw: Whether new values are one draw for all masks ("fixed") or another one for each ("fresh"), as of the move
            `reinit`; of `weights` "reinit" and "signs" only.
        start: Where training begins: "" where the values are from, at the ticket's step for its own and at step 0 for
            new ones, which were never trained; "beginning", step 0; "rewind", the ticket's step.
        seed: Of the values that are drawn, a fresh head's among them.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.tasks.mnist import Mnist
        >>> from tombola.train.recipes import Quickstart
        >>> dense = draw(Mlp(hidden=(8,)), Digits(), Quickstart())
        >>> there = dense | Transplant(to=Mnist(size=8))
        >>> there.task, there.mask == dense.mask
        ('mnist(size=8)', True)
    """

    to: Task
    weights: Literal["rewound", "reinit", "init", "signs"] = "rewound"
    head: Literal["carried", "fresh", "fresh, masked"] = "carried"
    dense: tuple[str, ...] = ()
    draw: Literal["fixed", "fresh"] = "fixed"
    start: Literal["", "beginning", "rewind"] = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what would be ignored."""
        if self.draw == "fresh" and self.weights not in ("reinit", "signs"):
            raise Refused(
                f"transplant: draw='fresh' draws new values for each mask, and weights='{self.weights}' draws none. "
                "Use weights='reinit' or 'signs', or leave draw out."
            )

    def __call__(self, ticket: Ticket) -> Ticket:
        """A ticket of the same network on the target task."""
        there = self._checked(ticket)
        head = _inside(ticket.arch.layout().head, there)
        mask = self._mask(ticket, there, head)
        new = self.weights != "rewound"
        weights = self._weights(ticket, head, mask)
        whole = self.weights in ("reinit", "init") or ticket.holding == "all"
        step = ticket.step if self.start == "rewind" or not (self.start or new) else 0
        return ticket.rebuilt(
            io=self.to.io,
            mask=mask,
            weights=weights if whole else mask.apply(weights),
            step=step,
            restart="weights" if new else ticket.restart,
            holding="all" if whole else "alive",
            task=str(self.to),
            data=str(self.to.__identity__().get("data", "")),  # type: ignore[attr-defined]
        )

    def copied(self, source: Arch, io: Interface) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Which masks and which weights of the target are those of the source, bit for bit: target's name to source's.

        What is not named is new, or was lifted.
        """
        there = expected(source, self.to.io)
        head = _inside(source.layout().head, there)
        masks = {n: n for n in there if not self._lifted(n) and not (n in head and self.head == "fresh")}
        if self.weights != "rewound":
            return masks, {}
        return masks, {name: name for name in there if name not in head or self.head == "carried"}

    def _checked(self, ticket: Ticket) -> State:
        """What the network's state dict is on the target.

        Raises:
            Refused: If the ticket cannot be carried there.
        """
        here, io = ticket.io, self.to.io
        of = f"transplant: {ticket!r} is a network for"
        if (here.tokens > 0) != (io.tokens > 0):
            what = ("tokens", "numbers") if here.tokens else ("numbers", "tokens")
            raise Refused(f"{of} inputs of {what[0]}, and {self.to} has inputs of {what[1]}. Find one on that task.")
        if here.inputs != io.inputs:
            raise Refused(
                f"{of} inputs of shape {here.inputs}, and those of {self.to} have shape {io.inputs}. Both tasks must "
                "give inputs of one shape: let one of them give the other's, by the options that it has for that."
            )
        if (here.tokens, here.vocabulary) != (io.tokens, io.vocabulary):
            raise Refused(
                f"{of} a vocabulary of {_vocabulary(here)}, and that of {self.to} has {_vocabulary(io)}. A mask of "
                "embedding rows means nothing under another vocabulary: use one that was made for both tasks."
            )
        if here.classes != io.classes and self.head != "fresh":
            raise Refused(
                f"{of} {here.classes} classes, and {self.to} has {io.classes}: head='{self.head}' would carry rows "
                "that stand for other classes. Use head='fresh'."
            )
        own, theirs = _label_space(ticket.task), label_space(self.to)
        if own and theirs and own != theirs and self.head != "fresh":
            raise Refused(
                f"{of} {own} ({ticket.task}), and the {io.classes} classes of {self.to} are {theirs}: "
                f"head='{self.head}' would carry rows that stand for other classes. Use head='fresh'."
            )
        before, there = expected(ticket.arch, here), expected(ticket.arch, io)
        head = _inside(ticket.arch.layout().head, there)
        if self.head != "carried" and not head:
            raise Refused(f"transplant: the layout of {ticket.arch} names no head. Use head='carried'.")
        for name in [*before, *there]:
            if before.get(name) != there.get(name) and name not in head:
                raise Refused(
                    f"transplant: '{name}' of {ticket.arch} is not the same on {self.to}, and it is no part of the "
                    f"layout's head ({', '.join(ticket.arch.layout().head) or 'none'}). Find a ticket on that task."
                )
        for pattern in self.dense:
            if not fnmatch.filter(ticket.mask, pattern):
                raise Refused(
                    f"transplant: dense: '{pattern}' matches no masked tensor. There are: {', '.join(ticket.mask)}."
                )
        return there

    def _lifted(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.dense)

    def _mask(self, ticket: Ticket, there: State, head: frozenset[str]) -> Mask:
        alive: dict[str, Tensor] = {}
        for name, own in ticket.mask.items():
            lifted = self._lifted(name) or (name in head and self.head == "fresh")
            alive[name] = torch.ones(there[name][0], dtype=torch.bool) if lifted else own
            redrawn = self.weights in ("reinit", "init") or (name in head and self.head != "carried")
            if lifted and not redrawn and ticket.mask.kept_in(name) < own.numel():
                ticket.needs_all(f"lifting the mask of '{name}' (dense={self.dense!r}, weights='{self.weights}')")
        return Mask(alive)

    def _weights(self, ticket: Ticket, head: frozenset[str], mask: Mask) -> dict[str, Tensor]:
        own = ticket.weights
        if self.weights == "rewound" and self.head == "carried":
            return dict(own)
        names: tuple[str | int, ...] = ("init", self.seed)
        if self.weights in ("reinit", "signs"):
            names = ("reinit", self.seed, *([ticket.mask.digest()] if self.draw == "fresh" else []))
        drawn = initial_weights(ticket.arch, self.to.io, *names)
        weights: dict[str, Tensor] = {}
        for name, value in drawn.items():
            fresh = name in head and self.head != "carried"
            if self.weights == "rewound" and not fresh:
                weights[name] = own[name]
                continue
            value = value.to(own[name].dtype) if name in own else value
            if self.weights == "signs" and not fresh and name in mask:
                value = torch.copysign(value.abs(), own[name])
            weights[name] = value
        return weights


def _label_space(task: str) -> str:
    """What the classes of a task stand for; "" where its text says nothing here, as of a task that is not loaded."""
    try:
        return label_space(parse("task", task)) if task else ""
    except Refused:
        return ""


def _inside(modules: tuple[str, ...], state: State) -> frozenset[str]:
    """The entries of a state dict that belong to some modules."""
    return frozenset(name for name in state if name.startswith(tuple(f"{module}." for module in modules)))


def _vocabulary(io: Interface) -> str:
    return f"{io.tokens:,} tokens (digest '{io.vocabulary[:16]}')"
