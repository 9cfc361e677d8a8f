"""How much two masks have in common, and how much they would have by chance."""

import fnmatch
import math
from collections.abc import Mapping
from typing import Any

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.study.step import step
from tombola.train.trained import Trained


@step("overlap")
def overlap(a: Ticket | Trained, b: Ticket | Trained, exclude: tuple[str, ...] = ()) -> Measurement:
    """The weights that two masks of one network both keep, against masks drawn at random.

    `both` is the intersection, `either` the union, `jaccard` their ratio, `shared` the fraction of what `a` keeps that
    `b` keeps too (both 1 where there is nothing to share). Chance is two independent masks, each uniform among those
    with the same counts: the intersection is hypergeometric in each layer, and layers add up. `expected`, `deviation`
    and `z` (how many standard deviations above chance) are of masks with the counts of every layer; `..._anywhere` of
    masks with the same totals only, so that agreeing on the density of layers counts as overlap. Where chance leaves no
    choice, the deviation and z are 0.

    Args:
        exclude: Patterns of tensors that are left out, such as "head.*" where classes differ.

    Raises:
        Refused: If the masks are not of the same tensors, or a pattern leaves out none or all.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> dense = draw(Mlp(), Digits(), Quickstart())
        >>> overlap(dense, dense).numbers()["jaccard"]
        1.0
    """
    names = _names(a, b, exclude)
    table: list[dict[str, Any]] = []
    for name in names:
        kept = {"kept_a": a.mask.kept_in(name), "kept_b": b.mask.kept_in(name)}
        size, both = a.mask[name].numel(), int((a.mask[name] & b.mask[name]).sum())
        mean, variance = chance(size, *kept.values())
        common = _common(both, *kept.values())
        table.append({"layer": name, "size": size, **kept, **common, **_against(both, mean, variance)})
    total = {name: sum(int(line[name]) for line in table) for name in ("size", "kept_a", "kept_b", "both")}
    kept = {"kept_a": total["kept_a"], "kept_b": total["kept_b"]}
    expected, variance = (sum(float(line[of]) ** power for line in table) for of, power in _SUMS)
    by_layer = _against(total["both"], expected, variance)
    anywhere = _against(total["both"], *chance(total["size"], *kept.values()))
    by_chance = expected / union if (union := sum(kept.values()) - expected) else 1.0
    numbers = {
        "size": total["size"],
        **kept,
        **_common(total["both"], *kept.values()),
        **by_layer,
        "jaccard_by_chance": by_chance,
        **{f"{name}_anywhere": value for name, value in anywhere.items()},
    }
    return Measurement(numbers, tables={"layers": tuple(table)})


_SUMS = (("expected", 1), ("deviation", 2))


def chance(size: int, first: int, second: int) -> tuple[float, float]:
    """Mean and variance of how many of `size` places two random choices of `first` and `second` of them share.

    Example:
        >>> chance(4, 2, 2)
        (1.0, 0.3333333333333333)
    """
    if not size:
        return 0.0, 0.0
    mean = first * second / size
    if size == 1:
        return mean, 0.0
    return mean, mean * (1 - first / size) * (size - second) / (size - 1)


def _common(both: int, first: int, second: int) -> dict[str, float]:
    either = first + second - both
    shares = {"jaccard": both / either if either else 1.0, "shared": both / first if first else 1.0}
    return {"both": both, "either": either, **shares}


def _against(both: int, expected: float, variance: float) -> Mapping[str, float]:
    deviation = math.sqrt(variance)
    return {"expected": expected, "deviation": deviation, "z": (both - expected) / deviation if deviation else 0.0}


def _names(a: Ticket | Trained, b: Ticket | Trained, exclude: tuple[str, ...]) -> list[str]:
    """The tensors that are compared: those of both masks, which must be the same ones."""
    one, other = a.mask.shapes, b.mask.shapes
    known = list(dict.fromkeys((*one, *other)))
    for pattern in exclude:
        if not fnmatch.filter(known, pattern):
            raise Refused(f"overlap: exclude: '{pattern}' matches no masked tensor. There are: {', '.join(known)}.")
    names = [name for name in known if not any(fnmatch.fnmatchcase(name, pattern) for pattern in exclude)]
    if known and not names:
        raise Refused(f"overlap: exclude={exclude!r} leaves out every tensor. Leave one at least.")
    if differ := [name for name in names if one.get(name) != other.get(name)]:
        name = differ[0]
        raise Refused(
            f"overlap: the masks are not of the same tensors: '{name}' is {one.get(name, 'absent')} in the first and "
            f"{other.get(name, 'absent')} in the second. Compare masks of one network and one choice of tensors, or "
            "leave some out (exclude=...)."
        )
    return names
