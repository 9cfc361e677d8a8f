"""The k best scores of a group of tensors, exactly, without ever laying them side by side.

A threshold is found digit by digit from histograms over the scores' own bits (a radix selection), one chunk at a time,
so that a thousand million weights need no more extra memory than a million. Ties fall to the lower index.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask

CHUNK = 1 << 20
DIGIT = 11


def keep_best(mask: Mask, scores: Mapping[str, Tensor], names: Sequence[str], count: int) -> dict[str, Tensor]:
    """Which weights stay alive when the `count` best-scoring living ones of these tensors, ranked together, are kept.

    Raises:
        Refused: If a score is not a number, or fewer weights than `count` are alive.

    Example:
        >>> keep_best(Mask.dense({"w": (4,)}), {"w": torch.tensor([1.0, 3.0, 1.0, 1.0])}, ["w"], 2)["w"].tolist()
        [True, True, False, False]
    """
    living = sum(mask.kept_in(name) for name in names)
    if count > living:
        raise Refused(f"{count} weights are to be kept, only {living} are alive. Pruning cannot revive weights.")
    if count == living:
        return {name: mask[name].clone() for name in names}
    if count == 0:
        return {name: torch.zeros_like(mask[name]) for name in names}
    wide = any(scores[name].dtype == torch.float64 for name in names)
    threshold, above = _threshold(mask, scores, names, rank=living - count, wide=wide)
    ties = count - above
    kept: dict[str, Tensor] = {}
    for name in names:
        alive = mask[name].reshape(-1).numpy()
        result = np.zeros_like(alive)
        for start, keys in _chunks(name, scores[name], wide=wide):
            own = alive[start : start + len(keys)]
            best = own & (keys > threshold)
            tied = own & (keys == threshold)
            if ties and tied.any():
                first = np.flatnonzero(tied)[:ties]
                best[first] = True
                ties -= len(first)
            result[start : start + len(keys)] = best
        kept[name] = torch.as_tensor(result).reshape(mask[name].shape)
    return kept


def _threshold(
    mask: Mask, scores: Mapping[str, Tensor], names: Sequence[str], *, rank: int, wide: bool
) -> tuple[np.unsignedinteger, int]:
    """The key of the living score of a rank (0 is the smallest), and how many living scores lie above it."""
    kind = np.uint64 if wide else np.uint32
    bits = 64 if wide else 32
    prefix, known, above = 0, 0, 0
    while known < bits:
        width = min(DIGIT, bits - known)
        shift = bits - known - width
        histogram = np.zeros(1 << width, dtype=np.int64)
        for name in names:
            alive = mask[name].reshape(-1).numpy()
            for start, keys in _chunks(name, scores[name], wide=wide):
                keys = keys[alive[start : start + len(keys)]]
                if known:
                    keys = keys[keys >> kind(bits - known) == kind(prefix)]
                digits = (keys >> kind(shift)) & kind((1 << width) - 1)
                histogram += np.bincount(digits.astype(np.int64), minlength=1 << width)
        cumulative = np.cumsum(histogram)
        digit = int(np.searchsorted(cumulative, rank, side="right"))
        above += int(cumulative[-1] - cumulative[digit])
        rank -= int(cumulative[digit - 1]) if digit else 0
        prefix, known = (prefix << width) | digit, known + width
    return kind(prefix), above


def _chunks(name: str, scores: Tensor, *, wide: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of a tensor of scores as unsigned integers in the same order as the scores."""
    if not scores.dtype.is_floating_point:
        raise Refused(f"the scores of '{name}' are of type {scores.dtype}; scores are floating-point numbers.")
    flat = scores.detach().reshape(-1)
    for start in range(0, len(flat), CHUNK):
        piece = flat[start : start + CHUNK].to(torch.float64 if wide else torch.float32).cpu().numpy()
        if np.isnan(piece).any():
            raise Refused(f"a score of '{name}' is not a number. Train with a smaller rate, or mend the criterion.")
        yield start, _ordered(piece)


def _ordered(values: np.ndarray) -> np.ndarray:
    """Unsigned integers that compare as the floats do: the sign bit flipped, negative numbers inverted."""
    kind, signed = (np.uint64, np.int64) if values.dtype == np.float64 else (np.uint32, np.int32)
    bits = (values + 0.0).view(signed)  # Adding +0.0 makes -0.0 and 0.0 tie.
    top = kind(1) << kind(bits.dtype.itemsize * 8 - 1)
    return np.where(bits < 0, ~bits.view(kind), bits.view(kind) | top)
