"""Randomness as a function of names: no generator is ever shared, advanced by accident or left unseeded.

A stream is folded from its names, `numbers("order", seed, epoch)`, and drawn with a counter-based generator (Philox).
The same names give the same numbers in any process, in any order of asking, on any device and in any version of torch.
"""

import hashlib
import json

import numpy as np

from tombola.core.plugin import plugin


def fold(*names: str | int) -> int:
    """A 128-bit number that depends on the names, their order and their types.

    Example:
        >>> fold("init", 0) == fold("init", 0), fold("init", 0) == fold("init", 1), fold("a", "bc") == fold("ab", "c")
        (True, False, False)
    """
    text = json.dumps(names, ensure_ascii=False, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def numbers(*names: str | int) -> np.random.Generator:
    """A fresh counter-based generator (Philox-4x64) for the stream of these names.

    Example:
        >>> numbers("order", 0, 3).permutation(5).tolist() == numbers("order", 0, 3).permutation(5).tolist()
        True
    """
    return np.random.Generator(np.random.Philox(key=fold(*names)))


@plugin("seeds", "seeds", kw_only=False)
class Seeds:
    """One number for every stream of a run, or one number each.

    `init` draws the initial weights, `data` the order of the examples, `augment` their crops and flips, `reinit` the
    second weights of a control. A stream left at -1 follows `seed`. Two runs that differ in `data` and `augment` only
    are the "twins" of instability analysis (Frankle et al. 2020, section 2).

    Example:
        >>> Seeds(3).stream("data"), Seeds(3, data=7).stream("data"), str(Seeds(3, data=7))
        (3, 7, 'seeds(seed=3, data=7)')
    """

    seed: int = 0
    init: int = -1
    data: int = -1
    augment: int = -1
    reinit: int = -1

    def stream(self, purpose: str) -> int:
        """The number of one stream: "init", "data", "augment" or "reinit"."""
        own = {"init": self.init, "data": self.data, "augment": self.augment, "reinit": self.reinit}[purpose]
        return self.seed if own == -1 else own
