"""The Hessian of a loss by the living weights of a network, as a product with vectors, and its Lanczos vectors."""

import dataclasses
import os
import pathlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tombola.core.errors import Refused
from tombola.probes.directions import Directions

Numbers = NDArray[np.float64]
MEMORY = pathlib.Path("/proc/meminfo")
TINY = 1e-10
"""What is left of a new direction, against the largest before it, where the old ones span all there is."""


class Curvature(Directions):
    """The Hessian of the mean loss on some examples, by what can learn and lives, in evaluation mode."""

    name = "hessian"

    def times(self, vector: Tensor) -> Tensor:
        """The Hessian times a vector (Pearlmutter 1994): the gradient of the gradient's product with it.

        Raises:
            Refused: If the network has no second derivatives.
        """
        total, along = torch.zeros_like(vector), self.whole(vector)
        values = list(self.parameters.values())
        for share in self.shares():
            first = torch.autograd.grad(share, values, create_graph=True, allow_unused=True, materialize_grads=True)
            product = torch.stack([(one * way).sum() for one, way in zip(first, along, strict=True)]).sum()
            if not product.requires_grad:
                raise Refused("hessian: the loss of this network is linear in its weights. It has no curvature.")
            second = torch.autograd.grad(product, values, allow_unused=True, materialize_grads=True)
            total += self.living(second).detach()
        return total


@dataclasses.dataclass(frozen=True)
class Ritz:
    """What Lanczos finds from one start: Ritz values, rising, and the squares of their first components.

    Some eigenvalue lies as close to each Ritz value as `residuals` says (for one, the others apart: Parlett 1998).
    """

    values: Numbers
    shares: Numbers
    residuals: Numbers


def lanczos(curvature: Curvature, start: Tensor, steps: int) -> Ritz:
    """Tridiagonalise the Hessian from a start, each direction made orthogonal to all before it, twice.

    At most `steps` vectors are held. Ritz values at both ends are eigenvalues after a few steps; with the shares they
    are a quadrature of the spectral density seen from the start (Golub and Welsch 1969; Ghorbani et al. 2019).
    """
    basis = torch.empty(min(steps, curvature.size), curvature.size, dtype=start.dtype, device=start.device)
    diagonal: list[float] = []
    beside: list[float] = []
    ahead, largest, over = start / start.norm(), 0.0, 0.0
    for number in range(len(basis)):
        basis[number] = ahead
        new = curvature.times(ahead)
        diagonal.append(float(new @ ahead))
        for _ in range(2):
            new -= basis[: number + 1].T @ (basis[: number + 1] @ new)
        left = float(new.norm())
        largest = max(largest, left, abs(diagonal[-1]))
        if number + 1 == len(basis) or left <= TINY * largest:
            over = 0.0 if left <= TINY * largest or len(basis) == curvature.size else left
            break
        beside.append(left)
        ahead = new / left
    size = len(diagonal)
    matrix = np.diag(diagonal) + np.diag(beside[: size - 1], 1) + np.diag(beside[: size - 1], -1)
    values, vectors = np.linalg.eigh(matrix)
    return Ritz(values, vectors[0] ** 2, over * np.abs(vectors[-1]))


def check_room(size: int, steps: int, bytes_each: int, device: torch.device) -> None:
    """Refuse what the memory cannot hold.

    Raises:
        Refused: If it cannot.
    """
    needed, free = size * min(steps, size) * bytes_each, _free(device)
    if needed > free:
        raise Refused(
            f"hessian: {min(steps, size)} vectors of {size:,} living weights take {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free on {device}. Lower steps and at_once (examples at a time), or look at "
            "a sparser ticket."
        )


def _free(device: torch.device) -> int:
    """Bytes that can be had on a device: of a machine's memory also what caches hold, where it says so."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if MEMORY.exists():
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines() if ":" in line)
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def smoothed(values: Numbers, shares: Numbers, at: Numbers, width: float) -> Numbers:
    """A density of values, each a normal distribution of that width with its share."""
    heights = np.exp(-(((at[:, None] - values) / width) ** 2) / 2) @ shares
    return heights / (width * np.sqrt(2 * np.pi))
