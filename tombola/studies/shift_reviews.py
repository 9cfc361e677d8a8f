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
from tombola.probes.detection import detection
from tombola.probes.tokens_left import tokens_left
from tombola.studies import _shift, _shift_claims, _shift_tables
from tombola.studies import _shift_rows as _rows
from tombola.studies._shift_rows import pairs_of
from tombola.studies._words import known
from tombola.tasks.reviews import AmazonReviews, OwnTexts, Reviews
from tombola.train.recipes import ReviewsCnn

QUESTION = "Does a ticket found on reviews of one kind of product win on reviews of another?"
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
    def pairs(self) -> list[tuple[str, str]]:
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
    if on == "own" and not (id and group and sources and targets):
        raise Refused(
            "shift_reviews: on=own needs id, group, sources and targets: your texts, their column of domains."
        )
    if on != "own" and (id or group):
        raise Refused(f"shift_reviews: id and group are of your own texts, and on={on} has its own. Give on=own.")
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
) -> Iterator[Goal]:
    """Every domain's chains, masks carried from each source to each target, and the parts that are asked for.

    Controls and few labels are of the sources in `controlled`, the first one unless told.
    """
    corpus = _corpus(on, id, group, sources, targets)
    known("parts", parts, _shift.PARTS)
    known("controlled", controlled, corpus.sources)
    domains, pairs, at = corpus.domains, corpus.pairs, _rows.within(transfer, rounds)
    some = tuple(number for number in _shift.CONTROLLED if number in at)
    benches = [Reviewed(seed, rounds, domains[0], corpus, net) for seed in seeds]
    own = [pair for pair in pairs if pair[0] in (controlled or corpus.sources[:1])]
    for bench in benches:
        yield from _rows.chains(bench, domains)
        yield from _rows.transfers(bench, pairs, at)
    yield from _rows.over_seeds(benches, domains, pairs, at)
    for bench in benches:
        if "controls" in parts:
            yield from _rows.controls(bench, own, some)
        if "few" in parts:
            yield from _rows.few_labels(bench, own, _shift.FEW, some[:1])
        if "outcomes" in parts:
            yield from _rows.tested(bench, domains, pairs, some)
            yield from _outside(bench, pairs, some)
        if "masks" in parts:
            yield from _rows.in_common(bench, domains, at)
            yield from _left(bench, domains, pairs, some)
    if "outcomes" in parts:
        yield from _rows.unlike(benches, domains, some)
    if "shift" in parts:
        for vocabulary in VOCABULARIES if on != "own" else VOCABULARIES[-1:]:
            bench = dataclasses.replace(benches[0], vocabulary=vocabulary)
            yield from _rows.apart(bench, domains, vocabulary=vocabulary)
        yield from _rows.related(benches, pairs, at, DISTANCES)


def _outside(bench: Reviewed, pairs: list[tuple[str, str]], rounds: tuple[int, ...]) -> Iterator[Goal]:
    """Whether a network tells its own domain from another one."""
    for source, target in pairs:
        for number in (0, *rounds):
            trained = bench.end("TICKET-RESET", "", source, number)
            found = defer(detection, trained=trained, outside=bench.task(target))
            labels = {"source": source, "target": target, "round": number, "seed": bench.seed}
            yield row(found, probe="detection", **labels)


def _left(
    bench: Reviewed, domains: tuple[str, ...], pairs: list[tuple[str, str]], rounds: tuple[int, ...]
) -> Iterator[Goal]:
    """How much of the embedding of each domain's words is left, of the source's own and of the target's."""
    for source, target in [*((domain, domain) for domain in domains), *pairs]:
        for number in rounds:
            found = defer(tokens_left, ticket=bench.chain(source)[number], task=bench.task(target))
            labels = {"source": source, "target": target, "round": number, "seed": bench.seed}
            yield row(found, probe="tokens left", words="own" if source == target else "another's", **labels)


def claims(
    *,
    on: On,
    id: str,
    group: str,
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    rounds: int,
    transfer: tuple[int, ...],
    seeds: tuple[int, ...],
    parts: tuple[str, ...],
    controlled: tuple[str, ...],
) -> Iterator[Claim]:
    """R1 to R13 as far as their domains are there, and what the paper's controls should have been."""
    corpus, at = _corpus(on, id, group, sources, targets), _rows.within(transfer, rounds)
    said = _said(corpus, at, parts, controlled or corpus.sources[:1], seeds=len(seeds))
    yield from _shift_claims.reached(said, range(1, rounds + 1), at)


def _said(
    corpus: Corpus, at: tuple[int, ...], parts: tuple[str, ...], controlled: tuple[str, ...], *, seeds: int
) -> Iterator[Claim]:
    """All claims, whether or not the rounds reach so far."""
    domains = corpus.domains
    if corpus.on == "own":
        yield from _shift_claims.inside(domains, domains, seeds=seeds)
        yield from _shift_claims.of_others(corpus.sources)
    else:
        books, electronics, _, cds, home = DOMAINS[corpus.on]
        winners = [domain for domain in (books, electronics, home) if domain in domains]
        yield from _shift_claims.inside(domains, winners, seeds=seeds)
        if "outcomes" in parts and cds in domains:
            yield _shift_claims.worst(cds, domains)
        yield from _shift_claims.carried(corpus.sources, books=books, electronics=electronics, cds=cds)
        if "shift" in parts and {electronics, home, cds} <= set(domains):
            yield from _shift_claims.nearest(domains, (electronics, home), (cds, home))
    if seeds > 1:
        yield _shift_claims.changes()
    some = [number for number in _shift.CONTROLLED if number in at]
    own = [one for one in corpus.sources if one in controlled]
    if "controls" in parts:
        yield from _shift_claims.against_controls(own, _shift.CARRIED + _shift.AT_TARGET, some)
    if "few" in parts:
        yield from _shift_claims.with_few(own, _shift.FEW, some[:1])


def figures(*, on: On, id: str, group: str, sources: tuple[str, ...], targets: tuple[str, ...]) -> Iterator[Curve]:
    """Figures 3 and 4: accuracy against density."""
    corpus = _corpus(on, id, group, sources, targets)
    for domain in corpus.domains:
        dense = {"figure": "dense", "domain": domain}
        yield Curve(where={"figure": "3", "domain": domain}, baseline=dense, title=f"Figure 3: {domain}")
    for source, target in corpus.pairs:
        pair, dense = f"{source} to {target}", {"figure": "dense", "domain": target}
        yield Curve(where={"figure": "4", "pair": pair}, baseline=dense, title=f"Figure 4: {pair}")


def tables(
    *,
    on: On,
    id: str,
    group: str,
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    rounds: int,
    transfer: tuple[int, ...],
    parts: tuple[str, ...],
) -> Iterator[Pivot]:
    """Leads over spans of rounds, where they begin, and what the parts measured."""
    yield from _shift_tables.leads(range(1, rounds + 1), _rows.within(transfer, rounds))
    if "controls" in parts:
        yield from _shift_tables.controls()
    if "few" in parts:
        yield from _shift_tables.few_labels()
    if "outcomes" in parts:
        yield from _shift_tables.outcomes()
    if "masks" in parts:
        yield from _shift_tables.masks()
        left: Any = {"lines": "round", "columns": "words", "verdicts": "hide", "beside": ()}
        where = {"probe": "tokens left"}
        yield Pivot(
            of="tokens_alive_seen", where=where, title="Share of a domain's subwords with a living vector", **left
        )
    if "shift" in parts:
        pairs = len(_corpus(on, id, group, sources, targets).pairs)
        yield from _shift_tables.distances("vocabulary", DISTANCES, pairs=pairs)
