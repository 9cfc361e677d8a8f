"""The k best scores of a group of tensors, exactly, without ever laying them side by side.

A sample of the living scores gives two values that should enclose the threshold. One pass over all scores, chunk by
chunk, counts what lies above them and copies what lies between, and the threshold is found in that copy. If it lies
elsewhere, or too much lies between, the counts say in which interval it is, and the search goes on there. So extra
memory is bounded, one pass is nearly always enough, and chance decides the time only. Ties fall to the lower index.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.lazily import Elementwise
from tombola.core.mask import Mask
from tombola.core.seeds import numbers

CHUNK = 1 << 18
"""Scores at a time: a chunk and what is computed from it stay in a core's cache."""
ROOM = 1 << 23
"""Most scores that are copied: 32 MiB, or 64 in double precision."""
FEW = 1 << 17
"""So many are all copied, without a sample."""
SAMPLED, LARGEST_SAMPLE = 256, 1 << 20
"""One score in so many is drawn, up to a number that is enough for 2,000 million scores and the ROOM."""
WIDE = 4.0
"""Standard errors to either side of the sample's guess: it is wrong about once in 10,000 times."""


@dataclasses.dataclass(frozen=True)
class Threshold:
    """The lowest score that is kept, how many living scores lie above it, and how many equal it."""

    value: float
    above: int
    tied: int


def keep_best(mask: Mask, scores: Mapping[str, Tensor], names: Sequence[str], count: int) -> dict[str, Tensor]:
    """Which weights stay alive when the `count` best-scoring living ones of these tensors, ranked together, are kept.

    `scores` may compute its tensors when they are asked for: each is a few times, and is let go of when it was read.

    Raises:
        Refused: If a score is not a number, or fewer weights than `count` are alive.

    Example:
        >>> keep_best(Mask.dense({"w": (4,)}), {"w": torch.tensor([1.0, 3.0, 1.0, 1.0])}, ["w"], 2)["w"].tolist()
        [True, True, False, False]
    """
    group = _Group(mask, scores, names)
    if count == group.living:
        return {name: mask[name].clone() for name in names}
    if count == 0:
        return {name: torch.zeros_like(mask[name]) for name in names}
    found = _search(group, count)
    ties = count - found.above
    settled = ties == found.tied
    compare = np.greater_equal if settled else np.greater
    kept = {name: np.empty(mask[name].numel(), dtype=bool) for name in names}
    for piece in group.pieces():
        flags = kept[piece.name][piece.start : piece.start + len(piece.values)]
        piece.living(compare(piece.values, found.value, out=flags))
        if ties and not settled:
            first = np.flatnonzero(piece.living(piece.values == found.value))[:ties]
            flags[first] = True
            ties -= len(first)
    return {name: torch.as_tensor(flags).reshape(mask[name].shape) for name, flags in kept.items()}


def threshold(mask: Mask, scores: Mapping[str, Tensor], names: Sequence[str], count: int) -> Threshold:
    """The lowest of the `count` best living scores of these tensors, exactly; at least one is to be kept.

    Raises:
        Refused: If a score is not a number, or fewer weights than `count` are alive.

    Example:
        >>> threshold(Mask.dense({"w": (4,)}), {"w": torch.tensor([1.0, 3.0, 1.0, 1.0])}, ["w"], 2)
        Threshold(value=1.0, above=1, tied=3)
    """
    return _search(_Group(mask, scores, names), count)


def check_fit(name: str, given: Sequence[int], wanted: Sequence[int]) -> None:
    """Refuse scores that are not one for each weight."""
    if tuple(given) != tuple(wanted):
        raise Refused(
            f"the scores of '{name}' have the shape {tuple(given)}, and its weights {tuple(wanted)}. A criterion gives "
            "one for each weight."
        )


def _search(group: "_Group", count: int) -> Threshold:
    if count > group.living:
        raise Refused(f"{count} weights are to be kept, only {group.living} are alive. Pruning cannot revive weights.")
    assert count > 0, "there is no threshold for nothing"
    low, high = group.kind(-np.inf), group.kind(np.inf)
    within, over, turn = group.living, 0, 0
    while True:  # What is known so far: `within` living scores lie from `low` to `high`, and `over` lie above.
        lower, upper = low, high
        if within > FEW:
            sample = group.sample(turn)
            sample = sample[(sample >= low) & (sample <= high)]
            lower, upper = _around(sample, (count - over) / within, low, high)
        seen = _survey(group, lower, upper)
        if count <= seen.above_upper:
            low, within = np.nextafter(upper, high), seen.above_upper - over
        elif count <= seen.from_upper:
            return Threshold(float(upper), seen.above_upper, seen.from_upper - seen.above_upper)
        elif count > seen.from_lower:
            high, within, over = np.nextafter(lower, low), within - (seen.from_lower - over), seen.from_lower
        elif count > seen.above_lower:
            return Threshold(float(lower), seen.above_lower, seen.from_lower - seen.above_lower)
        elif seen.between is not None:
            place = len(seen.between) - (count - seen.from_upper)
            seen.between.partition(place)
            value = seen.between[place]
            above, least = (int(np.count_nonzero(flags)) for flags in (seen.between > value, seen.between >= value))
            return Threshold(float(value), seen.from_upper + above, least - above)
        else:
            low, high = np.nextafter(lower, upper), np.nextafter(upper, lower)
            within, over = seen.above_lower - seen.from_upper, seen.from_upper
        turn += 1


def _around(sample: np.ndarray, share: float, low: np.floating, high: np.floating) -> tuple[np.floating, np.floating]:
    """Two values that should enclose the one from which a share of the scores lies upwards."""
    sample.sort()
    size = len(sample)
    if not size:
        return low, high
    place = (1 - share) * size
    error = min(WIDE * (share * (1 - share) * size) ** 0.5 + 1, size / 4)  # At worst, the interval is halved or so.
    first, last = int(place - error), int(place + error)
    return sample[first] if first >= 0 else low, sample[last] if last < size else high


@dataclasses.dataclass(frozen=True)
class _Seen:
    """How many living scores lie above two values or on them, and those strictly between, if they are not too many."""

    above_upper: int
    from_upper: int
    above_lower: int
    from_lower: int
    between: np.ndarray | None


def _survey(group: "_Group", lower: np.floating, upper: np.floating) -> _Seen:
    """One pass over all scores."""
    above_upper = from_upper = above_lower = from_lower = filled = 0
    between: np.ndarray | None = np.empty(ROOM, dtype=group.kind)  # The system gives memory as it is filled.
    for piece in group.pieces():
        values = piece.values
        if np.isnan(values).any():
            raise Refused(
                f"a score of '{piece.name}' is not a number. Train with a smaller rate, or mend the criterion."
            )
        above_upper += int(np.count_nonzero(piece.living(values > upper)))
        from_lower += int(np.count_nonzero(piece.living(values >= lower)))
        high, inner = piece.living(values >= upper), piece.living(values > lower)
        from_upper += int(np.count_nonzero(high))
        above_lower += int(np.count_nonzero(inner))
        own = values[inner > high]
        if between is not None and filled + len(own) <= ROOM:
            between[filled : filled + len(own)] = own
            filled += len(own)
        else:
            between = None
    return _Seen(above_upper, from_upper, above_lower, from_lower, None if between is None else between[:filled])


@dataclasses.dataclass(frozen=True)
class _Piece:
    """A chunk of a tensor: its scores, the flags of what is alive (None: all of it), and where it starts."""

    name: str
    values: np.ndarray
    alive: np.ndarray | None
    start: int

    def living(self, flags: np.ndarray) -> np.ndarray:
        """The flags without those of the dead, changed in place."""
        return flags if self.alive is None else np.logical_and(flags, self.alive, out=flags)


class _Group:
    """Tensors that are ranked together, in the narrower of two types in which no two scores become equal."""

    def __init__(self, mask: Mask, scores: Mapping[str, Tensor], names: Sequence[str]) -> None:
        self._mask, self._scores, self._names = mask, scores, names
        self._types: dict[str, torch.dtype] = {}
        self.living = sum(mask.kept_in(name) for name in names)
        self.sizes = [mask[name].numel() for name in names]
        self.kind = np.float64 if torch.float64 in {self._type(name) for name in names} else np.float32

    def pieces(self) -> Iterator[_Piece]:
        """All scores, in order."""
        kind = torch.float64 if self.kind is np.float64 else torch.float32
        for name, size in zip(self._names, self.sizes, strict=True):
            if not (given := self._type(name)).is_floating_point:
                raise Refused(f"the scores of '{name}' are of type {given}; scores are floating-point numbers.")
            flat, made_of = self._flat(name)
            alive = None if self._mask.kept_in(name) == size else self._mask[name].reshape(-1).numpy()
            for start in range(0, size, CHUNK):
                values = made_of(flat[start : start + CHUNK]).to(kind).cpu().numpy()
                yield _Piece(name, values, None if alive is None else alive[start : start + CHUNK], start)
            del flat  # Before the next one is made.

    def sample(self, turn: int) -> np.ndarray:
        """Some living scores: one from each of many equal runs of all positions."""
        total = sum(self.sizes)
        drawn = min(total // SAMPLED + 1, LARGEST_SAMPLE)
        places = (np.arange(drawn) + numbers("threshold", turn).random(drawn)) * (total / drawn)
        places = np.minimum(places.astype(np.int64), total - 1)
        found: list[np.ndarray] = []
        start = 0
        for name, size in zip(self._names, self.sizes, strict=True):
            first, last = np.searchsorted(places, (start, start + size))
            own = torch.as_tensor(places[first:last] - start)
            own = own[self._mask[name].reshape(-1)[own]]
            flat, made_of = self._flat(name)
            found.append(made_of(flat[own.to(flat.device)]).double().cpu().numpy())
            start += size
        return np.concatenate(found).astype(self.kind)

    def _flat(self, name: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """A tensor, flattened, and what makes scores of a part of it."""
        lazy = self._scores if isinstance(self._scores, Elementwise) else None
        given = lazy.tensors[name] if lazy else self._scores[name]
        check_fit(name, given.shape, self._mask[name].shape)
        return given.detach().reshape(-1), lazy.function if lazy else lambda part: part

    def _type(self, name: str) -> torch.dtype:
        if name not in self._types:
            flat, made_of = self._flat(name)
            self._types[name] = made_of(flat[:0]).dtype
        return self._types[name]
