"""Elastic tickets, to another depth and other data at once: table 6 of Chen et al. 2021

Tickets of ResNet-20, found on one data set, trained as they are or stretched to ResNet-32, on the same data or on the
other set. The paper has SVHN and CIFAR-10; with other=fashion_mnist, which needs no further data, garments in colour
stand in for house numbers, and no number compares with the paper's. A carried ticket goes on from its rewind point, in
its schedule too (the paper's code trained the full schedule from there).

tombola run elastic_transfer --workers 2 && tombola report elastic_transfer
tombola run "elastic_transfer(other=svhn, size=full)" && tombola report "elastic_transfer(other=svhn, size=full)"
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, Literal

from tombola import Agrees, Better, Claim, Goal, Pivot, Published, Recipe, carry, defer, row
from tombola.archs.resnet import ResNet
from tombola.moves.stretch import Stretch
from tombola.probes.lost import lost
from tombola.studies import _names
from tombola.studies._elastic import Bench, Size, small
from tombola.tasks.cifar import Cifar10
from tombola.tasks.mnist import FashionMnist
from tombola.tasks.svhn import Svhn
from tombola.train.recipes import ElasticResNet

QUESTION = "Do the losses of carrying a ticket to another depth and to other data add up?"
NAMES = _names.ELASTIC
Other = Literal["fashion_mnist", "svhn"]
NETS = (20, 32)
LEVELS = 10
OWN = {("svhn", 20): 0.9595, ("svhn", 32): 0.9632, ("cifar10", 20): 0.9107, ("cifar10", 32): 0.9222}
CARRIED = {
    **{("svhn", "svhn", 32): 0.9600, ("svhn", "cifar10", 20): 0.8721, ("svhn", "cifar10", 32): 0.8867},
    **{("cifar10", "svhn", 20): 0.9544, ("cifar10", "svhn", 32): 0.9579, ("cifar10", "cifar10", 32): 0.9138},
}
"""Data of the source, data of the target, target: all from ResNet-20."""
SOURCE = "Chen et al. 2021, table 6"


@dataclasses.dataclass(frozen=True)
class Pair(Bench):
    """One data set's networks."""

    data: str

    def arch(self, net: int) -> Any:
        """As published, or half as wide."""
        return ResNet(depth=net, width=16 if self.size == "full" else 8, bn_scale="uniform")

    @property
    def task(self) -> Any:
        """All sets are pictures of one size in colour, in ten classes, cropped and flipped alike."""
        shape: Any = {"size": 32, "crop": 4} if self.size == "full" else {"size": 16, "crop": 2}
        normal: Any = {"normalise": "imagenet"} if self.size == "full" else {}
        if self.data == "fashion_mnist":
            return FashionMnist(**shape, channels=3, flip="yes")
        return Svhn(**shape, flip="yes") if self.data == "svhn" else Cifar10(**shape, **normal)

    @property
    def recipe(self) -> Recipe:
        """As published, or small: two fifths of the pictures."""
        return ElasticResNet(evaluate="40ep") if self.size == "full" else small(ElasticResNet(), rewind=157)


def goals(
    *, other: Other = "fashion_mnist", size: Size = "small", levels: int = 10, seeds: tuple[int, ...] = (0, 1, 2)
) -> Iterator[Goal]:
    """Each network's own ticket on each data set, and those of the smaller network carried everywhere."""
    for seed in seeds:
        benches = {data: Pair(size, seed, data) for data in (other, "cifar10")}
        tickets = {data: {net: bench.tickets(net, levels) for net in NETS} for data, bench in benches.items()}
        for data, bench in benches.items():
            for net in NETS:
                labels = {"data": data, "net": net, "seed": seed}
                yield row(bench.trained(tickets[data][net][0]), **labels, found="", arm="dense")
                yield row(bench.trained(tickets[data][net][-1]), **labels, found=data, arm="own")
                for origin in benches:
                    ticket = tickets[origin][NETS[0]][-1]
                    if net != NETS[0]:
                        ticket = defer(carry, ticket=ticket, by=Stretch(to=bench.arch(net)))
                    if net != NETS[0] or origin != data:
                        yield row(bench.trained(ticket), **labels, found=origin, arm="carried")
        for origin, data in itertools.permutations(benches):
            yield from _losses(benches[data], benches[origin], tickets)


def _losses(bench: Pair, origin: Pair, tickets: Any) -> Iterator[Goal]:
    """What is lost by carrying to another depth and other data at once, and the two losses one by one.

    As in the paper the loss to another depth is that on the ticket's own data.
    """
    flat, deep = NETS
    found = tickets[origin.data]
    stretched = defer(carry, ticket=found[flat][-1], by=Stretch(to=bench.arch(deep)))
    own = {net: bench.trained(tickets[bench.data][net][-1]) for net in NETS}
    labels = {"data": bench.data, "found": origin.data, "seed": bench.seed}
    together = defer(lost, own=(own[deep],), carried=(bench.trained(stretched),))
    yield row(together, **labels, probe="losses together")
    depth = origin.trained(found[deep][-1]), origin.trained(stretched)
    data = own[flat], bench.trained(found[flat][-1])
    one_by_one = defer(lost, own=(depth[0], data[0]), carried=(depth[1], data[1]))
    yield row(one_by_one, **labels, probe="losses one by one")


def claims(*, other: Other, size: Size, levels: int) -> Iterator[Claim]:
    """The table, if it is the paper's; and that the two losses do not add up."""
    exact = (other, size, levels) == ("svhn", "full", LEVELS)
    published = {(data, data, net, "own"): value for (data, net), value in OWN.items()}
    published |= {(*where, "carried"): value for where, value in CARRIED.items()}
    for (found, data, net, arm), value in published.items() if exact else ():
        said = Published(value=value, source=SOURCE, reading=0.00005)
        agrees = Agrees(where={"data": data, "net": net, "found": found, "arm": arm}, published=said)
        yield Claim(f"from {found} to {data}, depth {net}, {arm}: {value:.2%}", tests=(agrees,), family="table 6")
    for data, origin in ((other, "cifar10"), ("cifar10", other)):
        where = {"data": data, "found": origin, "probe": "losses one by one"}
        less = Better(where=where, than={**where, "probe": "losses together"}, of="lost", equal_density="any")
        sentence = f"from {origin} to {data} and to depth {NETS[1]} at once, less is lost than one by one"
        yield Claim(sentence, tests=(less,), family="losses")
        for probe, value in _published(data, origin).items() if exact else ():
            said = Published(value=value, source=SOURCE, reading=0.0002)
            agrees = Agrees(where={**where, "probe": probe}, published=said, of="lost")
            sentence = f"from {origin} to {data} and to depth {NETS[1]}, {probe}: {100 * value:.2f} points"
            yield Claim(sentence, tests=(agrees,), family="table 6")


def _published(data: str, found: str) -> dict[str, float]:
    """The paper's losses from one data set to the other: differences of its table's numbers."""
    flat, deep = NETS
    depth = OWN[found, deep] - CARRIED[found, found, deep]
    moved = OWN[data, flat] - CARRIED[found, data, flat]
    both = OWN[data, deep] - CARRIED[found, data, deep]
    return {"losses together": round(both, 4), "losses one by one": round(depth + moved, 4)}


def tables() -> Iterator[Pivot]:
    """Table 6: found on (line), trained on (column)."""
    for net in NETS:
        where = {"net": net}
        shown: Any = {"lines": "found", "columns": "data", "verdicts": "hide"}
        yield Pivot(where={**where, "arm": "own"}, title=f"Own tickets of depth {net}", **shown)
        yield Pivot(where={**where, "arm": "carried"}, title=f"Tickets of depth 20 in depth {net}", **shown)
    for name in ("losses together", "losses one by one"):
        where = {"probe": name}
        yield Pivot(where=where, of="lost", lines="found", columns="data", title=name.capitalize(), verdicts="hide")
    yield Pivot(where={"arm": "dense"}, lines="net", columns="data", title="Dense networks", verdicts="hide")
