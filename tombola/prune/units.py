"""Units: blocks of weights that stay or go together, in the matrix of outputs by all that feeds one of them."""

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Scores
from tombola.core.mask import Mask
from tombola.core.select import CHUNK
from tombola.prune.scope import Share, parted, rounded_up, without
from tombola.prune.target import target

Sharing = Literal["everywhere", "per_layer"]
Norm = Literal["mean", "max", "sum"]


def numbers_of(scores: Scores, name: str) -> Tensor:
    """A tensor's scores in main memory, of a type that NumPy has.

    Raises:
        Refused: If one of them is not a number.
    """
    values = scores[name].detach().cpu()
    if not values.dtype.is_floating_point:
        raise Refused(f"the scores of '{name}' are of type {values.dtype}; scores are floating-point numbers.")
    if bool(torch.isnan(values).any()):
        raise Refused(f"a score of '{name}' is not a number. Train with a smaller rate, or mend the criterion.")
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


@dataclasses.dataclass(frozen=True)
class Units:
    """How tensors are cut into units of so many rows and columns (0: all), and the best units that fit are kept.

    `of` and `noun` are the words for the scope and for a unit; `least` units of every tensor stay, whatever they score.
    """

    of: str
    noun: str
    rows: int
    columns: int
    exclude: tuple[str, ...]
    share: Sharing
    norm: Norm
    least: int = 0

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """Groups of names, each with the number of weights that its units must fit into.

        Raises:
            Refused: If a tensor does not divide, or not even the least number of units fits.
        """
        names, spared = parted(mask, self.exclude)
        lows = {name: self._lowest(mask, name) for name in names}
        if self.share == "everywhere":
            room = without(target(mask.kept, mask.size, keep=keep, density=density), spared, mask)
            needed = sum(lows.values()) if self.least else min((low for low in lows.values() if low), default=0)
            taken = sum(mask.kept_in(name) for name in spared)
            least = Fraction(needed + taken, mask.kept if density is None else mask.size) if needed else Fraction(0)
            shares, short = [(tuple(names), room)], room < needed
            where = "all tensors together"
        else:
            whole = {name: mask.kept_in(name) if density is None else mask[name].numel() for name in names}
            shares = [((n,), target(mask.kept_in(n), mask[n].numel(), keep=keep, density=density, of=n)) for n in names]
            tight = [name for (name,), room in shares if room < lows[name]]
            least = max((Fraction(lows[name], whole[name]) for name in names if lows[name]), default=Fraction(0))
            short, where = bool(tight), f"'{tight[0]}'" if tight else ""
            room = next((room for (name,), room in shares if name in tight), 0)
        if short:
            word, asked = ("keep", keep) if density is None else ("density", density)
            raise Refused(
                f"{self.of}: {word} {asked:.4g} leaves {room} weights to {where}, too few for "
                f"{max(1, self.least)} {self.noun}{' in every tensor' if self.least else ''}. From {word} "
                f"{rounded_up(least)} on they fit: keep so much, or exclude the tensor with the largest."
            )
        return shares

    def chosen(self, mask: Mask, scores: Scores, shares: Sequence[Share]) -> dict[str, Tensor]:
        """The best units of each group, in their order, as long as they fit; ties fall to the lower index."""
        kept: dict[str, Tensor] = {}
        for names, room in shares:
            kept.update(self._fitting(mask, scores, names, room))
        return kept

    def _fitting(self, mask: Mask, scores: Scores, names: Sequence[str], room: int) -> dict[str, Tensor]:
        living = [self._living(mask, name) for name in names]
        # Units without a living weight come last in every order: they are no number.
        values = [
            np.where(alive > 0, -self._scored(mask, scores, name, alive), np.nan).reshape(-1)
            for name, alive in zip(names, living, strict=True)
        ]
        if not names or not any(bool(alive.any()) for alive in living):
            return {name: mask[name] for name in names}
        sizes, order = np.concatenate([alive.reshape(-1) for alive in living]), _ordered(np.concatenate(values))
        starts = np.cumsum([0, *(len(own) for own in values)])
        firsts = np.zeros(len(sizes), dtype=bool)
        for start, own in zip(starts, values, strict=False):
            firsts[start + _ordered(own)[: self.least]] = True
        firsts &= sizes > 0
        order = np.concatenate([order[firsts[order]], order[~firsts[order]]])
        fits = int(np.searchsorted(np.cumsum(sizes[order]), room, side="right"))
        if fits < max(1, int(firsts.sum())):
            raise Refused(
                f"{self.of}: {room} weights are to stay in {', '.join(names)}, too few for the best "
                f"{max(1, self.least)} {self.noun}{' of every tensor' if self.least else ''}. Keep more."
            )
        stays = np.zeros(len(sizes), dtype=bool)
        stays[order[:fits]] = True
        return {
            name: self._spread(mask[name], stays[start : start + alive.size].reshape(alive.shape))
            for name, alive, start in zip(names, living, starts, strict=False)
        }

    def _lowest(self, mask: Mask, name: str) -> int:
        """The least number of weights that the tensor's units need."""
        living = np.sort(self._living(mask, name), axis=None)
        return int(living[living > 0][: max(1, self.least)].sum())

    def _living(self, mask: Mask, name: str) -> np.ndarray:
        """How many living weights each unit has."""
        shape = self._shape(name, mask[name])
        found = [_view(piece, shape).sum(axis=(1, 3)) for _, piece in _pieces(mask[name], shape)]
        return np.concatenate(found)

    def _scored(self, mask: Mask, scores: Scores, name: str, living: np.ndarray) -> np.ndarray:
        """The score of each unit, of its living weights, in double precision."""
        values, shape = numbers_of(scores, name), self._shape(name, mask[name])
        found = np.empty(living.shape)
        for (start, own), (_, alive) in zip(_pieces(values, shape), _pieces(mask[name], shape), strict=True):
            own, alive = _view(own, shape), _view(alive, shape)
            rows = slice(start, start + len(own))
            if self.norm == "max":
                found[rows] = np.where(alive, own, -np.inf).max(axis=(1, 3))
            else:
                with np.errstate(invalid="ignore"):  # Of infinities of both signs there is no sum: refused below.
                    found[rows] = np.where(alive, own, 0).sum(axis=(1, 3), dtype=np.float64)
        if np.isnan(found).any():
            raise Refused(f"{self.of}: scores of '{name}' are infinite with both signs, so a sum is not a number.")
        return found / np.maximum(living, 1) if self.norm == "mean" else found

    def _shape(self, name: str, tensor: Tensor) -> tuple[int, int, int, int]:
        """Units down, rows of one, units across, columns of one."""
        if tensor.dim() < 2:
            raise Refused(
                f"{self.of}: '{name}' has shape {tuple(tensor.shape)}, which is no matrix of outputs and inputs. "
                f"Exclude it: exclude=('{name}',)."
            )
        outputs, inputs = tensor.shape[0], tensor[0].numel()
        rows, columns = self.rows or outputs, self.columns or inputs
        if outputs % rows or inputs % columns:
            raise Refused(
                f"{self.of}: '{name}' has shape {tuple(tensor.shape)}, a matrix of {outputs} x {inputs}, which does "
                f"not divide into blocks of {rows} x {columns}. Choose others, or exclude it: exclude=('{name}',)."
            )
        return outputs // rows, rows, inputs // columns, columns

    def _spread(self, alive: Tensor, stays: np.ndarray) -> Tensor:
        down, across = stays.shape
        blocks = alive.reshape(down, alive.shape[0] // down, across, -1)
        return (blocks & torch.from_numpy(stays)[:, None, :, None]).reshape(alive.shape)


def _ordered(values: np.ndarray) -> np.ndarray:
    """Places from the lowest value to the highest; equal ones keep their order, and what is no number comes last."""
    return np.argsort(values, kind="stable")


def _pieces(tensor: Tensor, shape: tuple[int, int, int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """So many rows of units at a time that they stay in a core's cache, with the place of the first."""
    down, rows, across, columns = shape
    matrix, step = tensor.reshape(down, -1).numpy(), max(1, CHUNK // max(1, rows * across * columns))
    for start in range(0, down, step):
        yield start, matrix[start : start + step]


def _view(piece: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
    return piece.reshape(-1, *shape[1:])


class Unitwise:
    """A scope whose weights live and die in units; a plug-in made from it says which, in `_units`."""

    @property
    def _units(self) -> Units:
        raise NotImplementedError

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group of all tensors or one a tensor, with the number of weights that units must fit into."""
        return self._units.shares(mask, keep=keep, density=density)

    def chosen(self, mask: Mask, scores: Scores, shares: Sequence[Share]) -> dict[str, Tensor]:
        """The best units that fit."""
        return self._units.chosen(mask, scores, shares)
