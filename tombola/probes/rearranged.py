"""A trained network with its units in the order of another one's: the same function at another place.

Two networks may be one and the same but for the order of their units, and the line between them still climbs (Entezari
et al. 2022, conjecture 1; Ainsworth et al. 2023).
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tombola.core.errors import Failed
from tombola.core.layout import Arch, Interface, blank
from tombola.core.mask import Mask
from tombola.core.seeds import numbers
from tombola.moves.matching import Matching, matching
from tombola.moves.permuting import permuted
from tombola.probes.activations import matched_by_activations
from tombola.train.trained import Trained

Aligned = Literal["", "weights", "activations"]
ALIGNED = ("", "weights", "activations")
CLOSE = 1e-5
"""What a permuted network computes may differ by this part of the largest output, for rounding."""
EXAMPLES = 4


def rearranged(
    moving: Trained, fixed: Trained, match: Aligned, examples: int, device: torch.device
) -> tuple[Trained, Matching]:
    """The first network with its units in the order in which it is most like the second, and how that was found.

    Weights, running statistics and mask move together, so that it computes what it did; this is tested.

    Args:
        match: "weights": all learned parameters, from the order in which they stand (Ainsworth et al. 2023, section
            3.2). "activations": on training examples of the second network's task (their section 3.1).
        examples: For "activations": at most so many, always the same ones; 0: all.

    Raises:
        Refused: If the layout of the networks lets nothing permute.
        Failed: If permuting changes what the network computes: its layout is wrong.
    """
    arch, io = fixed.ticket.arch, fixed.ticket.io
    axes = arch.layout().axes
    if match == "activations":
        found = matched_by_activations(moving, fixed, examples, device)
    else:
        learned = [name for name, _ in blank(arch, io).named_parameters() if any(axes.get(name, ()))]
        found = matching(fixed.weights, moving.weights, axes, tensors=learned)
    weights = permuted(moving.weights, axes, found.permutations)
    check_same_function(arch, io, moving.weights, weights)
    mask = Mask.taking(permuted(moving.mask, axes, found.permutations))
    return dataclasses.replace(moving, weights=weights, rewired=mask), found


def check_same_function(arch: Arch, io: Interface, one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """Whether a state dict still computes the same with its units permuted; asked in double precision.

    Raises:
        Failed: If it does not.
    """
    before, after = (_outputs(arch, io, state) for state in (one, other))
    off, most = float((before - after).abs().max()), float(before.abs().max())
    if not off <= CLOSE * most:
        raise Failed(
            f"{arch} computes something else once its units are permuted as its layout says: outputs differ by "
            f"{off:.3g} where the largest is {most:.3g}. The axes of its layout are wrong; mend them."
        )


def _inputs(io: Interface) -> Tensor:
    rng, shape = numbers("align", "inputs"), (EXAMPLES, *io.inputs)
    if io.tokens:
        return torch.from_numpy(rng.integers(min(1, io.tokens - 1), io.tokens, shape))  # 0 is padding.
    return torch.from_numpy(rng.standard_normal(shape))


@torch.no_grad()
def _outputs(arch: Arch, io: Interface, state: Mapping[str, Tensor]) -> Tensor:
    net = blank(arch, io)
    exact = {name: value.double() if value.is_floating_point() else value for name, value in state.items()}
    net.load_state_dict(exact, assign=True)
    return net.eval()(_inputs(io))
