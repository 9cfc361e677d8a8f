"""The k best of a tensor, to the exact weight.

On a processor they are found without sorting: a sample gives a value that a few more than k should reach, one pass
finds those, and only they are partitioned. If the sample misled, everything is. The result does not depend on it.
"""

import math

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.rewire import number

SAMPLE = 2048
"""About so many values guess the threshold."""
ENOUGH = 8 * SAMPLE
"""Fewer values than this are partitioned as they are."""


def top(values: Tensor, count: int, *, among: Tensor | None = None) -> Tensor:
    """The `count` highest values, among some, as a boolean tensor; ties fall to the lower flat index.

    What is not a number counts as the lowest.

    Raises:
        Refused: If there are fewer values than that.

    Example:
        >>> top(torch.tensor([1.0, 3.0, 1.0, 1.0]), 2).tolist()
        [True, True, False, False]
        >>> top(torch.tensor([1.0, 3.0, 2.0]), 1, among=torch.tensor([True, False, True])).tolist()
        [False, False, True]
    """
    flat = values.detach().reshape(-1)
    chosen = None if among is None else among.reshape(-1)
    room = flat.numel() if chosen is None else number(chosen)
    if not 0 <= count <= room:
        raise Refused(f"{count} weights are to be chosen among {room}.")
    if count == 0:
        return torch.zeros(values.shape, dtype=torch.bool, device=values.device)
    if count == room:
        every = torch.ones(values.shape, dtype=torch.bool, device=values.device)
        return every if among is None else among.clone(memory_format=torch.contiguous_format)
    find = _top_on_processor if flat.device.type == "cpu" else _top_anywhere
    return find(flat, count, chosen).view(values.shape)


def bottom(values: Tensor, count: int, *, among: Tensor | None = None) -> Tensor:
    """The `count` lowest values, among some, as a boolean tensor; ties fall to the lower flat index.

    What is not a number counts as the highest.

    Example:
        >>> bottom(torch.tensor([1.0, 3.0, 1.0, 1.0]), 2).tolist()
        [True, False, True, False]
    """
    return top(values.neg(), count, among=among)


def drawn(rng: np.random.Generator, count: int, *, among: Tensor) -> Tensor:
    """So many places at random among some, as a boolean tensor; on every device the same.

    Raises:
        Refused: If there are fewer places than that.

    Example:
        >>> drawn(np.random.default_rng(0), 2, among=torch.tensor([True, False, True])).tolist()
        [True, False, True]
    """
    places = np.flatnonzero(among.reshape(-1).cpu().numpy())
    if not 0 <= count <= len(places):
        raise Refused(f"{count} weights are to be drawn among {len(places)}.")
    flags = np.zeros(among.numel(), dtype=bool)
    flags[places[rng.choice(len(places), count, replace=False, shuffle=False)]] = True
    return torch.from_numpy(flags).view(among.shape).to(among.device)


def _top_on_processor(flat: Tensor, count: int, among: Tensor | None) -> Tensor:
    values = flat.to(torch.float32 if flat.dtype in (torch.bfloat16, torch.float16) else flat.dtype).numpy()
    chosen = None if among is None else among.numpy()
    flags = np.zeros(len(values), dtype=bool)
    places = _likely(values, count, chosen)
    if places is None:
        places = np.arange(len(values)) if chosen is None else np.flatnonzero(chosen)
    found = values[places]
    least = np.partition(found, len(found) - count)[len(found) - count]
    if np.isnan(found).any():
        found = np.where(np.isnan(found), -np.inf, found)
        least = np.partition(found, len(found) - count)[len(found) - count]
    above = found > least
    flags[places[above]] = True
    flags[places[np.flatnonzero(found == least)[: count - np.count_nonzero(above)]]] = True
    return torch.from_numpy(flags)


def _likely(values: np.ndarray, count: int, among: np.ndarray | None) -> np.ndarray | None:
    """The places of a few more than `count` of the highest values and of all that equal the lowest; None: all."""
    if len(values) < ENOUGH:
        return None
    stride = len(values) // SAMPLE | 1  # An odd stride does not walk along a column.
    sample = values[::stride] if among is None else values[::stride][among[::stride]]
    size = len(values) if among is None else np.count_nonzero(among)
    part = count / size
    wanted = int(len(sample) * part + 4 * math.sqrt(len(sample) * part * (1 - part)) + 4)
    if wanted >= len(sample):
        return None
    bound = np.partition(sample, len(sample) - wanted)[len(sample) - wanted]
    flags = values >= bound
    if among is not None:
        flags &= among
    places = np.flatnonzero(flags)
    return places if len(places) >= count else None


def _top_anywhere(flat: Tensor, count: int, among: Tensor | None) -> Tensor:
    values = torch.where(flat.isnan(), -math.inf, flat)
    places = None if among is None else among.nonzero().view(-1)
    values = values if places is None else values[places]
    least = values.topk(count, sorted=False).values.min()
    above, tied = values > least, values == least
    best = above | (tied & (tied.cumsum(0) <= count - above.sum()))
    if places is None:
        return best
    flags = torch.zeros(flat.shape, dtype=torch.bool, device=flat.device)
    flags[places[best]] = True
    return flags
