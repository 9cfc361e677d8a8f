"""What the tests of networks share."""

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tombola.core.layout import Arch, Interface, initial_weights, shapes
from tombola.core.layout import blank as make_blank
from tombola.core.text import parse


@functools.lru_cache(maxsize=2)
def drawn(arch: Arch, io: Interface, seed: int) -> dict[str, Tensor]:
    """Initial weights; those of large networks take longer to draw than to test."""
    return initial_weights(arch, io, "test", seed)


@pytest.fixture
def images() -> Interface:
    """Small images with an odd number of classes, so that no axis fits by accident."""
    return Interface(inputs=(3, 16, 16), classes=7)


@pytest.fixture
def count() -> Callable[[str, Interface], tuple[int, int]]:
    """Counts of all parameters and of prunable weights, without memory for either."""

    def counted(text: str, io: Interface) -> tuple[int, int]:
        arch: Arch = parse("arch", text)
        net = make_blank(arch, io)
        sizes = {name: math.prod(shape) for name, shape in shapes(net).items()}
        return sum(p.numel() for p in net.parameters()), sum(sizes[name] for name in arch.layout().prunable)

    return counted


@pytest.fixture
def loaded() -> Callable[..., nn.Module]:
    """A network with the initial values of a seed, in eval mode; batch-norm statistics are drawn too if asked for."""

    def made(arch: Arch, io: Interface, *, seed: int = 0, statistics: bool = False) -> nn.Module:
        state = dict(drawn(arch, io, seed))
        if statistics:
            rng = np.random.default_rng(seed)
            for name, value in state.items():
                if name.endswith(("running_mean", "bias")):
                    state[name] = torch.from_numpy(rng.normal(0, 0.1, tuple(value.shape))).to(value.dtype)
                if name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
                    state[name] = torch.from_numpy(rng.uniform(0.5, 1.5, tuple(value.shape))).to(value.dtype)
        net = make_blank(arch, io)
        net.load_state_dict({name: value.clone() for name, value in state.items()}, assign=True)
        return net.eval()

    return made
