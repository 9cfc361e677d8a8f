"""Elastic tickets, fully connected layers: table 5 of Chen et al. 2021

Tickets found on networks of a few hidden linear layers, carried to more and to fewer of them. The half "mlp" is on
MNIST as published, about two hours on two cores; the half "vgg" has the hidden layers of VGG-13 on CIFAR-10, for a GPU,
or with size=small on small pictures and narrow networks. The arm "as run" leaves the layer behind the repeated ones out
of the map, as the paper's scripts did with their MLPs: it starts anew and dense, so the carried ticket is too dense. In
the arm "equal" the carried ticket has the density of the target's own, but for a few weights of rounding.

tombola run elastic_fc && tombola report elastic_fc
tombola run "elastic_fc(half=vgg, size=small)" && tombola report "elastic_fc(half=vgg, size=small)"
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from tombola import (
    Agrees,
    Better,
    Claim,
    Curve,
    Everywhere,
    Goal,
    NotWorse,
    Pivot,
    Published,
    Recipe,
    carry,
    defer,
    prove,
    row,
)
from tombola.archs.mlp import Mlp
from tombola.archs.vgg import Vgg
from tombola.core.errors import Refused
from tombola.moves.stretch import Squeeze, Stretch
from tombola.studies import _names
from tombola.studies._elastic import KEEP, RIVALS, Bench, Size, small
from tombola.studies._words import known
from tombola.tasks.cifar import Cifar10
from tombola.tasks.mnist import Mnist
from tombola.train.recipes import ElasticMlp, ElasticVgg

QUESTION = "Does a ticket survive when hidden linear layers are repeated or dropped?"
NAMES = _names.ELASTIC
Half = Literal["mlp", "vgg"]
LEVELS = 10
"""89.26 % of the weights are gone."""
MOST_LOST = 0.0021
"""The paper: no transfer loses 0.21 points or more to the target's own ticket."""
NETS = {"mlp": ("MLP-2", "MLP-3", "MLP-4"), "vgg": ("VGG-13-2", "VGG-13-3", "VGG-13-5")}
TABLE = {
    "mlp": ((98.06, 97.95, 97.99), (97.91, 97.83, 97.83), (97.88, 97.91, 98.03)),
    "vgg": ((93.50, 93.61, 93.38), (93.50, 93.62, 93.59), (93.44, 93.59, 93.38)),
}
"""Rows are sources, columns targets; the diagonal is each network's own ticket."""
SOURCE = "Chen et al. 2021, table 5"
ARMS = ("as run", "equal")


@dataclasses.dataclass(frozen=True)
class Layers(Bench):
    """Networks that differ in their hidden linear layers."""

    half: Half

    def arch(self, net: str) -> Any:
        """The last number is that of the layers which are repeated (in a VGG, with the head)."""
        layers = _layers(net)
        if self.half == "mlp":
            return Mlp(hidden=(*[300] * layers, 100), init="kaiming_normal")
        return Vgg(depth=13, linear=layers, width=64 if self.size == "full" else 16, bn_scale="uniform")

    @property
    def task(self) -> Any:
        """The data."""
        if self.half == "mlp":
            return Mnist()
        return Cifar10(normalise="imagenet") if self.size == "full" else Cifar10(size=16, crop=2)

    @property
    def recipe(self) -> Recipe:
        """As published; small: an eighth of the epochs, on 20,000 pictures."""
        if self.half == "mlp":
            return ElasticMlp(evaluate="10ep")
        return ElasticVgg(evaluate="40ep") if self.size == "full" else small(ElasticVgg(), rewind=31)

    @property
    def scope(self) -> Everywhere:
        """The head is spared and counts in the total."""
        return Everywhere(exclude=("head.weight",), rounding="one_more")

    def carried(self, ticket: Any, source: str, target: str, **options: Any) -> Any:
        """A ticket of one network in another one."""
        names = NETS[self.half]
        move = Stretch if names.index(target) > names.index(source) else Squeeze
        return defer(carry, ticket=ticket, by=move(to=self.arch(target), **options))


def _layers(net: str) -> int:
    """How many of its layers are repeated."""
    return int(net.rpartition("-")[2])


def goals(
    *,
    half: Half = "mlp",
    size: Size = "full",
    levels: int = 10,
    seeds: tuple[int, ...] = (0, 1, 2),
    arms: tuple[str, ...] = ("as run", "equal"),
    controls: tuple[str, ...] = ("reinit", "random", "random, as run", "one-shot magnitude", "SNIP", "GraSP"),
) -> Iterator[Goal]:
    """Each network's own ticket, carried to both others, and the rivals at its density."""
    known("controls", controls, RIVALS)
    known("arms", arms, ARMS)
    if (half, size) == ("mlp", "small"):
        raise Refused("elastic_fc: half=mlp has no small size, it is on MNIST as published. Leave out size=small.")
    density = KEEP**levels
    for seed in seeds:
        bench = Layers(size, seed, half)
        own = {name: bench.tickets(name, levels) for name in NETS[half]}
        for net, tickets in own.items():
            labels = {"net": net, "layers": _layers(net), "seed": seed}
            yield row(bench.trained(tickets[0]), **labels, source="", arm="dense")
            yield row(bench.trained(tickets[-1]), **labels, source=net, arm="ticket")
            for source in [name for name in own if name != net]:
                ticket = bench.carried(own[source][-1], source, net)
                yield row(bench.trained(ticket), **labels, source=source, arm="ticket")
                proof = defer(prove, ticket=ticket, parents=(own[source][-1],))
                yield row(proof, **labels, source=source, probe="proof")
                if "as run" in arms and half == "mlp":
                    fresh = bench.carried(own[source][-1], source, net, fresh=("stages.1.0",), seed=seed)
                    yield row(bench.trained(fresh), **labels, source=source, arm="as run")
                if "equal" in arms:
                    equal = bench.equalized(ticket, density)
                    yield row(bench.trained(equal), **labels, source=source, arm="equal")
            for name in controls:
                yield row(bench.rival(name, net, tickets, levels), **labels, source="", arm=name)


def claims(*, half: Half, size: Size, levels: int, arms: tuple[str, ...], controls: tuple[str, ...]) -> Iterator[Claim]:
    """The table's numbers, what the paper says of them, and what its controls should be."""
    names = NETS[half]
    for i, source in enumerate(names):
        for j, net in enumerate(names):
            arm = "ticket" if i == j or half == "vgg" else "as run"
            if size == "full" and levels == LEVELS and (arm == "ticket" or arm in arms):
                where = {"net": net, "source": source, "arm": arm}
                said = Published(value=TABLE[half][i][j] / 100, source=SOURCE, reading=0.00005)
                sentence = f"{source} carried to {net}" if i != j else f"{net}'s own ticket"
                sentence += f" reaches {100 * said.value:.2f} %"
                yield Claim(sentence, tests=(Agrees(where=where, published=said),), family="table")
            if i == j:
                continue
            for arm in ("ticket", *(("equal",) if "equal" in arms else ())):
                where, own = {"net": net, "source": source, "arm": arm}, {"net": net, "source": net, "arm": "ticket"}
                density = "required" if arm == "equal" else "any"
                same = NotWorse(where=where, than=own, margin=MOST_LOST, equal_density=density)
                how = "at equal density " if arm == "equal" else ""
                sentence = f"{source}'s ticket {how}loses less than 0.21 points in {net} to its own"
                yield Claim(sentence, tests=(same,), family=f"transfer, {arm}")
    for net in names if "equal" in arms else ():
        for source in [name for name in names if name != net]:
            for name in controls:
                ahead = Better(where={"net": net, "source": source, "arm": "equal"}, than={"net": net, "arm": name})
                yield Claim(f"{source}'s ticket beats {name} in {net}", tests=(ahead,), family="rivals")


def _shown(half: Half, arms: tuple[str, ...]) -> list[str]:
    """The arms there are: as run the networks of the VGG half are complete."""
    return [arm for arm in ARMS if arm in arms and (arm != "as run" or half == "mlp")]


def figures(*, half: Half, arms: tuple[str, ...]) -> Iterator[Curve]:
    """Each source's ticket in networks of more and of fewer layers."""
    shown: Any = {"x": "layers", "by": "source", "log_x": False}
    yield Curve(where={"arm": "ticket"}, title="Tickets in other networks, as they were carried", **shown)
    for arm in _shown(half, arms):
        title = "The same at the target's density" if arm == "equal" else "The same, as the paper ran it"
        yield Curve(where={"arm": arm}, title=title, **shown)


def tables(*, half: Half, arms: tuple[str, ...]) -> Iterator[Pivot]:
    """Table 5, its other arms, and the rivals."""
    shown: Any = {"lines": "source", "columns": "net", "verdicts": "hide"}
    yield Pivot(where={"arm": "ticket"}, title="Table 5: the ticket of (line) in (column)", **shown)
    for arm in _shown(half, arms):
        yield Pivot(where={"arm": arm}, title=f"Table 5, {arm}", **shown)
    yield Pivot(where={"source": ""}, lines="arm", columns="net", title="Rivals in the target", verdicts="hide")
    yield Pivot(where={"arm": "ticket"}, of="density", title="Density of the tickets carried", **shown)
    if "as run" in _shown(half, arms):
        yield Pivot(where={"arm": "as run"}, of="density", title="Density as run", **shown)
