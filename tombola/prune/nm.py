"""N:M sparsity: in each group of M weights in a row, the N best (Zhou et al. 2021; Mishra et al. 2021)."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.layout import Scores
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.select import CHUNK, keep_best
from tombola.prune.scope import Share, Tensors, parted
from tombola.prune.units import numbers_of


@plugin("scope", "nm")
class NM:
    """N:M (Zhou et al. 2021; NVIDIA's 2:4): in each group of m neighbours the n best; groups with fewer keep them.

    `along` says who neighbours are: "inputs" of the same output and kernel position, which is what sparse tensor cores
    need (Mishra et al. 2021), or weights of the same output as they lie in memory ("flat"; the same for linear layers).
    The density is n / m in every tensor, so neither keep nor density need be given, and no other is accepted. Scored in
    rounds, the n best of each group stay in every round, and beside them the best of the tensor.
    """

    n: int = 2
    m: int = 4
    along: Literal["inputs", "flat"] = "inputs"
    exclude: tuple[str, ...] = ()
    tensors: ClassVar[Tensors] = "prunable"

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.n <= self.m:
            raise Refused(f"nm: n is {self.n} and m is {self.m}. n of m weights stay: 1 <= n <= m.")

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group a tensor: the sum of what its groups of m keep."""
        names, _ = parted(mask, self.exclude)
        for word, asked in (("keep", keep), ("density", density)):
            if asked is not None and asked != self.n / self.m:
                raise Refused(
                    f"{word} is {asked}, but {self} keeps {self.n} of {self.m} in every tensor that it prunes: give "
                    f"{word} {self.n / self.m} or none, or choose another n and m."
                )
        shares: list[Share] = []
        for name in names:
            living = self._grouped(name, mask[name]).numpy().sum(axis=1)
            shares.append(((name,), int(np.minimum(living, self.n).sum())))
        if keep not in (None, 1.0) and all(count == mask.kept_in(name) for (name,), count in shares):
            raise Refused(
                f"keep is {keep}, but no {self.m} neighbours have more than {self.n} living weights: {self} has "
                "nothing left to prune. It makes one cut, not several: ask for one level."
            )
        return shares

    def chosen(self, mask: Mask, scores: Scores, shares: Sequence[Share]) -> dict[str, Tensor]:
        """The n best of each group; of the others the best of the tensor, if more are asked for."""
        kept: dict[str, Tensor] = {}
        for (name,), count in shares:
            kept[name] = self._best(name, mask, scores)
            if more := count - int(torch.count_nonzero(kept[name])):
                others = Mask.taking({name: mask[name] & ~kept[name]})
                kept[name] |= keep_best(others, scores, [name], more)[name]
        return kept

    def _best(self, name: str, mask: Mask, scores: Scores) -> Tensor:
        values, alive = (self._grouped(name, value).numpy() for value in (numbers_of(scores, name), mask[name]))
        kept = np.empty_like(alive)
        for start in range(0, len(kept), step := max(1, CHUNK // self.m)):
            living = alive[start : start + step]
            # Numbers that are none come last in an order, after -inf.
            order = np.argsort(np.where(living, -values[start : start + step], np.nan), axis=1, kind="stable")
            best = np.zeros_like(living)
            np.put_along_axis(best, order[:, : self.n], True, axis=1)
            kept[start : start + step] = best & living
        rows = torch.from_numpy(kept)
        if self.along == "flat" or mask[name].dim() == 2:
            return rows.reshape(mask[name].shape)
        return rows.reshape(mask[name].movedim(1, -1).shape).movedim(-1, 1).contiguous()

    def _grouped(self, name: str, tensor: Tensor) -> Tensor:
        """A row for each group of m."""
        shape = tuple(tensor.shape)
        if len(shape) < 2:
            raise Refused(f"nm: '{name}' has shape {shape}, which has no inputs. Exclude it: exclude=('{name}',).")
        length = shape[1] if self.along == "inputs" else tensor[0].numel()
        if length % self.m:
            what = "inputs" if self.along == "inputs" else "weights a row"
            flat = self.along == "inputs" and tensor[0].numel() % self.m == 0
            raise Refused(
                f"nm: '{name}' has shape {shape}: its {length} {what} do not divide into groups of {self.m}. Exclude "
                f"it: exclude=('{name}',){', or group the flattened row: along=flat' if flat else ''}."
            )
        return (tensor.movedim(1, -1) if self.along == "inputs" else tensor).reshape(-1, self.m)
