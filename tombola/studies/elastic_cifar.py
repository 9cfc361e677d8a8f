"""Elastic tickets, residual networks: figures 3 to 6 and 8 of Chen et al. 2021

Tickets of CIFAR ResNets, carried to every other depth of the family (figure 6), against the target's own ticket and its
rivals; what of a ticket is carried (figure 3), which blocks are copied (figures 4 and 5, left) or kept (5, right). A
carried ticket's density is not quite the target's own: the arm "ticket" has it as it comes, "equal" as the target's.
What is random in a control is drawn after that. Figure 7 is this study with family=vgg. Figure 8 trains each ticket
twice with other noise and looks at the barrier between the two: with statistics of batch norm interpolated, as the
paper has them, and gathered anew. "SNIP in new blocks" is read so: blocks that would be copies begin on drawn weights,
and SNIP prunes them alone, until the whole network has the target's density.

size=full is for a GPU: depths 14 to 56, 160 epochs, levels to 16. size=small takes about six hours on two cores, and
may be stopped and gone on with: depths 14 to 32 of width 8, pictures of 16 x 16 pixels, 20,000 of them, 20 epochs,
levels to 10, controls at levels 6 and 10.

tombola run elastic_cifar --workers 2 && tombola report elastic_cifar
tombola run "elastic_cifar(size=full)" && tombola report "elastic_cifar(size=full)"
"""

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

from tombola import Claim, Curve, Everywhere, Goal, Pivot, Recipe, carry, defer, parse, prove, row
from tombola.archs.resnet import ResNet
from tombola.archs.vgg import Vgg
from tombola.moves.controls import RandomMask, Reinit
from tombola.moves.stretch import Stretch
from tombola.probes.break_even import break_even
from tombola.probes.instability import instability
from tombola.probes.price import price
from tombola.studies import _elastic_tables, _names
from tombola.studies._elastic import KEEP, RIVALS, Bench, Size, growing, small
from tombola.studies._elastic_claims import (
    interpolated,
    of_copies,
    of_kept,
    of_parts,
    of_published,
    of_sources,
    of_transfers,
    of_twins,
    twins_level,
)
from tombola.studies._words import known
from tombola.tasks.cifar import Cifar10
from tombola.train.recipes import ElasticResNet, ElasticVgg

QUESTION = "Does a ticket found on one depth win on the other depths of its family?"
NAMES = _names.ELASTIC
Family = Literal["resnet", "vgg"]
DEPTHS = {
    ("resnet", "full"): (14, 20, 32, 44, 56),
    ("resnet", "small"): (14, 20, 32),
    ("vgg", "full"): (13, 16, 19),
    ("vgg", "small"): (13, 16, 19),
}
LEVELS = {"full": 16, "small": 10}
JUDGED = {"full": (4, 6, 8, 10, 13, 16), "small": (6, 10)}
"""The levels at which tickets are carried and rivals trained."""
CONTROLS = {"full": RIVALS, "small": ("reinit", "random", "random, as run", "SNIP")}
STRETCHED = {"full": (32, 56), "small": (20, 32)}
"""The pair of figures 3, 4 and 5; it is squeezed the other way round."""
MAPS = {
    "full": (
        *(
            "interpolate()",
            "append()",
            "interpolate(blocks=(1, 2))",
            "append_group(blocks=(1, 2))",
            "early()",
            "late()",
        ),
        *("interpolate(blocks=(2, 3))", "append_group(blocks=(2, 3))", "interpolate(blocks=(3, 4))"),
        "append_group(blocks=(3, 4))",
    ),
    "small": ("interpolate()", "append()", "early()", "late()"),
}
KEPT = {
    "full": ("1357", "2468", "1478", "1258", "1236", "1458", "5678", "1678", "1278", "1238", "1234"),
    "small": ("13", "24", "34", "12", "14"),
}
PARTS = ("mask alone", "weights alone", "neither", "SNIP in new blocks", "permuted copies", "permuted copies, as run")
"""What of a ticket is carried, and what is drawn: figure 3, and the random copies of figure 4."""
CONNECTED = (14, 20, 32)
"""The sources of figure 8, the last of them its target."""
DROPPED = {"full": "5678", "small": "34"}
"""What is kept where the first half of the blocks is dropped, which the paper found to be a clear loss."""


@dataclasses.dataclass(frozen=True)
class Depths(Bench):
    """Networks of a family that differ in their depth."""

    family: Family = "resnet"

    def arch(self, net: int) -> Any:
        """A network of half the channels and fewer, if it is small."""
        if self.family == "vgg":
            return Vgg(depth=net, width=64 if self.size == "full" else 8, bn_scale="uniform")  # type: ignore[arg-type]
        return ResNet(depth=net, width=16 if self.size == "full" else 8, bn_scale="uniform")

    @property
    def task(self) -> Any:
        """CIFAR-10; its published networks saw it normalised as ImageNet."""
        return Cifar10(normalise="imagenet") if self.size == "full" else Cifar10(size=16, crop=2)

    @property
    def recipe(self) -> Recipe:
        """As published, or small."""
        full = ElasticResNet(evaluate="40ep") if self.family == "resnet" else ElasticVgg(evaluate="40ep")
        return full if self.size == "full" else small(full, rewind=157 if self.family == "resnet" else 31)

    @property
    def scope(self) -> Everywhere:
        """Of a ResNet everything; of a VGG all but the head, which counts in the total."""
        return Everywhere(exclude=("head.weight",) if self.family == "vgg" else (), rounding="one_more")

    def moved(self, ticket: Any, to: int, by: str, **options: Any) -> Any:
        """A ticket at another depth."""
        return defer(carry, ticket=ticket, by=Stretch(to=self.arch(to), by=parse("depth_map", by), **options))

    def part(self, name: str, ticket: Any, pair: tuple[int, int], density: float) -> Any:
        """A deeper ticket of which only something was carried, blocks as interpolation has them.

        Weights are revived before anything is drawn: the largest of them would bring back what a control throws away.
        """
        again = Reinit(seed=self.seed, start="rewind")
        if name.startswith("permuted"):
            values = "masked" if name.endswith("run") else "rewound"
            part = self.moved(ticket, pair[1], "interpolate()", copies="permuted", values=values, seed=self.seed)
            # As run, it holds zeros under its dead positions, so there is nothing to revive.
            return part if values == "masked" else self.equalized(part, density, grow="random", seed=self.seed)
        if name == "SNIP in new blocks":
            return self._filled(ticket, pair, density)
        whole = self.equalized(self.moved(ticket, pair[1], "interpolate()"), density)
        if name == "mask alone":
            return defer(carry, ticket=whole, by=again)
        random = defer(carry, ticket=whole, by=RandomMask(seed=self.seed))
        return random if name == "weights alone" else defer(carry, ticket=random, by=again)

    def _filled(self, ticket: Any, pair: tuple[int, int], density: float) -> Any:
        """Old blocks from the ticket; new ones drawn, and pruned by SNIP until the whole has the density."""
        source, target = map(self.arch, pair)
        new = tuple(sorted(Stretch(to=target).origins(source, self.task.io).copies))
        begun = self.moved(ticket, pair[1], "interpolate()", fresh=new, seed=self.seed)
        old = tuple(name for name in target.layout().prunable if not name.startswith(tuple(f"{one}." for one in new)))
        return self.early(begun, "snip(batches=0, mode='eval')", density, Everywhere(exclude=old))


def goals(
    *,
    size: Size = "small",
    family: Family = "resnet",
    depths: tuple[int, ...] = (),
    levels: tuple[int, ...] = (),
    seeds: tuple[int, ...] = (0, 1, 2),
    figures: tuple[str, ...] = ("3", "4", "5", "6", "8"),
    controls: tuple[str, ...] = (),
) -> Iterator[Goal]:
    """Each network's own tickets; at some levels their rivals, and tickets that were carried there."""
    known("controls", controls, RIVALS)
    known("figures", figures, ("3", "4", "5", "6", "8"))
    judged, highest = levels or JUDGED[size], max(levels or (LEVELS[size],))
    for seed in seeds:
        bench = Depths(size, seed, family)
        own = {net: bench.tickets(net, highest) for net in depths or DEPTHS[family, size]}
        trained = {net: [bench.trained(ticket) for ticket in tickets] for net, tickets in own.items()}
        for net, ends in trained.items():
            for level, end in enumerate(ends):
                yield row(end, net=net, source=net, arm="ticket", level=level, seed=seed)
            for level in judged:
                labels = {"net": net, "level": level, "seed": seed}
                behind = tuple(ends[:level])
                yield row(defer(price, trained=ends[level], behind=behind), **labels, source=net, probe="price")
                for name in (controls or CONTROLS[size]) if "6" in figures else ():
                    yield row(bench.rival(name, net, own[net], level), **labels, rival=name)
        for level in judged:
            if "6" in figures:
                yield from _transfers(bench, own, trained, level, growing(controls or CONTROLS[size]))
                for source, net in interpolated(level, tuple(own)) if (size, family) == ("full", "resnet") else ():
                    end = bench.trained(bench.moved(own[source][level], net, "interpolate()"))
                    yield row(end, net=net, source=source, level=level, seed=seed, arm="interpolated")
            if family == "resnet" and set(STRETCHED[size]) <= set(own):
                yield from _ablations(bench, own, level, figures)
        if _connects(family, own, figures):
            yield from _connected(bench, own, twins_level(judged))


def _transfers(bench: Depths, own: Any, trained: Any, level: int, grown: Sequence[str]) -> Iterator[Goal]:
    """Figure 6: from every depth to every other one, appended, or the first blocks kept; and for how many it pays."""
    for source, net in itertools.permutations(own, 2):
        ticket = bench.moved(own[source][level], net, "append()" if net > source else "keep_first()")
        labels = {"net": net, "source": source, "level": level, "seed": bench.seed}
        end = bench.trained(ticket)
        yield row(end, **labels, arm="ticket")
        yield row(bench.trained(bench.equalized(ticket, KEEP**level)), **labels, arm="equal")
        search = tuple(trained[source][:level])
        yield row(defer(price, trained=end, behind=search), **labels, probe="price")
        rivals: Any = {name: {"rival": bench.rival(name, net, own[net], level)} for name in grown}
        rivals["IMP"] = {"rival": trained[net][level], "rival_behind": tuple(trained[net][:level])}
        for name, given in rivals.items():
            pays = defer(break_even, carried=end, behind=search, **given)
            yield row(pays, **labels, probe="break-even", against=name)
        yield row(defer(prove, ticket=ticket, parents=(own[source][level],)), **labels, probe="proof")


def _connects(family: str, nets: Collection[int], figures: tuple[str, ...]) -> bool:
    return family == "resnet" and "8" in figures and set(CONNECTED) <= set(nets)


def _connected(bench: Depths, own: Any, level: int) -> Iterator[Goal]:
    """Figure 8: whether two trainings of a ticket that differ in their noise end in one basin."""
    *others, net = CONNECTED
    for source in (*others, net):
        ticket = own[source][level]
        ticket = ticket if source == net else bench.moved(ticket, net, "interpolate()")
        twins = {"a": bench.trained(ticket), "b": bench.twin(ticket)}
        for stats in ("interpolate", "recompute"):
            labels = {"net": net, "source": source, "level": level, "seed": bench.seed, "stats": stats}
            yield row(defer(instability, **twins, stats=stats), **labels, probe="instability")


def _ablations(bench: Depths, own: Any, level: int, figures: tuple[str, ...]) -> Iterator[Goal]:
    """Figures 3 to 5: what is carried, which blocks are copied, which are kept."""
    pair, density = STRETCHED[bench.size], KEEP**level
    ticket, deep = own[pair[0]][level], own[pair[1]][level]
    labels = {"level": level, "seed": bench.seed}
    for name in PARTS if {"3", "4"} & set(figures) else ():
        part = bench.part(name, ticket, pair, density)
        yield row(bench.trained(part), **labels, net=pair[1], part=name)
    texts = MAPS[bench.size] if {"4", "5"} & set(figures) else ("interpolate()",) if "3" in figures else ()
    for text in texts:
        moved = bench.moved(ticket, pair[1], text)
        yield row(bench.trained(moved), **labels, net=pair[1], map=text, exactly="as it comes")
        yield row(bench.trained(bench.equalized(moved, density)), **labels, net=pair[1], map=text, exactly="equal")
    for kept in KEPT[bench.size] if "5" in figures else ():
        moved = bench.moved(deep, pair[0], f"keep(blocks=({', '.join(kept)},))")
        yield row(bench.trained(moved), **labels, net=pair[0], map=kept, exactly="as it comes")
        yield row(bench.trained(bench.equalized(moved, density)), **labels, net=pair[0], map=kept, exactly="equal")


def claims(
    *,
    size: Size,
    family: Family,
    depths: tuple[int, ...],
    levels: tuple[int, ...],
    figures: tuple[str, ...],
    controls: tuple[str, ...],
) -> Iterator[Claim]:
    """Statements F3a to F7 of the paper; on equal densities, where it did not equalise them."""
    nets = depths or DEPTHS[family, size]
    for level in levels or JUDGED[size]:
        if "6" in figures:
            yield from of_transfers(level, nets, controls or CONTROLS[size], "F6" if family == "resnet" else "F7")
        if "6" in figures and family == "resnet":
            yield from of_sources(level, nets)
            yield from of_published(level, nets) if size == "full" else ()
        if _connects(family, nets, figures) and level == twins_level(levels or JUDGED[size]):
            yield from of_twins(level, CONNECTED)
        if family == "resnet" and set(STRETCHED[size]) <= set(nets):
            pair = STRETCHED[size]
            if {"3", "4"} & set(figures):
                yield from of_parts(level, pair[1], PARTS)
            if {"4", "5"} & set(figures):
                yield from of_copies(level, pair[1], MAPS[size])
            if "5" in figures:
                yield from of_kept(level, pair[0], KEPT[size], DROPPED[size])


def figures(*, size: Size, family: Family, depths: tuple[int, ...]) -> Iterator[Curve]:
    """A panel for each target."""
    yield from _elastic_tables.figures(family, depths or DEPTHS[family, size])


def tables(
    *,
    size: Size,
    family: Family,
    depths: tuple[int, ...],
    levels: tuple[int, ...],
    figures: tuple[str, ...],
    controls: tuple[str, ...],
) -> Iterator[Pivot]:
    """By target: who came from where, rivals, and what it cost; then what the figures asked for vary."""
    nets = depths or DEPTHS[family, size]
    shown = {figure for figure in figures if figure != "8" or _connects(family, nets, figures)}
    if family != "resnet" or not set(STRETCHED[size]) <= set(nets):
        shown -= {"3", "4", "5"}
    for level in levels or JUDGED[size]:
        twins = level == twins_level(levels or JUDGED[size])
        yield from _elastic_tables.tables(level, shown if twins else shown - {"8"}, controls or CONTROLS[size])
