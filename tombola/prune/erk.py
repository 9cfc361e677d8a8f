"""Erdos-Renyi-Kernel densities (Mocanu et al. 2018; Evci et al. 2020)."""

from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.share import erk_wishes
from tombola.prune.scope import Ranking, Share, Tensors, quotas
from tombola.prune.target import Rounding


@plugin("scope", "erk")
class Erk(Ranking):
    """Erdos-Renyi-Kernel densities (Mocanu et al. 2018; Evci et al. 2020): small tensors denser, the total as asked.

    A tensor that has fewer living weights than its share keeps them all, and the others share the rest. A density that
    would leave a tensor without a weight is refused.
    """

    exclude: tuple[str, ...] = ()
    rounding: Rounding = "ceil"
    tensors: Tensors = "prunable"

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group a tensor."""
        wishes, rounding = erk_wishes(mask.shapes), self.rounding
        return quotas(mask, lambda *_: wishes, self.exclude, of="erk", rounding=rounding, keep=keep, density=density)
