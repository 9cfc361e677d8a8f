"""The network, compiled for training. What it gains and costs is in docs/speed.md."""

import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tombola.core.errors import Refused

COMPILERS = (*filter(None, [os.environ.get("CXX")]), "g++", "clang++")


def network(net: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network as a compiled function; its parameters stay its own.

    Raises:
        Refused: If there is nothing to compile with.
    """
    if device.type == "cpu" and not any(shutil.which(name) for name in COMPILERS):
        raise Refused(
            f"compile needs a C++ compiler, and there is none here (looked for {', '.join(COMPILERS)}). Install one "
            "(Debian: apt install g++), or leave compile out of --machine."
        )
    return torch.compile(net)
