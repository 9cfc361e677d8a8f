"""The tables and figures of the studies of distribution shift."""

from collections.abc import Iterator, Sequence
from typing import Any

from tombola import Curve, Pivot
from tombola.probes.contrast import reaches
from tombola.studies._shift_plan import Plan, related_leads
from tombola.studies._shift_rows import OF_FEATURES

SHOWN: Any = {"verdicts": "hide", "beside": ()}
SPANS = ((1, 5), (1, 13), (1, 20))
OUTCOMES = {
    "accuracy": "Accuracy",
    "nll": "Negative log-likelihood, nats",
    "ece": "Calibration error",
    "ece_scaled": "Calibration error after one temperature",
    "brier": "Brier score (0 to 2)",
    "worst_class_accuracy": "Accuracy in the worst class",
}
APART = {
    "jsd_nats": "Jensen-Shannon divergence of the subwords, nats",
    "proxy_a_distance": "Proxy A-distance (0: not told apart, 2: always)",
    "mmd2": "Maximum mean discrepancy, squared",
    "mmd2_features": "Maximum mean discrepancy, squared",
    "frechet_features": "Fréchet distance",
}
"""How far domains are apart, in words."""


def whole(plan: Plan, *, seeds: int, strange: bool = True) -> Iterator[Pivot]:
    """Leads over spans of rounds, where they begin, and what the parts measured, but for distances.

    Where they begin is told by several seeds alone. `strange`: whether networks were shown what is of no domain.
    """
    yield from leads(plan.rounds, plan.carried)
    if seeds > 1:
        yield from changes()
    for part, shown in (("controls", controls), ("few", few_labels), ("outcomes", outcomes), ("masks", masks)):
        if plan.has(part):
            yield from shown()
    if plan.has("outcomes") and strange:
        where, over = {"probe": "detection"}, ("seed", "source", "target")
        title = "Telling the own domain from another: AUROC of the energy"
        yield Pivot(of="energy_auroc", lines="round", columns="", where=where, over=over, title=title, **SHOWN)


def curves(plan: Plan, own: str, carried: str) -> Iterator[Curve]:
    """Accuracy against density, inside each domain and on each transfer, under such titles."""
    for domain in plan.domains:
        dense = {"figure": "dense", "domain": domain}
        yield Curve(where={"figure": "3", "domain": domain}, baseline=dense, title=f"{own}: {domain}")
    for source, target in plan.pairs:
        pair, dense = f"{source} to {target}", {"figure": "dense", "domain": target}
        yield Curve(where={"figure": "4", "pair": pair}, baseline=dense, title=f"{carried}: {pair}")
    for target in dict.fromkeys(target for _, target in plan.controlled) if plan.has("few") else ():
        where, dense = {"figure": "few labels", "target": target}, {"figure": "dense", "domain": target}
        given: Any = {"x": "labels", "over": ("seed", "source"), "baseline_name": "dense network, all labels"}
        yield Curve(where=where, baseline=dense, title=f"Few labels of {target}, round {plan.some[0]}", **given)


def leads(inside: Sequence[int], carried: Sequence[int]) -> Iterator[Pivot]:
    """Who leads, over spans of rounds, inside domains, over all targets of a source, and on each transfer.

    Spans are those that the rounds of chains reach to, and those at which masks are carried.
    """
    for first, last in SPANS:
        of, title = f"lead_{first}_to_{last}_points", f"Lead in points, rounds {first} to {last}"
        if reaches(inside, (first, last)):
            yield Pivot(of=of, lines="comparison", columns="domain", title=f"{title}: inside domains", **SHOWN)
        if reaches(carried, (first, last)):
            yield Pivot(of=of, lines="comparison", columns="source", title=f"{title}: all targets of a source", **SHOWN)
            yield Pivot(of=of, lines="pair", columns="comparison", title=f"{title}: each transfer", **SHOWN)


def changes() -> Iterator[Pivot]:
    """From which round on first values matter."""
    beside = {"beside": ("round_low", "round_high", "gap_early_points", "gap_late_points"), "verdicts": "hide"}
    for what, line in (("chain", "domain"), ("transfer", "pair")):
        where = {"probe": "transition", "what": what}
        title = f"The first round at which first values matter: {'own tickets' if what == 'chain' else 'carried masks'}"
        yield Pivot(of="transition_round", lines=line, columns="", where=where, over=(), title=title, **beside)  # type: ignore[arg-type]


def controls() -> Iterator[Pivot]:
    """Controls by round."""
    where = {"figure": "controls"}
    over = ("seed", "target")
    yield Pivot(lines="name", columns="round", where=where, over=over, title="Controls, over all targets", **SHOWN)


def few_labels() -> Iterator[Pivot]:
    """Accuracy against the number of labels."""
    where, over = {"figure": "few labels"}, ("seed", "target")
    yield Pivot(lines="labels", columns="name", where=where, over=over, title="Few labels in the target", **SHOWN)
    given: Any = {"lines": "pair", "columns": "comparison", "where": {"probe": "learning curve"}, **SHOWN}
    title = "Lead in the area under the learning curve, points"
    yield Pivot(of="area_lead_points", title=title, **given)
    title = "Share of all labels with which carried masks do as well as the other side with all"
    yield Pivot(of="labels_share", title=title, **given)


def outcomes() -> Iterator[Pivot]:
    """Accuracy and calibration at home and, without any training there, elsewhere."""
    where, over = {"probe": "outcomes"}, ("seed", "source", "target")
    for of, said in OUTCOMES.items():
        title = f"{said}: in the own domain, and without training in another"
        yield Pivot(of=of, lines="round", columns="kind", where=where, over=over, title=title, **SHOWN)
    where, over = {"probe": "disagreement"}, ("seed", "domain")
    title = "Share of answers unlike the dense network's"
    yield Pivot(of="disagreement", lines="round", columns="other", where=where, over=over, title=title, **SHOWN)


def masks() -> Iterator[Pivot]:
    """What masks of two domains share."""
    where, over = {"probe": "overlap"}, ("seed", "domains")
    beside = ("jaccard_by_chance",)
    yield Pivot(
        of="jaccard", lines="round", columns="", where=where, over=over, beside=beside, verdicts="hide",
        title="Overlap of two domains' masks (Jaccard)",
    )  # fmt: skip


def distances(plan: Plan, columns: str, of: Sequence[str]) -> Iterator[Pivot]:
    """How far domains are apart, and whether that goes with what is lost."""
    for number in of:
        where: Any = {"where": {"probe": "shift"}, "over": ()}
        yield Pivot(of=number, lines="domains", columns=columns, title=APART[number], **where, **SHOWN)
    for number in OF_FEATURES:
        title = f"{APART[number]}, of a target in the features of the source's dense network"
        where = {"where": {"probe": "shift of features"}, "over": ()}
        yield Pivot(of=number, lines="source", columns="target", title=title, **where, **SHOWN)
    if related_leads(plan.pairs, plan.carried):
        title = "Rank correlation of a distance and a lead, over pairs"
        beside: Any = {"beside": ("spearman_low", "spearman_high", "p"), "verdicts": "hide"}
        yield Pivot(
            of="spearman", lines="distance", columns="lead", where={"probe": "correlation"}, title=title, **beside
        )
