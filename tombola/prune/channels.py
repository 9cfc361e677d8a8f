"""Structured pruning: whole output channels (Li et al. 2017, "Pruning Filters for Efficient ConvNets")."""

from typing import ClassVar

from tombola.core.errors import Refused
from tombola.core.plugin import plugin
from tombola.prune.scope import Tensors
from tombola.prune.units import Norm, Sharing, Units, Unitwise


@plugin("scope", "channels")
class Channels(Unitwise):
    """Whole output channels (Li et al. 2017): the best filters or rows that fit into the density.

    The score of a channel is the mean of those of its living weights, so that channels of unequal size compare; the
    "sum" of magnitudes is the L1 norm of Li et al., and orders the channels of one layer alike. Channels are taken from
    the best one down, `share`d out "everywhere" or "per_layer", until the next would exceed the number asked for. The
    `least` best of every tensor are taken first, so no layer vanishes. The head is excluded, since its channels are
    the classes; excluded tensors count as in `everywhere`, or under "per_layer" not at all.
    """

    share: Sharing = "everywhere"
    norm: Norm = "mean"
    least: int = 1
    exclude: tuple[str, ...] = ("head.weight",)
    tensors: ClassVar[Tensors] = "prunable"

    def __post_init__(self) -> None:
        """Check the number."""
        if self.least < 1:
            raise Refused(f"channels: least is {self.least}. At least 1 channel of every tensor stays.")

    @property
    def _units(self) -> Units:
        return Units("channels", "channel", 1, 0, self.exclude, self.share, self.norm, self.least)
