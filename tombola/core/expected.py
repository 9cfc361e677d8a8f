"""What a network's state dict must look like, found once for each network: building one is most of loading a ticket."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from tombola.core.errors import Damaged
from tombola.core.layout import Arch, Interface, blank

State = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MOST = 64
_known: dict[tuple[type, str, Interface], State] = {}


def expected(arch: Arch, io: Interface) -> State:
    """Shapes and types of the state dict, in its order, from the network on the meta device.

    Remembered by the network's class and text, for plug-ins whose meaning depends on nothing but their fields.

    Example:
        >>> from tombola.core.text import parse
        >>> expected(parse("arch", "mlp(hidden=(2,))"), Interface(inputs=(3,), classes=2))["head.weight"]
        ((2, 2), torch.float32)
    """
    key = (type(arch), str(arch), io)
    if key in _known:
        return _known[key]
    tensors = blank(arch, io).state_dict()
    state = MappingProxyType({name: (tuple(value.shape), value.dtype) for name, value in tensors.items()})
    if not arch.__identity__():  # type: ignore[attr-defined]  # Every plug-in has one.
        while len(_known) >= _MOST:
            del _known[next(iter(_known))]
        _known[key] = state
    return state


def check_weights(weights: Mapping[str, Tensor], state: State, arch: Arch) -> None:
    """Whether tensors fit a network: names, shapes and types. A float may be of any precision.

    Raises:
        Damaged: If they do not.
    """
    if missing := sorted(state.keys() - weights.keys()):
        raise Damaged(f"'{missing[0]}' of {arch} is missing.")
    if extra := sorted(weights.keys() - state.keys()):
        raise Damaged(f"'{extra[0]}' is not a tensor of {arch}.")
    for name, (shape, dtype) in state.items():
        value = weights[name]
        if value.shape != shape:
            raise Damaged(f"'{name}' has shape {tuple(value.shape)}; {arch} needs {shape}.")
        if value.dtype not in (FLOATS if dtype.is_floating_point else (dtype,)):
            raise Damaged(f"'{name}' is of type {value.dtype}; {arch} needs {dtype}.")
