"""Global pruning: all tensors ranked together."""

from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.prune.scope import Ranking, Share, Tensors, parted, without
from tombola.prune.target import Rounding, target


@plugin("scope", "everywhere")
class Everywhere(Ranking):
    """All tensors ranked together (global pruning).

    Tensors matching a pattern of `exclude` are left alone but count as alive in the total, as in the code of Frankle et
    al. 2020 and Chen et al. 2021. `rounding` says how many weights a rate prunes: its "ceil" (the default), its "floor"
    (Desai et al. 2019 keep the ceil), or "one_more" than the ceil (the strict comparison in Frankle et al.'s code).
    """

    exclude: tuple[str, ...] = ()
    rounding: Rounding = "ceil"
    tensors: Tensors = "prunable"

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group of all that is not excluded."""
        names, spared = parted(mask, self.exclude)
        total = target(mask.kept, mask.size, keep=keep, density=density, rounding=self.rounding)
        return [(tuple(names), without(total, spared, mask))]
