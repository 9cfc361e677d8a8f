"""Block sparsity: weights live and die in whole blocks (Narang et al. 2017; Gray et al. 2017)."""

from typing import ClassVar, Literal

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.prune.scope import Tensors
from tombola.prune.units import Sharing, Units, Unitwise


@plugin("scope", "blocks")
class Blocks(Unitwise):
    """Whole blocks of the matrix of outputs by inputs (Narang et al. 2017): the best that fit into the density.

    A convolution is the matrix of its outputs by inputs x height x width, as it lies in memory, so `columns` of 9 hold
    one 3 x 3 kernel a row. The score of a block is the mean of those of its living weights, or the "max" (Narang et al.
    take the largest magnitude). Blocks are taken from the best one down, `share`d out "everywhere" or "per_layer",
    until the next would exceed the number of weights asked for: what is kept is less than one block below it, never
    above. Excluded tensors count as in `everywhere`, or under "per_layer" not at all.
    """

    rows: int = 4
    columns: int = 4
    share: Sharing = "everywhere"
    norm: Literal["mean", "max"] = "mean"
    exclude: tuple[str, ...] = ()
    tensors: ClassVar[Tensors] = "prunable"

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.rows < 1 or self.columns < 1:
            raise Refused(f"blocks: {self.rows} rows and {self.columns} columns; a block has at least one of each.")

    @property
    def _units(self) -> Units:
        return Units("blocks", "block", self.rows, self.columns, self.exclude, self.share, self.norm)
