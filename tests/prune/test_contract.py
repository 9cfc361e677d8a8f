"""What every scope must keep to, by being in the catalogue; it is made with its defaults, and cuts to one half."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tombola.core import catalogue
from tombola.core.criterion import Habits
from tombola.core.errors import Refused
from tombola.core.layout import Prunable
from tombola.core.mask import Mask
from tombola.prune import in_rounds, prune
from tombola.prune.scope import Ranking, Scope
from tombola.train.network import Network

SCOPES: list[Any] = [
    catalogue.load(entry)() for entry in catalogue.entries("scope") if entry.module.startswith("tombola.")
]
# Shapes that every scope can cut: an MLP's and a residual network's.
MLP = {"stages.0.0.weight": (16, 8), "stages.1.0.weight": (12, 16), "head.weight": (4, 12)}
RESNET = {
    "stem.weight": (8, 4, 3, 3),
    "stages.0.0.weight": (8, 8, 3, 3),
    "stages.1.0.weight": (16, 8, 3, 3),
    "stages.1.0.shortcut.weight": (16, 8, 1, 1),
    "head.weight": (4, 16),
}

every = pytest.mark.parametrize("scope", SCOPES, ids=str)
networks = pytest.mark.parametrize("shapes", [MLP, RESNET], ids=["mlp", "resnet"])


def scores_of(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Few different values, so with ties, that all types hold exactly."""
    rng = np.random.default_rng(seed)
    return {name: torch.from_numpy(rng.integers(-8, 8, shape) / 4) for name, shape in shapes.items()}


def patchy(shapes: Mapping[str, tuple[int, ...]]) -> Mask:
    """Four of five weights alive."""
    rng = np.random.default_rng(1)
    return Mask({name: torch.from_numpy(rng.random(shape) < 0.8) for name, shape in shapes.items()})


@every
def test_it_is_a_scope(scope: Any):
    assert isinstance(scope, Scope)


@every
@networks
@pytest.mark.parametrize("dense", [True, False], ids=["dense", "patchy"])
def test_cuts_are_nested_and_keep_what_the_shares_say(scope: Any, shapes: dict[str, tuple[int, ...]], dense: bool):
    mask = Mask.dense(shapes) if dense else patchy(shapes)
    shares = scope.shares(mask, keep=None, density=0.5)
    cut = prune(mask, scores_of(shapes), density=0.5, scope=scope)
    assert cut <= mask and cut.kept < mask.kept
    named = [name for names, _ in shares for name in names]
    assert len(named) == len(set(named))
    for name in set(shapes) - set(named):
        assert torch.equal(cut[name], mask[name])
    largest = 1 if isinstance(scope, Ranking) else max(mask[name][0].numel() for name in named)
    for names, count in shares:
        assert 0 <= count - sum(cut.kept_in(name) for name in names) < largest
    assert prune(mask, scores_of(shapes), density=0.5, scope=scope) == cut


@every
@networks
def test_dead_weights_stay_dead_whatever_they_score(scope: Any, shapes: dict[str, tuple[int, ...]]):
    mask, scores = patchy(shapes), scores_of(shapes)
    cut = prune(mask, scores, density=0.5, scope=scope)
    for value in (1e30, -1e30):
        other = {name: torch.where(mask[name], scores[name], value) for name in shapes}
        assert prune(mask, other, density=0.5, scope=scope) == cut


@every
@networks
def test_ties_fall_to_the_lower_index(scope: Any, shapes: dict[str, tuple[int, ...]]):
    """Equal scores keep what falling ones would."""
    mask = Mask.dense(shapes)
    numbers = iter(torch.arange(mask.size).neg().double().split([mask[name].numel() for name in shapes]))
    falling = {name: next(numbers).reshape(shape) for name, shape in shapes.items()}
    equal = {name: torch.ones(shape) for name, shape in shapes.items()}
    assert prune(mask, equal, density=0.5, scope=scope) == prune(mask, falling, density=0.5, scope=scope)


class Lazy(Mapping[str, Tensor]):
    """Scores that are made anew each time."""

    def __init__(self, scores: Mapping[str, Tensor]) -> None:
        self.scores = scores

    def __getitem__(self, name: str) -> Tensor:
        return self.scores[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)


@every
@networks
def test_all_types_of_scores_give_the_same(scope: Any, shapes: dict[str, tuple[int, ...]]):
    mask, scores = patchy(shapes), scores_of(shapes)
    cut = prune(mask, Lazy(scores), density=0.5, scope=scope)
    for kind in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        assert prune(mask, {n: v.to(kind) for n, v in scores.items()}, density=0.5, scope=scope) == cut
    other = {n: v.transpose(0, 1).contiguous().transpose(0, 1) for n, v in scores.items()}  # Otherwise in memory.
    assert prune(mask, other, density=0.5, scope=scope) == cut
    assert prune(mask, {n: 3 * v for n, v in scores.items()}, density=0.5, scope=scope) == cut


@every
@networks
def test_scores_must_be_numbers(scope: Any, shapes: dict[str, tuple[int, ...]]):
    scores = scores_of(shapes)
    name = list(shapes)[1]
    with pytest.raises(Refused, match=f"the scores of '{name}' are of type torch.int64"):
        prune(Mask.dense(shapes), {**scores, name: torch.ones(shapes[name], dtype=torch.int64)}, keep=0.5, scope=scope)
    scores[name][-1, -1] = float("nan")
    with pytest.raises(Refused, match=f"a score of '{name}' is not a number"):
        prune(Mask.dense(shapes), scores, keep=0.5, scope=scope)


@every
def test_scores_may_be_infinite(scope: Any):
    """All of them as low as can be: what lives is still told from what is dead."""
    mask = patchy(MLP)
    lowest = {name: torch.full(shape, -torch.inf) for name, shape in MLP.items()}
    equal = {name: torch.zeros(shape) for name, shape in MLP.items()}
    assert prune(mask, lowest, density=0.5, scope=scope) == prune(mask, equal, density=0.5, scope=scope)


@dataclasses.dataclass
class Fixed:
    """A criterion that says the same in every round."""

    habits: Habits
    scores: dict[str, Tensor]
    seen: list[int]

    def __call__(self, net: Prunable) -> dict[str, Tensor]:
        self.seen.append(net.mask.kept)
        return self.scores


@every
@networks
@pytest.mark.parametrize("revives", ["no", "yes"])
@pytest.mark.parametrize("pace", ["exponential", "linear"])
def test_many_rounds_of_the_same_scores_are_one(
    scope: Any, shapes: dict[str, tuple[int, ...]], revives: Any, pace: Any
):
    mask, scores = Mask.dense(shapes), scores_of(shapes)
    criterion = Fixed(Habits(rounds=4, revives=revives, pace=pace), scores, [])
    cut = in_rounds(Network(scores, mask), criterion, scope=scope, density=0.5)
    assert cut == prune(mask, scores, density=0.5, scope=scope)
    assert criterion.seen == sorted(set(criterion.seen), reverse=True) and len(criterion.seen) == 4


@every
def test_an_impossible_cut_is_refused_without_scores(scope: Any):
    for amount in ({"keep": 0.0}, {"density": 1.5}, {"density": float("nan")}):
        with pytest.raises(Refused):
            scope.shares(Mask.dense(MLP), **{"keep": None, "density": None, **amount})
    with pytest.raises(Refused):
        scope.shares(
            Mask({name: torch.zeros(shape, dtype=torch.bool) for name, shape in MLP.items()}), keep=None, density=0.4
        )
