"""What Desai et al. 2019 say of tickets under distribution shift, as claims on the rows of `shift_reviews`.

R1 to R13 are the statements of the paper in its order, the others are ours. Leads are means over rounds, over all
targets of a source together, at equal numbers of weights unless the other side has none to be equal to; a lead that
another test set of that size might turn is undecided. R4 and R12 have domains and transfers as their runs, R13
vocabularies: of them no such error is known.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tombola import Better, Beyond, Claim
from tombola.probes.contrast import reaches
from tombola.studies._shift import BORROWED, Bench
from tombola.studies._shift_plan import Pair, Plan, sources_of
from tombola.studies._shift_rows import AGAINST_HOME, CARRIED_AGAINST, INSIDE, ON_BORROWED

RANDOM, FULL = (f"{name} against {other}" for name, other in INSIDE)
RESET_BORROWED, RANDOM_BORROWED = (f"{name} against {other}" for name, other in ON_BORROWED)
RESET_TARGET, RANDOM_TARGET, RESET_RANDOM = (f"{name} against {other}" for name, other in CARRIED_AGAINST)
AT_HOME = tuple(f"{name} against {other}" for name, other in AGAINST_HOME)
ALIKE = 1.0
"""Curves less than a point apart are alike."""
FLAT = 0.5
"""A curve that loses less than half a point a round is flat."""
LOST = (-5.0, -3.0)
"""What masks of Books and of Electronics lose, in points."""
GROWING = ((1, 7), (12, 20))
"""The rounds at which gap and spread are held against each other (R4)."""
OUTDONE = ("shuffled", "magnitude at init", "SNIP", "small dense")
BEND = "bend_1_to_5_and_6_to_20_points"
UNEQUAL = ("FULL-MODEL", "small dense", "embedding dense")
"""What has another number of weights."""
Labels = dict[str, Any]


def ahead(where: Labels, span: tuple[int, int], value: float = 0.0, *, higher: bool = True) -> Beyond:
    """That a comparison's mean lead over a span of rounds lies above so many points, or below."""
    return _beyond("lead", where, span, value, higher)


def falls(where: Labels, span: tuple[int, int], value: float = 0.0, *, higher: bool = True) -> Beyond:
    """That the first of a comparison loses more than so many points a round, or less."""
    return _beyond("fall", where, span, value, higher)


def _beyond(what: str, where: Labels, span: tuple[int, int], value: float, higher: bool) -> Beyond:
    of = f"{what}_{span[0]}_to_{span[1]}_points"
    equal = not str(where["comparison"]).endswith(UNEQUAL)
    apart = "weights_apart" if equal else ""
    return Beyond(where=where, of=of, value=value, higher=higher, error=f"{of}_error", apart=apart)


def alike(where: Labels, span: tuple[int, int]) -> tuple[Beyond, Beyond]:
    """That two curves are less than a point apart."""
    return ahead(where, span, -ALIKE), ahead(where, span, ALIKE, higher=False)


def _of(comparison: str, **labels: Any) -> Labels:
    return {"comparison": comparison, **labels}


def whole(said: Iterable[Claim], plan: Plan, bench: Bench, *, seeds: int) -> Iterator[Claim]:
    """What a study says of its domains, and what holds of all; of that, what its rounds reach to."""
    more = [changes()] if seeds > 1 else []
    sources = sources_of(plan.controlled)
    if plan.has("borrowed"):
        more += on_borrowed(plan.domains)
    if plan.has("controls"):
        more += against_controls(sources, bench, plan.some)
    if plan.has("few"):
        more += with_few(sources, plan.few, plan.some[:1])
        more += over_labels(plan.controlled, plan.some[:1])
    yield from reached([*said, *more], plan.rounds, plan.carried)


def inside(domains: Sequence[str], winners: Sequence[str], *, seeds: int) -> Iterator[Claim]:
    """R1 to R5: strategies inside their own domain; R2 of those where the paper has it so, or else of all."""
    best = tuple(ahead(_of(RANDOM, domain=domain), (1, 20)) for domain in domains)
    yield Claim("R1: TICKET-RESET is above TICKET-RANDOM in every domain, over all rounds", tests=best, family="R1")
    for domain in winners:
        test = ahead(_of(FULL, domain=domain), (1, 5))
        yield Claim(f"R2: TICKET-RESET beats FULL-MODEL in {domain}, rounds 1 to 5", tests=(test,), family="R2")
    same = tuple(test for domain in domains for test in alike(_of(RANDOM, domain=domain), (1, 7)))
    sentence = "R3: TICKET-RESET and TICKET-RANDOM are within a point in every domain, rounds 1 to 7"
    yield Claim(sentence, tests=same, family="R3")
    if seeds > 1:
        for of, what in (("gap", "RANDOM's distance to RESET"), ("spread", "RANDOM's spread over seeds")):
            where = {"probe": "transition", "what": "chain"}
            twice = Beyond(where=where, of=f"{of}_growth_points", by=("domain",))
            sentence = f"R4: {what} is at least twice as large at rounds 12 to 20 as at 1 to 7"
            yield Claim(sentence, tests=(twice,), family="R4")
    half = _beyond("fall_above_half", _of(RANDOM, domain="all"), (8, 17), 0.0, higher=False)
    sentence = "R5: TICKET-RESET loses less than half as much a round as TICKET-RANDOM, rounds 8 to 17"
    yield Claim(sentence, tests=(half,), family="R5")


def on_borrowed(domains: Sequence[str]) -> Iterator[Claim]:
    """R1 and R3 where TICKET-RANDOM has the masks of TICKET-RESET, and whether the two readings are two."""
    best = tuple(ahead(_of(RESET_BORROWED, domain=domain), (1, 20)) for domain in domains)
    sentence = "R1, masks borrowed: TICKET-RESET is above TICKET-RANDOM in every domain, over all rounds"
    yield Claim(sentence, tests=best, family="R1")
    same = tuple(test for domain in domains for test in alike(_of(RESET_BORROWED, domain=domain), (1, 7)))
    sentence = "R3, masks borrowed: TICKET-RESET and TICKET-RANDOM are within a point in every domain, rounds 1 to 7"
    yield Claim(sentence, tests=same, family="R3")
    sentence = "TICKET-RANDOM with masks of its own and with borrowed ones are within a point, over all rounds"
    yield Claim(sentence, tests=alike(_of(RANDOM_BORROWED, domain="all"), (1, 20)), family="readings")


def worst(domain: str, domains: Sequence[str]) -> Claim:
    """R6: in which domain the dense network does worst."""
    dense: dict[str, Any] = {"probe": "outcomes", "kind": "own", "round": 0}
    given: dict[str, Any] = {"of": "accuracy", "error": "standard_error", "than": {**dense, "source": domain}}
    tests = tuple(Better(where={**dense, "source": other}, **given) for other in domains if other != domain)
    return Claim(f"R6: FULL-MODEL is worse in {domain} than in any other domain", tests=tests, family="R6")


def carried(pairs: Sequence[Pair], *, books: str, electronics: str, cds: str) -> Iterator[Claim]:
    """R7 to R11: masks carried to other domains, by their part in the paper; R8 against both that it may mean."""
    for source in sources_of(pairs):
        if source == cds:
            names = [f"{source} to {target}" for start, target in pairs if start == source]
            each = itertools.product((RESET_TARGET, RANDOM_TARGET), names)
            both = tuple(ahead(_of(name, pair=pair), (1, 13)) for name, pair in each)
            sentence = f"R7: masks of {source} beat TICKET-TARGET on every target, rounds 1 to 13"
            yield Claim(sentence, tests=both, family="R7")
        if source in (books, electronics):
            for name in (RESET_TARGET, RANDOM_TARGET, *AT_HOME):
                low, high = LOST
                where, other = _of(name, source=source), name.split()[-1]
                band = ahead(where, (1, 5), low), ahead(where, (1, 5), high, higher=False)
                sentence = f"R8: {name.split()[0]} of {source} loses 3 to 5 points to {other}, rounds 1 to 5"
                yield Claim(sentence, tests=band, family="R8")
        yield from shapes(source)
        yield dense_beaten(source)
        if source == books:
            less = ahead(_of(RESET_RANDOM, source=source), (1, 20), higher=False)
            yield Claim(f"R10: MASKS-RANDOM of {source} is better than MASKS-RESET", tests=(less,), family="R10")
        if source in (electronics, cds):
            where = _of(RESET_RANDOM, source=source)
            tests = ahead(where, (1, 20)), *alike(where, (1, 7))
            sentence = f"R11: MASKS-RANDOM of {source} is worse than MASKS-RESET, and alike at rounds 1 to 7"
            yield Claim(sentence, tests=tests, family="R11")


def shapes(source: str) -> Iterator[Claim]:
    """R9: both curves of carried masks are flat at first and decline afterwards."""
    for name in (RESET_TARGET, RANDOM_TARGET):
        where = _of(name, source=source)
        bend = _beyond("bend", where, (1, 5), 0.0, higher=True)
        bend = dataclasses.replace(bend, of=BEND, error=f"{BEND}_error")
        shape = falls(where, (1, 5), FLAT, higher=False), falls(where, (6, 20)), bend
        sentence = f"R9: {name.split()[0]} of {source} is flat at rounds 1 to 5 and falls faster afterwards"
        yield Claim(sentence, tests=shape, family="R9")


def dense_beaten(source: str) -> Claim:
    """Not of the paper, which shows no dense network on its transfers."""
    better = ahead(_of("MASKS-RESET against FULL-MODEL", source=source), (1, 5))
    return Claim(
        f"masks of {source} beat the dense networks of their targets, rounds 1 to 5", tests=(better,), family="dense"
    )


def of_others(sources: Sequence[str]) -> Iterator[Claim]:
    """R9 and what the paper says of its sources at large, where there are no Books and no CDs."""
    for source in sources:
        for first, last in ((1, 5), (8, 17)):
            same = alike(_of(RESET_TARGET, source=source), (first, last))
            sentence = f"MASKS-RESET of {source} is within a point of TICKET-TARGET, rounds {first} to {last}"
            yield Claim(sentence, tests=same, family="loss")
        yield from shapes(source)
        yield dense_beaten(source)
        same = alike(_of(RESET_RANDOM, source=source), (1, 7))
        yield Claim(f"MASKS-RESET and MASKS-RANDOM of {source} are alike, rounds 1 to 7", tests=same, family="values")
        better = ahead(_of(RESET_RANDOM, source=source), (12, 20))
        sentence = f"MASKS-RESET of {source} is above MASKS-RANDOM, rounds 12 to 20"
        yield Claim(sentence, tests=(better,), family="values")


def changes() -> Claim:
    """R12: on most transfers there is a round at which first values matter; which one is the first, the table shows."""
    test = Beyond(where={"probe": "transition", "what": "transfer"}, of="found", value=0.5, by=("pair",))
    return Claim("R12: on most transfers there is a round at which first values matter", tests=(test,), family="R12")


def nearest(domains: Sequence[str], close: Sequence[str], far: Sequence[str]) -> Iterator[Claim]:
    """R13: which domains are closest and farthest, by the divergence of their subwords."""
    pairs = [f"{one} and {other}" for one, other in itertools.combinations(domains, 2)]
    for word, ends, higher in (("closest", close, False), ("farthest", far, True)):
        [extreme] = (pair for pair in pairs if set(pair.split(" and ")) == set(ends))
        given: dict[str, Any] = {"of": "jsd_nats", "by": ("vocabulary",), "higher": higher, "clearance": 0.0}
        tests = tuple(
            Better(where={"probe": "shift", "domains": extreme}, than={"probe": "shift", "domains": other}, **given)
            for other in pairs
            if other != extreme
        )
        yield Claim(f"R13: {extreme} are the {word} two domains", tests=tests, family="R13")


def against_controls(sources: Sequence[str], bench: Bench, rounds: Sequence[int]) -> Iterator[Claim]:
    """Not of the paper: that it is the mask which is carried, and what carrying more or less of it does."""
    for source, number in itertools.product(sources, rounds):
        span = (number, number)
        controls = [name for name in bench.controls() if name != "small dense" or bench.narrow(number) is not None]
        for name in [name for name in controls if name in OUTDONE]:
            better = ahead(_of(f"MASKS-RESET against {name}", source=source), span)
            yield Claim(f"masks of {source} beat {name} at round {number}", tests=(better,), family=f"beats {name}")
        if "embedding dense" in controls:
            less = ahead(_of("MASKS-RESET against embedding dense", source=source), span, higher=False)
            sentence = f"masks of {source} lose to those with a dense embedding at round {number}"
            yield Claim(sentence, tests=(less,), family="embedding")
        same = alike(_of("MASKS-RESET against signs", source=source), span)
        sentence = f"masks of {source} with the signs of their values alone are within a point, at round {number}"
        yield Claim(sentence, tests=same, family="signs")
        if "aligned" in controls:
            better = ahead(_of("aligned against not aligned", source=source), span)
            sentence = f"masks of {source} do better on another initialisation when aligned, at round {number}"
            yield Claim(sentence, tests=(better,), family="aligned")


def with_few(sources: Sequence[str], numbers: Sequence[int], rounds: Sequence[int]) -> Iterator[Claim]:
    """Not of the paper: whether masks help where labels are few."""
    for source, few, number in itertools.product(sources, numbers, rounds):
        for name in ("FULL-MODEL", "shuffled"):
            where = _of(f"MASKS-RESET against {name}", labels=few, sources=source)
            sentence = f"with {few} labels masks of {source} beat {name} at round {number}"
            yield Claim(sentence, tests=(ahead(where, (number, number)),), family=f"few labels, {name}")


def over_labels(pairs: Iterable[Pair], rounds: Sequence[int]) -> Iterator[Claim]:
    """Not of the paper: whether masks need fewer labels, over the whole curve."""
    for (source, target), number, name in itertools.product(pairs, rounds, ("FULL-MODEL", "shuffled")):
        where = _of(f"MASKS-RESET against {name}", probe="learning curve", pair=f"{source} to {target}")
        test = Beyond(where=where, of="area_lead_points", error="area_lead_points_error")
        sentence = f"over all numbers of labels masks of {source} beat {name} on {target}, at round {number}"
        yield Claim(sentence, tests=(test,), family=f"learning curve, {name}")


def reached(claims: Iterable[Claim], inside: Sequence[int], carried: Sequence[int]) -> Iterator[Claim]:
    """The claims on spans that the rounds reach to: those of chains, and those at which masks are carried."""
    for claim in claims:
        spans = [
            (carried if _at_carried(test.where) else inside, span)
            for test in claim.tests
            for span in (GROWING if "growth" in test.of else _named(test.of))
        ]
        if all(reaches(rounds, span) for rounds, span in spans):
            yield claim


def _named(number: str) -> list[tuple[int, int]]:
    """The spans in the name of a number."""
    return [(int(first), int(last)) for first, last in re.findall(r"(\d+)_to_(\d+)", number)]


def _at_carried(where: Mapping[str, Any]) -> bool:
    """Whether rows are of the rounds at which masks are carried, and not of all of a chain."""
    return bool({"source", "sources", "pair"} & set(where)) or str(where.get("comparison")).endswith(BORROWED)
