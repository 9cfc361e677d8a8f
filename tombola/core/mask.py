"""A mask: which weights are alive, as an immutable value of names and boolean tensors. True means alive."""

import hashlib
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from tombola.core.errors import Refused

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Mask(Mapping[str, Tensor]):
    """Names to boolean tensors, in the order of the network.

    Masks of equal names and shapes compare (`==`, and `<=` for "nested in"), meet (`&`), join (`|`) and invert (`~`).

    Args:
        alive: Boolean tensors, on any device; the mask holds copies in main memory.

    Raises:
        Refused: If a tensor is not boolean.

    Example:
        >>> mask = Mask({"w": torch.tensor([True, False, True, True])})
        >>> mask.kept, mask.size, mask.density, mask <= Mask.dense({"w": (4,)})
        (3, 4, 0.75, True)
    """

    def __init__(self, alive: Mapping[str, Tensor]) -> None:
        _check_boolean(alive)
        own = {n: value.detach().cpu().clone(memory_format=torch.contiguous_format) for n, value in alive.items()}
        self._hold(own)

    @classmethod
    def taking(cls, alive: Mapping[str, Tensor]) -> "Mask":
        """A mask that takes these tensors over: without a copy where it can, so nobody may change them afterwards."""
        _check_boolean(alive)
        mask = cls.__new__(cls)
        mask._hold({name: value.detach().cpu().contiguous() for name, value in alive.items()})
        return mask

    def _hold(self, alive: dict[str, Tensor]) -> None:
        self._alive = alive
        # A sum would make a whole number of eight bytes of each flag first.
        self._kept = {name: int(torch.count_nonzero(value)) for name, value in alive.items()}

    @classmethod
    def dense(cls, shapes: Mapping[str, tuple[int, ...]]) -> "Mask":
        """Everything alive."""
        return cls({name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()})

    def __getitem__(self, name: str) -> Tensor:
        """The mask of one tensor, boolean, of the tensor's shape. Not to be changed in place."""
        return self._alive[name]

    def __iter__(self) -> Iterator[str]:
        """Names in the order of the network."""
        return iter(self._alive)

    def __len__(self) -> int:
        """The number of tensors."""
        return len(self._alive)

    @property
    def kept(self) -> int:
        """The number of living weights."""
        return sum(self._kept.values())

    @property
    def size(self) -> int:
        """The number of weights, dead or alive."""
        return sum(value.numel() for value in self._alive.values())

    @property
    def density(self) -> float:
        """The fraction of weights alive (1 - sparsity)."""
        return self.kept / self.size if self.size else 1.0

    def kept_in(self, name: str) -> int:
        """The number of living weights of one tensor."""
        return self._kept[name]

    def numbers(self) -> dict[str, float]:
        """What it keeps, and how many tensors have no weight left."""
        dead = sum(kept == 0 for kept in self._kept.values())
        return {"density": self.density, "kept": self.kept, "size": self.size, "dead_layers": dead}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes."""
        return {name: tuple(value.shape) for name, value in self._alive.items()}

    def __eq__(self, other: object) -> bool:
        """Equal names, shapes and values."""
        if not isinstance(other, Mask):
            return NotImplemented
        return self.shapes == other.shapes and all(torch.equal(self[name], other[name]) for name in self)

    def __hash__(self) -> int:
        """Equal masks have equal hashes, in whatever order their tensors stand."""
        return hash((frozenset(self.shapes.items()), frozenset(self._kept.items())))

    def __le__(self, other: "Mask") -> bool:
        """Nested: whatever is alive here is alive there."""
        self._same_shapes(other)
        return all(bool((self[name] <= other[name]).all()) for name in self)

    def __and__(self, other: "Mask") -> "Mask":
        """Alive in both."""
        self._same_shapes(other)
        return Mask({name: self[name] & other[name] for name in self})

    def __or__(self, other: "Mask") -> "Mask":
        """Alive in either."""
        self._same_shapes(other)
        return Mask({name: self[name] | other[name] for name in self})

    def __invert__(self) -> "Mask":
        """Alive where it was dead."""
        return Mask({name: ~self[name] for name in self})

    def __repr__(self) -> str:
        """A line for people."""
        return f"Mask({len(self)} tensors, {self.kept:,} of {self.size:,} weights, density {self.density:.4g})"

    def _same_shapes(self, other: "Mask") -> None:
        if self.shapes != other.shapes:
            different = sorted(set(self.shapes.items()) ^ set(other.shapes.items()))
            raise Refused(f"these masks are of different networks: they disagree on '{different[0][0]}'.")

    def apply(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A copy of a state dict in which dead weights are exactly +0.0 (a product would leave -0.0 behind)."""
        copies: dict[str, Tensor] = {}
        for name, value in state.items():
            own = self.living(name, value) if name in self else value
            copies[name] = own.clone() if own is value else own
        return copies

    def living(self, name: str, value: Tensor) -> Tensor:
        """A tensor with dead weights exactly +0.0: itself where all is alive, or else a copy."""
        alive = self[name]
        if value.shape == alive.shape and self._kept[name] == alive.numel():
            return value
        # A product of the bits as whole numbers leaves no -0.0 and no NaN behind, and is much faster than torch.where.
        bits = value.view(_BITS[value.element_size()])
        return alive.to(bits.device, bits.dtype, copy=True).mul_(bits).view(value.dtype)

    def packed(self) -> bytes:
        """One bit a weight: all tensors in order, flattened row by row, end to end, the lowest bit of a byte first.

        Example:
            >>> Mask({"w": torch.tensor([True, False, True, True])}).packed()
            b'\\r'
        """
        flat = [value.reshape(-1).numpy() for value in self._alive.values()]
        return np.packbits(np.concatenate(flat), bitorder="little").tobytes() if flat else b""

    def bits(self) -> Tensor:
        """The packed bytes as a tensor."""
        return torch.as_tensor(np.frombuffer(self.packed(), dtype=np.uint8).copy())

    @classmethod
    def unpacked(cls, bits: bytes, shapes: Mapping[str, tuple[int, ...]]) -> "Mask":
        """The inverse of `packed`.

        Raises:
            Refused: If the bytes do not fit the shapes, or bits after the last weight are set.
        """
        sizes = [math.prod(shape) for shape in shapes.values()]
        total = sum(sizes)
        if len(bits) != (total + 7) // 8:
            raise Refused(f"{len(bits)} bytes of mask for {total} weights; {(total + 7) // 8} are needed.")
        flags = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little").astype(bool)
        if flags[total:].any():
            raise Refused("bits are set after the mask's last weight.")
        parts = np.split(flags[:total], np.cumsum(sizes)[:-1]) if sizes else []
        return cls({n: torch.as_tensor(p).reshape(s) for (n, s), p in zip(shapes.items(), parts, strict=True)})

    def digest(self) -> str:
        """The SHA-256 of names, shapes and bits, in order: the same on all machines."""
        names = ";".join(f"{name}{list(shape)}" for name, shape in self.shapes.items())
        return hashlib.sha256(names.encode() + b"\0" + self.packed()).hexdigest()


def _check_boolean(alive: Mapping[str, Tensor]) -> None:
    for name, value in alive.items():
        if value.dtype != torch.bool:
            raise Refused(f"the mask of '{name}' is of type {value.dtype}. Masks are boolean, True means alive.")
