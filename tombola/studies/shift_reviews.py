"""Tickets under distribution shift, reviews: figures 1, 3 and 4 of Desai et al. 2019

Tickets of a text CNN are found on reviews of one kind of product and trained again on those of another. The paper's
data were never published; on=fdu has 1,600 reviews a domain for training and 400 for testing (music stands for CDs, dvd
for Movies, kitchen_housewares for Home), on=amazon fetches a later edition of the collection that the paper took its
own from. net=small is a narrow network, net=paper the published one. All domains of a seed begin with the same values,
so that MASKS-RESET and TICKET-TARGET differ in their mask alone. With on=own it runs on texts of your own: `id` and
`group` are those of the task `texts`, sources and targets the domains in that column.

tombola run shift_reviews --workers 2 && tombola report shift_reviews
tombola run "shift_reviews(net=paper, sources=('books',), targets=('electronics', 'music'), rounds=8)"
tombola run "shift_reviews(on=own, id='./letters', group='shop', sources=('books',), targets=('toys', 'tools'))"
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, Literal

from tombola import Claim, Curve, Goal, Pivot, Recipe, Refused, defer, row
from tombola.archs.textcnn import TextCnn
from tombola.criteria.snip import Snip
from tombola.probes.detection import detection
from tombola.probes.tokens_left import tokens_left
from tombola.studies import _names, _shift, _shift_claims, _shift_rows, _shift_tables
from tombola.studies._shift_plan import Pair, Plan, check_own, checked, pairs_of
from tombola.studies._words import known
from tombola.tasks.reviews import AmazonReviews, OwnTexts, Reviews
from tombola.train.recipes import ReviewsCnn

QUESTION = "Does a ticket found on reviews of one kind of product win on reviews of another?"
NAMES = _names.SHIFT
On = Literal["fdu", "amazon", "own"]
Net = Literal["small", "paper"]
DOMAINS = {
    "fdu": ("books", "electronics", "dvd", "music", "kitchen_housewares"),
    "amazon": ("Books", "Electronics", "Movies_and_TV", "CDs_and_Vinyl", "Home_and_Kitchen"),
}
"""Those of the paper in its order: Books, Electronics, Movies, CDs, Home."""
SOURCES = {"fdu": ("books", "electronics", "music"), "amazon": ("Books", "Electronics", "CDs_and_Vinyl")}
VOCABULARIES = (1000, 2000, 4000, 8000)
DISTANCES = ("jsd_nats", "proxy_a_distance", "mmd2")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Whose reviews: domains of the paper's, or one's own."""

    on: On
    id: str
    group: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """Every domain once, in the paper's order."""
        order = DOMAINS.get(self.on, (*self.sources, *self.targets))
        return tuple(dict.fromkeys(domain for domain in order if domain in self.sources + self.targets))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every source with every other domain as its target."""
        return pairs_of(self.sources, self.targets)

    def task(self, domain: str, few: int, vocabulary: int) -> Any:
        """A domain's reviews; all share one vocabulary."""
        given: dict[str, Any] = {"domain": domain, "few": few, "vocabulary": vocabulary}
        if self.on == "own":
            return OwnTexts(id=self.id, group=self.group, shared=tuple(sorted(self.domains)), **given)
        return Reviews(**given) if self.on == "fdu" else AmazonReviews(**given)


def _corpus(on: On, id: str, group: str, sources: tuple[str, ...], targets: tuple[str, ...]) -> Corpus:
    """The domains asked for, or the paper's three sources and all five targets.

    Raises:
        Refused: If a domain is unknown, none can be carried to, or one's own texts are not named whole.
    """
    check_own("reviews", on, sources, targets, id=id, group=group)
    found = Corpus(on, id, group, sources or SOURCES[on], targets or DOMAINS[on])
    if on != "own":
        known("sources", found.sources, DOMAINS[on])
        known("targets", found.targets, DOMAINS[on])
    if not found.pairs:
        raise Refused(
            f"shift_reviews: from {found.sources} to {found.targets} there is no transfer. Name a target besides the "
            "source."
        )
    return found


@dataclasses.dataclass(frozen=True)
class Reviewed(_shift.Bench):
    """A text CNN on reviews of several kinds."""

    corpus: Corpus
    net: Net
    vocabulary: int = 8000

    def arch(self) -> Any:
        """As published, or narrow."""
        return TextCnn() if self.net == "paper" else TextCnn(width=64, channels=32, hidden=32)

    @functools.cache  # noqa: B019
    def task(self, domain: str, few: int = 0) -> Any:
        """A domain's reviews."""
        return self.corpus.task(domain, few, self.vocabulary)

    @property
    def recipe(self) -> Recipe:
        """As published; of smaller sets an eighth is held out."""
        return ReviewsCnn() if self.corpus.on == "amazon" else ReviewsCnn(validation=0.125)

    def narrower(self) -> list[Any]:
        """Half as many channels and hidden units as numbers a token, of which an embedding needs one at least."""
        most = self.arch().width
        return [TextCnn(width=width, channels=-(-width // 2), hidden=-(-width // 2)) for width in range(1, most)]

    def varied(self, arch: TextCnn) -> list[TextCnn]:
        """As wide a token, and other numbers of channels and hidden units."""
        return [dataclasses.replace(arch, channels=number, hidden=number) for number in range(1, self.arch().channels)]

    @property
    def snip(self) -> Snip:
        """A whole epoch: the vector of a token that no batch shows has no gradient, and would be cut unseen."""
        return Snip(batches=0)

    @property
    def embedding(self) -> tuple[str, ...]:
        """Its name in the network."""
        return ("stem.weight",)


def goals(
    *,
    on: On = "fdu",
    net: Net = "small",
    id: str = "",
    group: str = "",
    sources: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    rounds: int = 20,
    transfer: tuple[int, ...] = (1, 2, 4, 6, 7, 8, 10, 12, 14, 17, 20),
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    parts: tuple[str, ...] = ("controls", "few", "outcomes", "masks", "shift"),
    controlled: tuple[str, ...] = (),
    few: tuple[int, ...] = (50, 200, 1000),
    vocabulary: int = 8000,
) -> Iterator[Goal]:
    """Every domain's chains, masks carried from each source to each target, and the parts that are asked for.

    Controls and few labels are of the sources in `controlled`, the first one unless told; `few` are numbers of labels
    in the target; small collections make a smaller `vocabulary`.
    """
    corpus, plan = _plan(on, id, group, sources, targets, rounds, transfer, parts, controlled, few)
    benches = [Reviewed(seed, rounds, plan.domains[0], corpus, net, vocabulary) for seed in seeds]
    yield from _shift_rows.whole(benches, plan)
    for bench in benches:
        if plan.has("outcomes"):
            yield from _outside(bench, plan)
        if plan.has("masks"):
            yield from _left(bench, plan)
    if plan.has("shift"):
        for size in VOCABULARIES if on != "own" else (vocabulary,):
            bench = dataclasses.replace(benches[0], vocabulary=size)
            yield from _shift_rows.apart(bench, plan.domains, vocabulary=size)
        yield from _shift_rows.seen_apart(benches[0], plan.pairs)
        yield from _shift_rows.related(benches, plan.pairs, plan.carried, DISTANCES)


def _plan(
    on: On,
    id: str,
    group: str,
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    rounds: int,
    transfer: tuple[int, ...],
    parts: tuple[str, ...],
    controlled: tuple[str, ...],
    few: tuple[int, ...],
    **_: Any,
) -> tuple[Corpus, Plan]:
    """Whose reviews, and what is done with them; the paper's domains have the same two classes."""
    corpus = _corpus(on, id, group, sources, targets)
    known("controlled", controlled, corpus.sources)
    own = tuple(pair for pair in corpus.pairs if pair[0] in (controlled or corpus.sources[:1]))
    at = checked(transfer, rounds, parts, few)
    return corpus, Plan(corpus.domains, corpus.pairs, rounds, at, parts, own, corpus.pairs, few)


def _outside(bench: Reviewed, plan: Plan) -> Iterator[Goal]:
    """Whether a network tells its own domain from another one."""
    for source, target in plan.pairs:
        for number in (0, *plan.some):
            trained = bench.end("TICKET-RESET", "", source, number)
            found = defer(detection, trained=trained, outside=bench.task(target))
            labels = {"source": source, "target": target, "round": number, "seed": bench.seed}
            yield row(found, probe="detection", **labels)


def _left(bench: Reviewed, plan: Plan) -> Iterator[Goal]:
    """How much of the embedding of each domain's words is left, of the source's own and of the target's."""
    for source, target in [*((domain, domain) for domain in plan.domains), *plan.pairs]:
        for number in plan.some:
            found = defer(tokens_left, ticket=bench.chain(source)[number], task=bench.task(target))
            labels = {"source": source, "target": target, "round": number, "seed": bench.seed}
            yield row(found, probe="tokens left", words="own" if source == target else "another's", **labels)


def claims(*, seeds: tuple[int, ...], **settings: Any) -> Iterator[Claim]:
    """R1 to R13 as far as their domains are there, and what the paper's controls should have been."""
    corpus, plan = _plan(**settings)
    said = _of_own(corpus, seeds=len(seeds)) if corpus.on == "own" else _of_paper(corpus, plan, seeds=len(seeds))
    bench = Reviewed(0, plan.length, plan.domains[0], corpus, settings["net"], settings["vocabulary"])
    yield from _shift_claims.whole(said, plan, bench, seeds=len(seeds))


def _of_own(corpus: Corpus, *, seeds: int) -> Iterator[Claim]:
    """What the paper says of its domains at large."""
    yield from _shift_claims.inside(corpus.domains, corpus.domains, seeds=seeds)
    yield from _shift_claims.of_others(corpus.sources)


def _of_paper(corpus: Corpus, plan: Plan, *, seeds: int) -> Iterator[Claim]:
    """What it says of each."""
    domains = corpus.domains
    books, electronics, _, cds, home = DOMAINS[corpus.on]
    winners = [domain for domain in (books, electronics, home) if domain in domains]
    yield from _shift_claims.inside(domains, winners, seeds=seeds)
    if plan.has("outcomes") and cds in domains:
        yield _shift_claims.worst(cds, domains)
    yield from _shift_claims.carried(corpus.pairs, books=books, electronics=electronics, cds=cds)
    if plan.has("shift") and {electronics, home, cds} <= set(domains):
        yield from _shift_claims.nearest(domains, (electronics, home), (cds, home))


def figures(**settings: Any) -> Iterator[Curve]:
    """Figures 3 and 4: accuracy against density."""
    yield from _shift_tables.curves(_plan(**settings)[1], "Figure 3", "Figure 4")


def tables(*, seeds: tuple[int, ...], **settings: Any) -> Iterator[Pivot]:
    """Leads over spans of rounds, where they begin, and what the parts measured."""
    _, plan = _plan(**settings)
    yield from _shift_tables.whole(plan, seeds=len(seeds))
    if plan.has("masks"):
        title = "Share of a domain's subwords with a living vector"
        where: Any = {"where": {"probe": "tokens left"}, **_shift_tables.SHOWN}
        yield Pivot(of="tokens_alive_seen", lines="round", columns="words", title=title, **where)
    if plan.has("shift"):
        yield from _shift_tables.distances(plan, "vocabulary", DISTANCES)
