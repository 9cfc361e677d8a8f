"""Tickets under distribution shift, pictures: the strategies of Desai et al. 2019 where the shift can be seen

Tickets found on one set of pictures are trained again on another: on=digits carries LeNet between MNIST and the smaller
USPS, at 16 x 16 pixels; on=garments between digits and garments; on=objects a narrow ResNet between CIFAR-10 and a part
of CIFAR-100; on=weather between clean and corrupted photographs. Where the classes are others, the head is new.
Rounds, strategies and controls are those of `shift_reviews`. Test sets of 10,000 and 2,007 pictures tell smaller
differences than 400 reviews do.

tombola run shift_images --workers 2 && tombola report shift_images
tombola run "shift_images(on=garments)" && tombola report "shift_images(on=garments)"
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, Literal

from tombola import Claim, Curve, Goal, Pivot, Recipe, defer, row
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.probes.corruption_error import corruption_error
from tombola.probes.detection import detection
from tombola.studies import _shift, _shift_claims, _shift_rows, _shift_tables
from tombola.studies._shift_plan import Plan, checked, pairs_of
from tombola.tasks.cifar import Cifar10, Cifar100Subset
from tombola.tasks.corrupted import Corrupted
from tombola.tasks.mnist import FashionMnist, Mnist, Usps
from tombola.train.optimizers import Adam, Sgd
from tombola.train.schedules import Cosine

QUESTION = "Does a ticket found on one kind of picture win on another?"
On = Literal["digits", "garments", "objects", "weather"]
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
}
STRANGE: dict[str, dict[str, Any]] = {
    "digits": dict.fromkeys(("mnist", "usps"), FashionMnist(size=16)),
    "garments": {"mnist": FashionMnist(), "fashion_mnist": Mnist()},
    "objects": dict.fromkeys(("cifar10", "cifar100_subset"), FashionMnist(size=16, channels=3)),
}
"""What networks should know to be strange."""
CORRUPTIONS = ("gaussian_noise", "motion_blur", "fog", "contrast", "pixelate")
SEVERITIES = (1, 3, 5)
DISTANCES = ("proxy_a_distance", "mmd2")


@dataclasses.dataclass(frozen=True)
class Seen(_shift.Bench):
    """LeNet-300-100, or a ResNet-14 of half the width for photographs."""

    on: On

    @property
    def photographs(self) -> bool:
        """Whether these are small photographs."""
        return self.on in ("objects", "weather")

    def arch(self) -> Any:
        """The network."""
        return ResNet(depth=14, width=8) if self.photographs else Mlp()

    @functools.cache  # noqa: B019
    def task(self, domain: str, few: int = 0) -> Any:
        """A domain's pictures."""
        task = DOMAINS[self.on][domain]
        if isinstance(task, Corrupted):
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
        return "fresh" if self.on in ("garments", "objects") else "carried"

    @property
    def questions(self) -> Literal["of each task", "shared"]:
        """Clean and corrupted pictures are the same ones."""
        return "shared" if self.on == "weather" else "of each task"

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
) -> Iterator[Goal]:
    """Every domain's chains, masks carried from each to each other one, and the parts that are asked for."""
    plan = _plan(on, rounds, transfer, parts)
    benches = [Seen(seed, rounds, plan.domains[0], on) for seed in seeds]
    yield from _shift_rows.whole(benches, plan)
    for bench in benches if plan.has("outcomes") else ():
        yield from _robust(bench, plan)
    if plan.has("shift"):
        yield from _shift_rows.apart(benches[0], plan.domains)
        yield from _shift_rows.related(benches, plan.pairs, plan.carried, DISTANCES)


def _plan(on: On, rounds: int, transfer: tuple[int, ...], parts: tuple[str, ...], **_: Any) -> Plan:
    """Every domain is source and target; classes have other meanings in garments and in objects."""
    domains = tuple(DOMAINS[on])
    pairs = pairs_of(domains, domains)
    alike = pairs if on in ("digits", "weather") else ()
    return Plan(domains, pairs, rounds, checked(transfer, rounds, parts), parts, controlled=pairs, alike=alike)


def _robust(bench: Seen, plan: Plan) -> Iterator[Goal]:
    """Errors on corrupted pictures against the dense network's, and whether strange pictures are known as such."""
    for domain in plan.domains:
        dense = bench.end("FULL-MODEL", "", domain, 0)
        labels = {"domain": domain, "seed": bench.seed}
        for number in (0, *plan.some):
            ended = bench.end("TICKET-RESET", "", domain, number)
            if bench.on in STRANGE:
                found = defer(detection, trained=ended, outside=STRANGE[bench.on][domain])
                yield row(found, probe="detection", round=number, **labels)
            if number and bench.on != "weather":
                tasks = tuple(
                    Corrupted(task=bench.task(domain), kind=kind, severity=severity, of="test")  # type: ignore[arg-type]
                    for kind in CORRUPTIONS
                    for severity in SEVERITIES
                )
                found = defer(corruption_error, trained=ended, dense=dense, tasks=tasks)
                yield row(found, probe="corruption error", round=number, **labels)


def claims(*, on: On, seeds: tuple[int, ...], **settings: Any) -> Iterator[Claim]:
    """What the paper says of its reviews at large, on pictures, and what its controls should have been."""
    plan = _plan(on, **settings)
    domains = plan.domains
    said = [*_shift_claims.inside(domains, domains, seeds=len(seeds)), *_shift_claims.of_others(domains)]
    controls = Seen(0, plan.length, domains[0], on).controls()
    yield from _shift_claims.whole(said, plan, controls, seeds=len(seeds))


def figures(**settings: Any) -> Iterator[Curve]:
    """Accuracy against density, inside each domain and on each transfer."""
    yield from _shift_tables.curves(_plan(**settings), "Own tickets", "Carried masks")


def tables(*, on: On, seeds: tuple[int, ...], **settings: Any) -> Iterator[Pivot]:
    """Leads over spans of rounds, where they begin, and what the parts measured."""
    plan = _plan(on, **settings)
    yield from _shift_tables.whole(plan, seeds=len(seeds), strange=on in STRANGE)
    if plan.has("outcomes") and on != "weather":
        title = "Mean corruption error (1: as the dense network)"
        where: Any = {"where": {"probe": "corruption error"}, "over": ("seed",), **_shift_tables.SHOWN}
        yield Pivot(of="mce", lines="round", columns="domain", title=title, **where)
    if plan.has("shift"):
        yield from _shift_tables.distances(plan, "", DISTANCES)
