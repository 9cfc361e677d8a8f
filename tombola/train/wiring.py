"""How the weights of a network follow one another, read off one pass of a tensor without values through it.

Along the way goes, for each tensor, what its units (axis 1) are made of: pieces of the outputs of prunable tensors.
Only operations that keep units apart are known; whatever else a network does is refused, not guessed.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Never

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tombola.core.errors import Refused
from tombola.core.layout import Interface, Joint, Wiring

WAY_OUT = "Use a criterion that does not need the wiring (magnitude, snip), or write the network with known layers."

WEIGHTED = ("linear", "conv1d", "conv2d", "conv3d")
UNITWISE = tuple(
    "relu relu6 leaky_relu prelu elu gelu silu mish tanh sigmoid softplus hardtanh hardswish abs neg clamp "
    "contiguous clone detach float double to batch_norm dropout dropout1d dropout2d dropout3d interpolate "
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d".split()
)
"""What computes each unit from the same unit alone (batch norm in use: its statistics are constants)."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """All units of a source: from position `at` of axis 1, each of them `run` positions long."""

    source: str
    run: int
    at: int


Pieces = tuple[Piece, ...]


def read(net: nn.Module, io: Interface, names: tuple[str, ...]) -> Wiring:
    """The wiring of the named tensors; those that are no weights of linear layers or convolutions are left out.

    The units of the input are its channels; but where it is flattened before anything reads it, they are its numbers.

    Raises:
        Refused: If the network asks for values, mixes units in a way that is not known, uses a weight twice, or has a
            linear layer or a convolution that is not named.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
        >>> for joint in read(net, Interface(inputs=(1, 4, 4), classes=3), ("0.weight", "3.weight")).joints:
        ...     print(joint)
        Joint(name='0.weight', sources=('',), runs=(1,), offsets=(0,), groups=1)
        Joint(name='3.weight', sources=('0.weight',), runs=(4,), offsets=(0,), groups=1)
    """
    if io.tokens:
        raise Refused(f"how words reach the units of an embedding is no wiring of units. {WAY_OUT}")
    net = copy.deepcopy(net).to("meta").eval()
    given = torch.empty((2, *io.inputs), device="meta")
    follower = _Follower(dict(net.named_parameters()), names)
    follower.begin(given)
    try:
        with torch.no_grad(), follower:
            result = net(given)
    except RuntimeError as error:  # What torch says if somebody asks a tensor without values for one.
        what = f"{type(net).__name__} cannot be run without values ({error}), so its wiring is not known."
        raise Refused(f"{what} {WAY_OUT}") from error
    outputs = follower.end(result)
    if missing := [n for n in names if net.get_parameter(n).dim() > 1 and n not in follower.joints]:
        raise Refused(f"'{missing[0]}' is used by no linear layer or convolution of the network. {WAY_OUT}")
    joints = tuple(follower.joints.values())
    by_number = _by_number(joints)
    return Wiring(by_number, outputs, io.inputs[0] if by_number == joints else io.features)


def _by_number(joints: tuple[Joint, ...]) -> tuple[Joint, ...]:
    """The same, with the input's numbers for units if all that read it read it flattened alike."""
    found = {run for joint in joints for source, run in zip(joint.sources, joint.runs, strict=True) if not source}
    if len(found) != 1 or found == {1}:
        return joints
    return tuple(
        dataclasses.replace(j, runs=tuple(r if s else 1 for s, r in zip(j.sources, j.runs, strict=True)))
        for j in joints
    )


@dataclasses.dataclass(frozen=True)
class _Call:
    """One operation on tensors of units: what came in, what came out."""

    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    result: Tensor

    @property
    def first(self) -> Tensor:
        return self.args[0]

    def argument(self, place: int, name: str, default: Any) -> Any:
        """An argument, by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def unknown(self) -> Never:
        """Say that it cannot be followed."""
        raise Refused(
            f"how '{self.name}' connects the units of {tuple(self.result.shape)} is not known. Units are followed "
            f"along axis 1 through what keeps them apart, which attention and layer norm do not. {WAY_OUT}"
        )


class _Follower(TorchFunctionMode):
    """Sees each operation of a network, and remembers what its result's units are made of."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], names: Iterable[str]) -> None:
        super().__init__()
        self.weights = {id(value): name for name, value in parameters.items()}
        self.names = frozenset(names)
        self.pieces: dict[int, Pieces] = {}
        self.alive: list[Tensor] = []  # As long as a tensor lives, no other has its id.
        self.joints: dict[str, Joint] = {}
        self.steps: dict[str, Callable[[_Call], Pieces]] = {
            **dict.fromkeys(UNITWISE, self._same),
            **dict.fromkeys(WEIGHTED, self._weighted),
            **dict.fromkeys(("add", "iadd", "radd", "sub", "isub", "rsub"), self._sum),
            **dict.fromkeys(("mul", "imul", "rmul", "div", "truediv", "itruediv"), self._scaled),
            **dict.fromkeys(("flatten", "view", "reshape"), self._flat),
            **{"mean": self._mean, "sum": self._mean, "cat": self._side_by_side, "concat": self._side_by_side},
            **{"pad": self._padded, "getitem": self._cut_out},
        }

    def begin(self, given: Tensor) -> None:
        """Call a tensor the input."""
        self._keep(given, (Piece("", 1, 0),))

    def end(self, result: Any) -> tuple[str, ...]:
        """The tensors that give the output."""
        pieces = self.pieces.get(id(result), ())
        if not pieces or any(piece.source == "" or piece.at or piece.run != 1 for piece in pieces):
            raise Refused(f"the output of this network is not that of prunable tensors alone. {WAY_OUT}")
        return tuple(piece.source for piece in pieces)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Take part in an operation."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if any(id(value) in self.pieces for value in _listed(args, kwargs)) and any(
            isinstance(value, Tensor) for value in _listed((result,), {})
        ):
            name = getattr(func, "__name__", str(func)).strip("_")
            call = _Call(name, args, kwargs, result if isinstance(result, Tensor) else args[0])
            if name not in self.steps or not isinstance(result, Tensor):
                call.unknown()
            self._keep(result, self.steps[name](call))
        return result

    def _keep(self, value: Tensor, pieces: Pieces) -> None:
        self.alive.append(value)
        self.pieces[id(value)] = pieces

    def _streams(self, call: _Call) -> list[Tensor]:
        return [value for value in _listed(call.args, call.kwargs) if id(value) in self.pieces]

    def _of(self, call: _Call) -> Pieces:
        """The pieces of the first argument, if no other has any."""
        if len(self._streams(call)) != 1 or id(call.first) not in self.pieces:
            call.unknown()
        return self.pieces[id(call.first)]

    def _same(self, call: _Call) -> Pieces:
        pieces = self._of(call)
        return pieces if call.result.shape[:2] == call.first.shape[:2] else call.unknown()

    def _weighted(self, call: _Call) -> Pieces:
        pieces, weight = self._of(call), call.argument(1, "weight", None)
        name = self.weights.get(id(weight), "")
        if not name or (call.name == "linear" and call.first.dim() != 2):
            call.unknown()
        if name not in self.names:
            raise Refused(f"'{name}' is not among the prunable tensors, so no walk can pass it. {WAY_OUT}")
        if name in self.joints:
            raise Refused(f"'{name}' is used twice, so its units have no one place in the network. {WAY_OUT}")
        self.joints[name] = Joint(
            name,
            sources=tuple(piece.source for piece in pieces),
            runs=tuple(piece.run for piece in pieces),
            offsets=tuple(piece.at for piece in pieces),
            groups=call.first.shape[1] // weight.shape[1],
        )
        return (Piece(name, 1, 0),)

    def _sum(self, call: _Call) -> Pieces:
        """Streams that add bring all their pieces to the same positions; constants change nothing."""
        streams = self._streams(call)
        if any(stream.shape[:2] != call.result.shape[:2] or stream.dim() != call.result.dim() for stream in streams):
            call.unknown()
        return tuple(dict.fromkeys(piece for stream in streams for piece in self.pieces[id(stream)]))

    def _scaled(self, call: _Call) -> Pieces:
        """By numbers, or by parameters for each unit; not by what the network computed."""
        return self._sum(call) if len(self._streams(call)) == 1 else call.unknown()

    def _flat(self, call: _Call) -> Pieces:
        """All axes but the first as one: what was one position becomes a row of them."""
        pieces, before, after = self._of(call), call.first.shape, call.result.shape
        if before == after:
            return pieces
        if len(after) != 2 or after[0] != before[0]:
            call.unknown()
        each = after[1] // before[1]
        return tuple(Piece(piece.source, piece.run * each, piece.at * each) for piece in pieces)

    def _mean(self, call: _Call) -> Pieces:
        """A mean or sum over places, not over units or examples."""
        axes = call.argument(1, "dim", None)
        axes = (axes,) if isinstance(axes, int) else axes
        if axes is None or {axis % call.first.dim() for axis in axes} & {0, 1}:
            call.unknown()
        return self._of(call)

    def _side_by_side(self, call: _Call) -> Pieces:
        parts: Sequence[Tensor] = call.argument(0, "tensors", ())
        if call.argument(1, "dim", 0) % call.result.dim() != 1:
            call.unknown()
        found: list[Piece] = []
        start = 0
        for part in parts:  # One that is not of units is of constants.
            found += [dataclasses.replace(p, at=p.at + start) for p in self.pieces.get(id(part), ())]
            start += part.shape[1]
        return tuple(found)

    def _padded(self, call: _Call) -> Pieces:
        """New units of a constant, as in shortcuts without weights, move the others; new places do not."""
        pads: Sequence[int] = call.argument(1, "pad", ())
        axes = call.first.dim()
        unit = pads[2 * (axes - 2) : 2 * (axes - 1)]
        if len(pads) > 2 * (axes - 1) or min(unit, default=0) < 0:
            call.unknown()
        if any(unit) and call.argument(2, "mode", "constant") != "constant":
            call.unknown()
        front = unit[0] if unit else 0
        return tuple(dataclasses.replace(piece, at=piece.at + front) for piece in self._of(call))

    def _cut_out(self, call: _Call) -> Pieces:
        """Some of the places, of all units and examples."""
        index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        if any(not isinstance(part, slice) and part is not None for part in index):
            call.unknown()
        if any(part != slice(None) for part in index[:2]):
            call.unknown()
        return self._of(call)


def _listed(args: Iterable[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """All arguments, with those in lists."""
    found: list[Any] = []
    for value in (*args, *kwargs.values()):
        found += value if isinstance(value, list | tuple) else [value]
    return found
