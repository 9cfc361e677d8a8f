"""Ideal Gas Quotas (Vysogorets and Kempe 2023, "Connectivity Matters: Neural Network Pruning Through the Lens of
Effective Sparsity", JMLR 24)."""

from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.share import igq_wishes
from tombola.prune.scope import Ranking, Share, Tensors, quotas
from tombola.prune.target import Rounding


@plugin("scope", "igq")
class Igq(Ranking):
    """Ideal Gas Quotas (Vysogorets and Kempe 2023): density 1 / (F n + 1) for a tensor of n weights, one F for all.

    Small tensors are denser, and none is ever quite full. A tensor that has fewer living weights than its share keeps
    them all, and the others share the rest. A density that would leave a tensor without a weight is refused.
    """

    exclude: tuple[str, ...] = ()
    rounding: Rounding = "ceil"
    tensors: Tensors = "prunable"

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group a tensor."""

        sizes, rounding = {name: mask[name].numel() for name in mask}, self.rounding

        def wishes(caps: dict[str, int], total: int) -> dict[str, float]:
            return igq_wishes({name: sizes[name] for name in caps}, caps, total)

        return quotas(mask, wishes, self.exclude, of="igq", rounding=rounding, keep=keep, density=density)
