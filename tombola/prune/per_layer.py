"""Uniform pruning: every tensor at the same rate."""

from fractions import Fraction

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.prune.scope import Ranking, Share, Tensors, matches, parted, vanishing
from tombola.prune.target import Rounding, target


@plugin("scope", "per_layer")
class PerLayer(Ranking):
    """Every tensor on its own, at the same rate. Those matching a pattern of `halved` are pruned at half the rate.

    Frankle and Carbin 2019 prune the output layer at half the rate: `per_layer(halved=('head.weight',))`. The paper of
    Desai et al. 2019 is `per_layer(rounding=floor, tensors=all)`. For `exclude` and `rounding` see `everywhere`. A rate
    that would leave a tensor without a weight is refused.
    """

    exclude: tuple[str, ...] = ()
    halved: tuple[str, ...] = ()
    rounding: Rounding = "ceil"
    tensors: Tensors = "prunable"

    def shares(self, mask: Mask, *, keep: float | None, density: float | None) -> list[Share]:
        """One group a tensor."""
        names, _ = parted(mask, self.exclude)
        if density is not None and self.halved:
            raise Refused(
                "per_layer: 'halved' halves a rate; with an explicit density there is none. Give keep instead."
            )
        parted(mask, self.halved, field="halved")
        slow = {name for name in names if matches(name, self.halved)}
        shares: list[Share] = []
        for name in names:
            rate = None if keep is None else (1 + keep) / 2 if name in slow else keep
            size, living = mask[name].numel(), mask.kept_in(name)
            shares.append(((name,), target(living, size, keep=rate, density=density, rounding=self.rounding, of=name)))
        for (name,), count in shares:
            if mask.kept_in(name) and not count:
                least = max(self._least(mask, n, density is None, n in slow) for n in names if mask.kept_in(n))
                raise vanishing(name, mask, of="per_layer", keep=keep, density=density, least=least)
        return shares

    def _least(self, mask: Mask, name: str, is_rate: bool, is_slow: bool) -> Fraction:
        """The fraction at which a tensor keeps one weight."""
        if not is_rate:
            return Fraction(1, mask[name].numel())
        least = Fraction(2 if self.rounding == "one_more" else 1, mask.kept_in(name))
        return 2 * least - 1 if is_slow else least
