"""The rows of the studies of distribution shift: figure by figure, with controls, outcomes and distances."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from tombola import Goal, Refused, defer, row
from tombola.probes.contrast import SPANS, Questions, Spans, contrast
from tombola.probes.correlation import correlation
from tombola.probes.disagreement import disagreement
from tombola.probes.learning_curve import learning_curve
from tombola.probes.outcomes import outcomes
from tombola.probes.overlap import overlap
from tombola.probes.shift import shift
from tombola.probes.transition import transition
from tombola.studies._shift import AT_TARGET, BORROWED, HOME, Bench
from tombola.studies._shift_plan import Pair, Plan, related_leads

INSIDE = (("TICKET-RESET", "TICKET-RANDOM"), ("TICKET-RESET", "FULL-MODEL"))
ON_BORROWED = (("TICKET-RESET", BORROWED), ("TICKET-RANDOM", BORROWED))
CARRIED_AGAINST = (
    ("MASKS-RESET", "TICKET-TARGET"),
    ("MASKS-RANDOM", "TICKET-TARGET"),
    ("MASKS-RESET", "MASKS-RANDOM"),
)
"""Pairs of strategies that are held against each other."""
AGAINST_HOME = (("MASKS-RESET", HOME), ("MASKS-RANDOM", HOME))
"""The same, of two domains: what a mask loses by being carried."""
OF_FEATURES = ("mmd2_features", "frechet_features")
"""Distances that the features of a network decide."""


def whole(benches: Sequence[Bench], plan: Plan) -> Iterator[Goal]:
    """All that a plan asks for, but for what one of the studies alone can measure."""
    for bench in benches:
        yield from chains(bench, plan.domains)
        yield from transfers(bench, plan.pairs, plan.carried)
        if plan.has("borrowed"):
            yield from borrowed(bench, plan.domains, plan.carried)
    yield from over_seeds(benches, plan.domains, plan.pairs, plan.carried)
    for bench in benches:
        if plan.has("controls"):
            yield from controls(bench, plan.controlled, plan.some)
        if plan.has("few"):
            yield from few_labels(bench, plan.controlled, plan.few, plan.some[:1])
        if plan.has("outcomes"):
            yield from tested(bench, plan.domains, plan.alike, plan.some)
        if plan.has("masks"):
            yield from in_common(bench, plan.domains, plan.carried)
    if plan.has("outcomes"):
        yield from unlike(benches, plan.domains, plan.some)


def chains(bench: Bench, domains: Sequence[str]) -> Iterator[Goal]:
    """Figure 3: the strategies inside each domain, and over all of them together."""
    rounds = range(1, bench.rounds + 1)
    for domain in domains:
        labels = {"domain": domain, "seed": bench.seed}
        yield row(bench.end("FULL-MODEL", "", domain, 0), name="FULL-MODEL", figure="dense", round=0, **labels)
        for name in ("TICKET-RESET", "TICKET-RANDOM"):
            for number in rounds:
                yield row(bench.end(name, "", domain, number), name=name, figure="3", round=number, **labels)
    yield from _inside(bench, INSIDE, domains, rounds)


def borrowed(bench: Bench, domains: Sequence[str], rounds: Sequence[int]) -> Iterator[Goal]:
    """The other reading of TICKET-RANDOM: new values on the masks of TICKET-RESET."""
    for domain, number in itertools.product(domains, rounds):
        labels = {"domain": domain, "seed": bench.seed}
        yield row(bench.end(BORROWED, "", domain, number), name=BORROWED, figure="3", round=number, **labels)
    yield from _inside(bench, ON_BORROWED, domains, rounds)


def _inside(bench: Bench, pairs: Sequence[Pair], domains: Sequence[str], rounds: Sequence[int]) -> Iterator[Goal]:
    """Strategies held against each other in each domain, and over all of them together."""
    for where, inside in [*((domain, (domain,)) for domain in domains), ("all", domains)]:
        for name, other in pairs:
            held = _held(bench, name, other, [("", domain) for domain in inside], rounds)
            yield row(held, comparison=f"{name} against {other}", domain=where, seed=bench.seed)


def transfers(bench: Bench, pairs: Sequence[Pair], rounds: Sequence[int]) -> Iterator[Goal]:
    """Figure 4: masks carried from each source to each target; and each source's lead over all its targets."""
    for source, target in pairs:
        labels = {"pair": f"{source} to {target}", "seed": bench.seed}
        for name in ("TICKET-TARGET", "MASKS-RESET", "MASKS-RANDOM"):
            for number in rounds:
                ended = bench.end(name, source, target, number)
                yield row(ended, name=name, figure="4", round=number, source=source, target=target, **labels)
        for name, other in CARRIED_AGAINST:
            held = _held(bench, name, other, [(source, target)], rounds)
            yield row(held, comparison=f"{name} against {other}", **labels)
    for source, own in _by_source(pairs).items():
        for name, other in (*CARRIED_AGAINST, ("MASKS-RESET", "FULL-MODEL")):
            held = _held(bench, name, other, own, rounds)
            yield row(held, comparison=f"{name} against {other}", source=source, seed=bench.seed)
        for name, other in AGAINST_HOME if bench.head == "carried" else ():  # Elsewhere classes are others.
            held = _held(bench, name, other, own, rounds, questions="of two tasks")
            yield row(held, comparison=f"{name} against {other}", source=source, seed=bench.seed)


def controls(bench: Bench, pairs: Sequence[Pair], rounds: Sequence[int]) -> Iterator[Goal]:
    """What a carried mask must beat, and other ways of carrying it, each held against it over all targets."""
    for name in ("MASKS-RESET", *bench.controls()):
        able = [number for number in rounds if name != "small dense" or bench.narrow(number) is not None]
        labels = {"name": name, "figure": "controls", "seed": bench.seed}
        for source, target in _once(pairs) if name in AT_TARGET else pairs:
            where = {"target": target} if name in AT_TARGET else {"target": target, "source": source}
            for number in able:
                yield row(bench.end(name, source, target, number), round=number, **labels, **where)
        if name == "MASKS-RESET":
            continue  # Beside its controls in one table, and held against nothing.
        ours, other = ("aligned", "not aligned") if name == "aligned" else ("MASKS-RESET", name)
        for source, own in _by_source(pairs).items() if able else ():
            held = _held(bench, ours, other, own, able, one_by_one(able))
            yield row(held, comparison=f"{ours} against {other}", source=source, seed=bench.seed)


def few_labels(bench: Bench, pairs: Sequence[Pair], numbers: Sequence[int], rounds: Sequence[int]) -> Iterator[Goal]:
    """Masks carried to targets of few labels, against the dense network and shuffled masks there."""
    for _, target in _once(pairs):
        have = bench.task(target).train_size(bench.recipe.holdout)
        if max(numbers) >= have:  # Refused now, before anything runs.
            raise Refused(
                f"few={tuple(numbers)}: '{target}' has {have:,} examples to train on, which end the curve. Name "
                "numbers below that, or leave the part 'few' out."
            )
    for few in numbers:
        labels = {"figure": "few labels", "labels": few, "seed": bench.seed}
        for name in ("FULL-MODEL", "MASKS-RESET", "shuffled"):
            for source, target in pairs if name == "MASKS-RESET" else _once(pairs):
                where = {"target": target, **({"source": source} if name == "MASKS-RESET" else {})}
                for number in (0,) if name == "FULL-MODEL" else rounds:
                    yield row(bench.end(name, source, target, number, few), name=name, round=number, **labels, **where)
        for source, own in _by_source(pairs).items():
            for other in ("FULL-MODEL", "shuffled"):
                held = _held(bench, "MASKS-RESET", other, own, rounds, one_by_one(rounds), few)
                held_labels = {"comparison": f"MASKS-RESET against {other}", "labels": few}
                yield row(held, **held_labels, sources=source, seed=bench.seed)
    for (source, target), number in itertools.product(pairs, rounds[:1]):
        for other in ("FULL-MODEL", "shuffled"):
            found = _curve(bench, source, target, number, other, numbers)
            labels = {"comparison": f"MASKS-RESET against {other}", "pair": f"{source} to {target}"}
            yield row(found, probe="learning curve", round=number, seed=bench.seed, **labels)


def _curve(bench: Bench, source: str, target: str, number: int, other: str, numbers: Sequence[int]) -> Any:
    """Accuracy against the number of labels, to all that there are; in all of them the best checkpoint is chosen."""
    ends = {
        name: tuple(bench.end(name, source, target, number, few) for few in (*numbers, 0))
        for name in ("MASKS-RESET", other)
    }
    labels = (*numbers, bench.task(target).train_size(bench.recipe.holdout))
    return defer(learning_curve, here=ends["MASKS-RESET"], there=ends[other], labels=labels)


def _once(pairs: Sequence[Pair]) -> list[Pair]:
    """Each target with one of its sources."""
    return list({target: (source, target) for source, target in reversed(pairs)}.values())[::-1]


def tested(bench: Bench, domains: Sequence[str], pairs: Sequence[Pair], rounds: Sequence[int]) -> Iterator[Goal]:
    """All outcomes of the dense network and of tickets, in their own domain and, untrained there, in the others."""
    for source, target in [*((domain, domain) for domain in domains), *pairs]:
        where = {"source": source, "target": target, "kind": "own" if source == target else "zero-shot"}
        for number in (0, *rounds):
            ended = bench.end("TICKET-RESET", "", source, number)
            found = defer(outcomes, trained=ended, task=bench.task(target))
            yield row(found, probe="outcomes", round=number, seed=bench.seed, **where)


def unlike(benches: Sequence[Bench], domains: Sequence[str], rounds: Sequence[int]) -> Iterator[Goal]:
    """Where a ticket answers otherwise than the dense network, and where two dense networks do."""
    for place, bench in enumerate(benches):
        for domain in domains:
            labels = {"probe": "disagreement", "domain": domain, "seed": bench.seed}
            dense = bench.end("FULL-MODEL", "", domain, 0)
            for number in rounds:
                found = defer(disagreement, a=dense, b=bench.end("TICKET-RESET", "", domain, number))
                yield row(found, other="the ticket", round=number, **labels)
            if len(benches) > 1 and (place or len(benches) > 2):  # Of two seeds there is one pair.
                other = benches[(place + 1) % len(benches)].end("FULL-MODEL", "", domain, 0)
                yield row(defer(disagreement, a=dense, b=other), other="another seed", round=0, **labels)


def in_common(bench: Bench, domains: Sequence[str], rounds: Sequence[int]) -> Iterator[Goal]:
    """What the masks of two domains share, layer by layer, against chance."""
    for one, other in itertools.combinations(domains, 2):
        for number in rounds:
            pair = {"a": bench.chain(one)[number], "b": bench.chain(other)[number]}
            found = defer(overlap, **pair, exclude=bench.scope.exclude)
            labels = {"domains": f"{one} and {other}", "round": number, "seed": bench.seed}
            yield row(found, probe="overlap", **labels)


def over_seeds(
    benches: Sequence[Bench], domains: Sequence[str], pairs: Sequence[Pair], rounds: Sequence[int]
) -> Iterator[Goal]:
    """From which round on first values matter, in each domain and on each transfer."""
    if len(benches) < 2:
        return
    whole = range(1, benches[0].rounds + 1)
    for domain in domains:
        found = _changed(benches, INSIDE[0], ("", domain), whole)
        yield row(found, probe="transition", domain=domain, what="chain")
    for source, target in pairs:
        found = _changed(benches, ("MASKS-RESET", "MASKS-RANDOM"), (source, target), rounds)
        yield row(found, probe="transition", pair=f"{source} to {target}", what="transfer")


def apart(bench: Bench, domains: Sequence[str], **labels: Any) -> Iterator[Goal]:
    """How far domains are apart."""
    for one, other in itertools.combinations(domains, 2):
        yield row(_distance(bench, one, other), probe="shift", domains=f"{one} and {other}", **labels)


def seen_apart(bench: Bench, pairs: Sequence[Pair]) -> Iterator[Goal]:
    """How far a target is from a source in the features of the source's dense network."""
    for source, target in pairs:
        labels = {"probe": "shift of features", "source": source, "target": target}
        yield row(_distance_through(bench, source, target), **labels)


def related(
    benches: Sequence[Bench], pairs: Sequence[Pair], rounds: Sequence[int], distances: Sequence[str]
) -> Iterator[Goal]:
    """Whether masks lose more where domains are farther apart: by their inputs, and by features of the source."""
    to = related_leads(pairs, rounds)
    if not to:
        return
    first = benches[0]
    leads = tuple(_held(bench, *CARRIED_AGAINST[0], [pair], rounds) for pair in pairs for bench in benches)
    for of, lead in itertools.product((*distances, *OF_FEATURES), to):
        measure = _distance_through if of in OF_FEATURES else _distance
        far = tuple(measure(first, *pair) for pair in pairs)
        yield row(defer(correlation, x=far, y=leads, of=of, to=lead), probe="correlation", distance=of, lead=lead)


def _distance(bench: Bench, *pair: str) -> Any:
    """The same call whichever of the two is named first."""
    one, other = sorted(pair)
    return defer(shift, a=bench.task(one), b=bench.task(other))


def _distance_through(bench: Bench, source: str, target: str) -> Any:
    through = bench.end("FULL-MODEL", "", source, 0)
    return defer(shift, a=bench.task(source), b=bench.task(target), through=through)


def one_by_one(rounds: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Spans of a single round."""
    return tuple((number, number) for number in rounds)


def _by_source(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for source, target in pairs:
        found.setdefault(source, []).append((source, target))
    return found


def _held(
    bench: Bench,
    name: str,
    other: str,
    pairs: Sequence[Pair],
    rounds: Sequence[int],
    spans: Spans = SPANS,
    few: int = 0,
    questions: Questions = "of each task",
) -> Any:
    """One strategy against another one, round by round on every pair."""
    each = [(source, target, number) for source, target in pairs for number in rounds]
    here, there = (tuple(bench.end(what, *where, few) for where in each) for what in (name, other))
    given = {"at": tuple(number for *_, number in each), "spans": spans}
    given["questions"] = bench.questions if questions == "of each task" else questions
    return defer(contrast, here=here, there=there, **given)


def _changed(benches: Sequence[Bench], names: tuple[str, str], pair: Pair, rounds: Sequence[int]) -> Any:
    here, there = (tuple(bench.end(name, *pair, number) for bench in benches for number in rounds) for name in names)
    return defer(transition, here=here, there=there, at=tuple(rounds), runs=len(benches))
