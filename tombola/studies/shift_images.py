"""Tickets under distribution shift, pictures: the strategies of Desai et al. 2019 where the shift can be seen

Tickets found on one set of pictures are trained again on another: on=digits carries LeNet between MNIST and the smaller
USPS, at 16 x 16 pixels; on=garments between digits and garments; on=objects a narrow ResNet between CIFAR-10 and a part
of CIFAR-100; on=weather between clean and corrupted photographs; on=turned between digits that stand and that lean;
on=priors between garments of which some kinds are common and others rare (without few labels, which are as many of each
class); on=own between pictures of your own, with a column that says which domain each belongs to. Where the classes are
others, the head is new.
Rounds, strategies and controls are those of `shift_reviews`. Test sets of 10,000 and 2,007 pictures tell smaller
differences than 400 reviews do.

tombola run shift_images --workers 2 && tombola report shift_images
tombola run "shift_images(on=garments)" && tombola report "shift_images(on=garments)"
tombola plan "shift_images(on=turned, parts=('controls', 'borrowed'))"
tombola plan "shift_images(on=own, id='./photos', group='site', sources=('north',), targets=('south',), size=32)"
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, Literal

from tombola import Claim, Curve, Goal, Pivot, Recipe, Refused, defer, row
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.probes.contrast import Questions
from tombola.probes.corruption_error import corruption_error
from tombola.probes.detection import detection
from tombola.studies import _names, _shift, _shift_claims, _shift_rows, _shift_tables
from tombola.studies._shift_plan import Plan, check_own, checked, pairs_of, sources_of
from tombola.studies._words import known
from tombola.tasks.cifar import Cifar10, Cifar100Subset
from tombola.tasks.corrupted import Corrupted
from tombola.tasks.hub import Hub
from tombola.tasks.mnist import FashionMnist, Mnist, Usps
from tombola.tasks.reweighted import Reweighted
from tombola.tasks.rotated import Rotated
from tombola.tasks.wrapped import Wrapped
from tombola.train.optimizers import Adam, Sgd
from tombola.train.schedules import Cosine

QUESTION = "Does a ticket found on one kind of picture win on another?"
NAMES = _names.SHIFT
On = Literal["digits", "garments", "objects", "weather", "turned", "priors", "own"]
COMMON, RARE = (0.19,) * 5, (0.01,) * 5
"""Shares of classes, of which each is nineteen times as common as each other one."""
SMALL: Any = {"size": 16, "crop": 2, "flip": "yes"}
DOMAINS: dict[str, dict[str, Any]] = {
    "digits": {"mnist": Mnist(size=16), "usps": Usps()},
    "garments": {"mnist": Mnist(), "fashion_mnist": FashionMnist()},
    "objects": {"cifar10": Cifar10(**SMALL), "cifar100_subset": Cifar100Subset(**SMALL, labels="coarse")},
    "weather": {
        "clean": Cifar10(**SMALL),
        "fog": Corrupted(task=Cifar10(**SMALL), kind="fog", severity=4, of="all"),
        "noise": Corrupted(task=Cifar10(**SMALL), kind="gaussian_noise", severity=4, of="all"),
    },
    "turned": {
        "upright": Mnist(size=16),
        "by_30": Rotated(task=Mnist(size=16), degrees=30, of="all"),
        "by_60": Rotated(task=Mnist(size=16), degrees=60, of="all"),
    },
    "priors": {
        "even": FashionMnist(),
        "first": Reweighted(task=FashionMnist(), priors=(*COMMON, *RARE), of="all"),
        "last": Reweighted(task=FashionMnist(), priors=(*RARE, *COMMON), of="all"),
    },
}
STRANGE: dict[str, dict[str, Any]] = {
    "digits": dict.fromkeys(("mnist", "usps"), FashionMnist(size=16)),
    "garments": {"mnist": FashionMnist(), "fashion_mnist": Mnist()},
    "objects": dict.fromkeys(("cifar10", "cifar100_subset"), FashionMnist(size=16, channels=3)),
    "turned": dict.fromkeys(("upright", "by_30", "by_60"), FashionMnist(size=16)),
    "priors": dict.fromkeys(("even", "first", "last"), Mnist()),
}
"""What networks should know to be strange."""
UNLIKE = ("garments", "objects")
"""Where classes stand for something else in each domain."""
CORRUPTIONS = ("gaussian_noise", "motion_blur", "fog", "contrast", "pixelate")
SEVERITIES = (1, 3, 5)
DISTANCES = ("proxy_a_distance", "mmd2")


@dataclasses.dataclass(frozen=True)
class Album:
    """Whose pictures: known sets, or one's own with a column of domains."""

    on: On
    id: str = ""
    group: str = ""
    size: int = 0
    channels: Literal[1, 3] = 3

    @property
    def photographs(self) -> bool:
        """Whether these are small photographs."""
        return self.channels == 3 if self.on == "own" else self.on in ("objects", "weather")

    def task(self, domain: str) -> Any:
        """A domain's pictures; of one's own, crops and mirroring for photographs alone."""
        if self.on != "own":
            return DOMAINS[self.on][domain]
        shown: Any = {"crop": 2, "flip": "yes"} if self.photographs else {}
        where: Any = {"id": self.id, "group": self.group, "only": (domain,)}
        return Hub(size=self.size, channels=self.channels, **where, **shown)


@dataclasses.dataclass(frozen=True)
class Seen(_shift.Bench):
    """LeNet-300-100, or a ResNet-14 of half the width for photographs."""

    album: Album

    @property
    def photographs(self) -> bool:
        """Whether these are small photographs."""
        return self.album.photographs

    def arch(self) -> Any:
        """The network."""
        return ResNet(depth=14, width=8) if self.photographs else Mlp()

    @functools.cache  # noqa: B019
    def task(self, domain: str, few: int = 0) -> Any:
        """A domain's pictures."""
        task = self.album.task(domain)
        if not few:
            return task
        if isinstance(task, Wrapped):
            return dataclasses.replace(task, task=dataclasses.replace(task.task, few=few))  # type: ignore[type-var]
        return dataclasses.replace(task, few=few)

    @property
    def recipe(self) -> Recipe:
        """A twelfth is held out, and the best of all looks at it is kept, as the paper does."""
        held: Any = {"validation": 1 / 12, "select": "best"}
        if not self.photographs:
            return Recipe(steps="12ep", batch=60, optimizer=Adam(lr=1.2e-3), **held)
        optimizer = Sgd(lr=0.1, momentum=0.9, decay=5e-4)
        return Recipe(steps="8ep", optimizer=optimizer, schedule=Cosine(), **held)

    @property
    def head(self) -> Literal["carried", "fresh"]:
        """Other classes need another head."""
        return "fresh" if self.album.on in UNLIKE else "carried"

    @property
    def questions(self) -> Questions:
        """Clean and corrupted pictures are the same ones, as those that stand and lean; priors choose of the same."""
        if self.album.on == "priors":
            return "overlapping"
        return "shared" if self.album.on in ("weather", "turned") else "of each task"

    def narrower(self) -> list[Any]:
        """LeNets with a third of the units in their second layer, or ResNets."""
        if self.photographs:
            return [ResNet(depth=depth, width=width) for depth in (8, 14) for width in range(1, 8)]
        return [Mlp(hidden=(width, -(-width // 3))) for width in range(1, 300)]


def goals(
    *,
    on: On = "digits",
    rounds: int = 20,
    transfer: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20),
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    parts: tuple[str, ...] = ("controls", "few", "outcomes", "masks", "shift"),
    few: tuple[int, ...] = (50, 200, 1000),
    id: str = "",
    group: str = "",
    sources: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    size: int = 0,
    channels: Literal[1, 3] = 3,
) -> Iterator[Goal]:
    """Every domain's chains, masks carried from each source to each target, and the parts that are asked for.

    Every domain is source and target unless told; `few` are numbers of labels in the target. Of your own pictures
    `size` is the side to which they are brought (0: they stay as they are, all of one size); those of 3 channels are
    taken for photographs.
    """
    given: Any = {"id": id, "group": group, "sources": sources, "targets": targets, "size": size, "channels": channels}
    album, plan = _plan(on=on, rounds=rounds, transfer=transfer, parts=parts, few=few, **given)
    benches = [Seen(seed, rounds, plan.domains[0], album) for seed in seeds]
    yield from _shift_rows.whole(benches, plan)
    for bench in benches if plan.has("outcomes") else ():
        yield from _robust(bench, plan)
    if plan.has("shift"):
        yield from _shift_rows.apart(benches[0], plan.domains)
        yield from _shift_rows.seen_apart(benches[0], plan.pairs)
        yield from _shift_rows.related(benches, plan.pairs, plan.carried, DISTANCES)


def _plan(
    *,
    on: On,
    rounds: int,
    transfer: tuple[int, ...],
    parts: tuple[str, ...],
    few: tuple[int, ...],
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    id: str,
    group: str,
    size: int,
    channels: Literal[1, 3],
    **_: Any,
) -> tuple[Album, Plan]:
    """Whose pictures, and what is done with them.

    Raises:
        Refused: If a domain is unknown, none can be carried to, or one's own pictures are not named whole.
    """
    check_own("images", on, sources, targets, id=id, group=group)
    there = tuple(dict.fromkeys(sources + targets)) if on == "own" else tuple(DOMAINS[on])
    known("sources", sources, there)
    known("targets", targets, there)
    if on != "own" and (size, channels) != (0, 3):
        raise Refused(f"shift_images: size and channels are of your own images, and on={on} has its own. Give on=own.")
    pairs = pairs_of(sources or there, targets or there)
    if not pairs:
        raise Refused(f"shift_images: from {sources} to {targets} there is no transfer. Name another target.")
    domains = tuple(domain for domain in there if any(domain in pair for pair in pairs))
    carried = checked(transfer, rounds, parts, few)
    if on == "priors":  # Few labels are as many of each class, whatever the priors.
        parts = tuple(part for part in parts if part != "few")
    alike = () if on in UNLIKE else pairs
    return Album(on, id, group, size, channels), Plan(domains, pairs, rounds, carried, parts, pairs, alike, few)


def _robust(bench: Seen, plan: Plan) -> Iterator[Goal]:
    """Errors on corrupted pictures against the dense network's, and whether strange pictures are known as such."""
    for domain in plan.domains:
        dense = bench.end("FULL-MODEL", "", domain, 0)
        labels = {"domain": domain, "seed": bench.seed}
        for number in (0, *plan.some):
            ended = bench.end("TICKET-RESET", "", domain, number)
            if bench.album.on in STRANGE:
                found = defer(detection, trained=ended, outside=STRANGE[bench.album.on][domain])
                yield row(found, probe="detection", round=number, **labels)
            if number and bench.album.on != "weather":
                tasks = tuple(
                    Corrupted(task=bench.task(domain), kind=kind, severity=severity, of="test")  # type: ignore[arg-type]
                    for kind in CORRUPTIONS
                    for severity in SEVERITIES
                )
                found = defer(corruption_error, trained=ended, dense=dense, tasks=tasks)
                yield row(found, probe="corruption error", round=number, **labels)


def claims(*, seeds: tuple[int, ...], **settings: Any) -> Iterator[Claim]:
    """What the paper says of its reviews at large, on pictures, and what its controls should have been."""
    album, plan = _plan(**settings)
    domains, sources = plan.domains, sources_of(plan.pairs)
    said = [*_shift_claims.inside(domains, domains, seeds=len(seeds)), *_shift_claims.of_others(sources)]
    bench = Seen(0, plan.length, domains[0], album)
    yield from _shift_claims.whole(said, plan, bench, seeds=len(seeds))


def figures(**settings: Any) -> Iterator[Curve]:
    """Accuracy against density, inside each domain and on each transfer."""
    yield from _shift_tables.curves(_plan(**settings)[1], "Own tickets", "Carried masks")


def tables(*, seeds: tuple[int, ...], **settings: Any) -> Iterator[Pivot]:
    """Leads over spans of rounds, where they begin, and what the parts measured."""
    album, plan = _plan(**settings)
    on = album.on
    yield from _shift_tables.whole(plan, seeds=len(seeds), strange=on in STRANGE)
    if plan.has("outcomes") and on == "priors":
        title = "Balanced accuracy: in the own domain, and without training in another"
        where: Any = {"where": {"probe": "outcomes"}, "over": ("seed", "source", "target"), **_shift_tables.SHOWN}
        yield Pivot(of="balanced_accuracy", lines="round", columns="kind", title=title, **where)
    if plan.has("outcomes") and on != "weather":
        title = "Mean corruption error (1: as the dense network)"
        where = {"where": {"probe": "corruption error"}, "over": ("seed",), **_shift_tables.SHOWN}
        yield Pivot(of="mce", lines="round", columns="domain", title=title, **where)
    if plan.has("shift"):
        yield from _shift_tables.distances(plan, "", DISTANCES)
