"""What the studies of distribution shift share: the strategies of Desai et al. 2019 on some domains, and controls.

Their names: FULL-MODEL is the dense network, TICKET-RESET the chain of tickets that return to their first values,
TICKET-RANDOM the chain that gets new ones in each round; the paper can also be read so that it has the masks of
TICKET-RESET, which is BORROWED here. Carried to a target, MASKS-RESET has the source's mask and
first values, MASKS-RANDOM its mask and new values; TICKET-TARGET is the target's own TICKET-RESET.
"""

import dataclasses
import fnmatch
import functools
from collections.abc import Iterable
from typing import Any, Literal

from tombola import Everywhere, PerLayer, Recipe, Seeds, carry, cut, cut_early, defer, draw, find, train
from tombola.align import align
from tombola.core.layout import blank
from tombola.criteria.snip import Snip
from tombola.moves.controls import Reinit, Shuffle
from tombola.moves.transplant import Transplant
from tombola.probes.contrast import Questions
from tombola.prune.target import target as left

KEEP = 0.65
"""A cut takes 35 % of what lives in each tensor."""
NEARLY = 0.05
"""A narrow dense network has as many weights as the ticket that it is compared with, but for 5 %."""
BORROWED = "TICKET-RANDOM, masks borrowed"
HOME = "TICKET-SOURCE"
"""The source's TICKET-RESET in its own domain, against which a loss on the target can be told too."""
OTHER = 1000
"""Added to a seed for a second initialisation."""
CARRIED = ("fine-tuned", "signs", "embedding dense", "aligned", "not aligned")
AT_TARGET = ("shuffled", "magnitude at init", "SNIP", "small dense")
"""Controls that no source decides: layer densities are the same for all tickets of a round. SNIP ranks all together."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """One seed's networks on some domains; a study says which, and how they are trained."""

    seed: int
    rounds: int
    first: str
    """A domain, after whose inputs and classes the size of a network is counted."""

    def arch(self) -> Any:
        """The network."""
        raise NotImplementedError

    def task(self, domain: str, few: int = 0) -> Any:
        """A domain's data, or so many of its training examples."""
        raise NotImplementedError

    @property
    def recipe(self) -> Recipe:
        """How all are trained."""
        raise NotImplementedError

    def narrower(self) -> Iterable[Any]:
        """Smaller networks of the same kind."""
        raise NotImplementedError

    @functools.cache  # noqa: B019
    def narrow(self, number: int) -> Any:
        """The one of them whose number of weights is next to that of a ticket of a round; None where none is near."""
        wanted = sum(self.counts(number, self.first).values())
        nearest = self._nearest(self.narrower(), wanted)
        best = self._nearest([nearest, *self.varied(nearest)], wanted)
        return best if abs(self._size(best) - wanted) <= NEARLY * wanted else None

    def varied(self, arch: Any) -> Iterable[Any]:
        """Networks much like one of the smaller ones, to come nearer to a number of weights."""
        return ()

    def _nearest(self, archs: Iterable[Any], wanted: int) -> Any:
        return min(archs, key=lambda arch: abs(self._size(arch) - wanted))

    def _size(self, arch: Any) -> int:
        """Weights and biases."""
        return sum(value.numel() for value in blank(arch, self.task(self.first).io).parameters())

    def counts(self, number: int, domain: str) -> dict[str, int]:
        """How many weights of each tensor live in a domain's ticket of a round."""
        counts: dict[str, int] = {}
        for name, value in blank(self.arch(), self.task(domain).io).named_parameters():
            counts[name] = value.numel()
            spared = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.scope.exclude)
            for _ in range(0 if spared else number):
                counts[name] = left(counts[name], value.numel(), keep=KEEP, density=None, rounding="floor")
        return counts

    @property
    def embedding(self) -> tuple[str, ...]:
        """The patterns of what is left dense in one of the controls; none where there is nothing of the kind."""
        return ()

    @property
    def head(self) -> Literal["carried", "fresh"]:
        """What becomes of the last layer: domains of other classes need a fresh one, and none is pruned then."""
        return "carried"

    @property
    def questions(self) -> Questions:
        """Whether domains show the same test examples in other guises, or have some in common."""
        return "of each task"

    def controls(self) -> tuple[str, ...]:
        """The controls that mean something here."""
        aligned = ("aligned", "not aligned") if self.head == "fresh" else ()  # Of one interface alone.
        left_out = {*aligned, *(() if self.embedding else ("embedding dense",))}
        return tuple(name for name in (*CARRIED, *AT_TARGET) if name not in left_out)

    @property
    def scope(self) -> PerLayer:
        """Each tensor by itself, biases too; at least one weight of each is kept."""
        return PerLayer(rounding="floor", tensors="all", exclude=("head.*",) if self.head == "fresh" else ())

    @functools.cache  # noqa: B019
    def chain(self, domain: str) -> tuple[Any, ...]:
        """The tickets of a domain by round, the dense one first."""
        return self._found(domain)

    @functools.cache  # noqa: B019
    def fresh_chain(self, domain: str) -> tuple[Any, ...]:
        """The same with new values in each round."""
        return self._found(domain, then=self.new_values)

    @property
    def new_values(self) -> Reinit:
        """What a random ticket begins with: other values in every round."""
        return Reinit(seed=self.seed, draw="fresh")

    def _found(self, domain: str, **options: Any) -> tuple[Any, ...]:
        given = {"levels": self.rounds, "keep": KEEP, "scope": self.scope, "seeds": Seeds(self.seed), "call": defer}
        return tuple(find(self.arch(), self.task(domain), self.recipe, **given, **options))

    def trained(self, ticket: Any, domain: str, few: int = 0) -> Any:
        """A ticket trained to the end on a domain."""
        recipe = self.for_few(domain, few) if few else self.recipe
        return defer(train, ticket=ticket, task=self.task(domain, few), recipe=recipe, seeds=Seeds(self.seed))

    def for_few(self, domain: str, few: int) -> Recipe:
        """For as many steps as on all of its labels, to the last: no others choose a checkpoint. Seeds draw the few."""
        whole, batch = self.recipe.in_steps(self.task(domain)), min(self.recipe.batch, few)
        given: dict[str, Any] = {"steps": whole.steps, "evaluate": whole.steps, "batch": batch}
        return dataclasses.replace(self.recipe, **given, select="last", split_seed=self.seed)

    @property
    def snip(self) -> Snip:
        """The criterion, and how many batches it sees."""
        return Snip()

    @functools.cache  # noqa: B019
    def end(self, strategy: str, source: str, target: str, number: int, few: int = 0) -> Any:
        """The network of a strategy at a round, trained on the target, or at home."""
        if strategy == HOME:
            return self.end("TICKET-RESET", "", source, number)
        return self.trained(self.ticket(strategy, source, target, number), target, few)

    @functools.cache  # noqa: B019
    def ticket(self, strategy: str, source: str, target: str, number: int) -> Any:
        """What is trained on the target: a ticket of its own, a carried one, or a control of it."""
        own = {"FULL-MODEL": lambda: self.chain(target)[0], "TICKET-RANDOM": lambda: self.fresh_chain(target)[number]}
        own |= dict.fromkeys(("TICKET-RESET", "TICKET-TARGET"), lambda: self.chain(target)[number])
        own[BORROWED] = lambda: defer(carry, ticket=self.chain(target)[number], by=self.new_values)
        if strategy in own:
            return own[strategy]()
        if strategy in AT_TARGET:
            return self._at_target(strategy, target, number)
        to, chain = self.task(target), self.chain(source)
        if strategy == "aligned":
            onto = defer(draw, arch=self.arch(), task=to, recipe=self.recipe, seeds=Seeds(self.seed + OTHER))
            dense = self.trained(chain[0], source), self.trained(onto, target)
            return defer(align, ticket=chain[number], onto=onto, source=dense[0], target=dense[1])
        ticket = chain[number]
        if strategy == "fine-tuned":
            trained = self.trained(chain[number - 1], source)
            ticket = defer(cut, trained=trained, scope=self.scope, keep=KEEP, restart="rate")
        how: dict[str, dict[str, Any]] = {
            **dict.fromkeys(("MASKS-RESET", "fine-tuned"), {}),
            "MASKS-RANDOM": {"weights": "reinit", "draw": "fresh", "seed": self.seed},
            "signs": {"weights": "signs", "seed": self.seed},
            "embedding dense": {"dense": self.embedding},
            "not aligned": {"weights": "init", "seed": self.seed + OTHER},
        }
        given = how[strategy]
        if self.head == "fresh":
            given = {"seed": self.seed, **given, "head": "fresh"}
        return defer(carry, ticket=ticket, by=Transplant(to=to, **given))

    def _at_target(self, strategy: str, target: str, number: int) -> Any:
        to = self.task(target)
        if strategy == "shuffled":
            return defer(carry, ticket=self.chain(target)[number], by=Shuffle(seed=self.seed))
        if strategy == "small dense":
            return defer(draw, arch=self.narrow(number), task=to, recipe=self.recipe, seeds=Seeds(self.seed))
        given: dict[str, Any] = {"task": to, "recipe": self.recipe, "seeds": Seeds(self.seed)}
        if strategy == "SNIP":
            counts, whole = self.counts(number, target), self.counts(0, target)
            density = sum(counts.values()) / sum(whole.values())
            scope = Everywhere(tensors="all", exclude=self.scope.exclude)
            given |= {"criterion": self.snip, "scope": scope, "density": density}
            return defer(cut_early, ticket=self.chain(target)[0], **given)
        ticket = self.chain(target)[0] if number == 1 else self._at_target(strategy, target, number - 1)
        return defer(cut_early, ticket=ticket, scope=self.scope, keep=KEEP, **given)  # Round by round: equal counts.
