"""What becomes of statistics on the way between two networks: blended like weights, gathered anew, or repaired."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.layout import Arch
from tombola.probes.line import Line
from tombola.train.norms import gather, norms

Stats = Literal["", "interpolate", "recompute", "batch", "repair"]
STATS = ("", "interpolate", "recompute", "batch", "repair")
EPSILON = 1e-12
"""Added to variances of units, which may be small; batch norm has its own."""
Inputs = Callable[[], Iterable[Tensor]]


def renewal(line: Line, stats: Stats, inputs: Inputs) -> Callable[[float], None]:
    """What is to be done at each point of a line after its values have been taken.

    Raises:
        Refused: If the network has running statistics and it is not said what becomes of them, or it has none.
    """
    check_stats(line, stats)
    layers = norms(line.net)
    if stats == "repair":
        return Repair(line, inputs).settle
    if stats == "batch":
        for layer in layers.values():
            layer.train()

    def settle(t: float) -> None:
        if stats == "recompute":
            gather(line.net, inputs())
        if stats == "interpolate":
            check_variances(line.net, t)

    return settle


def settling(net: nn.Module, stats: str, inputs: Inputs) -> Callable[[], None]:
    """What is to be done at each place where a network has been brought, if there are no two ends to blend.

    "recompute" gathers its statistics anew, "batch" takes those of each batch; with another word they stay.
    """
    if stats == "batch":
        for layer in norms(net).values():
            layer.train()

    def settle() -> None:
        if stats == "recompute":
            gather(net, inputs())

    return settle


def check_settled(probe: str, arch: Arch, net: nn.Module, stats: str, known: Mapping[str, str]) -> None:
    """Refuse a word that does not go with a network; `known` says what the words mean of which one must be said.

    Raises:
        Refused: If the network has running statistics and it is not said what becomes of them, or it has none.
    """
    has = bool(norms(net))
    if has and not stats:
        ways = " or ".join(f"{word} ({meaning})" for word, meaning in known.items())
        raise Refused(
            f"{probe}: {arch} has batch norm, and much depends on what becomes of its running statistics. Say "
            f"stats={ways}."
        )
    if stats and not has:
        raise Refused(
            f"{probe}: {arch} has no batch norm that gathers statistics, so stats={stats} means nothing. Leave it out."
        )


def check_stats(line: Line, stats: Stats) -> None:
    """Refuse a word that does not go with the network.

    Raises:
        Refused: If it does not.
    """
    has = bool(norms(line.net))
    if has and not stats:
        raise Refused(
            f"barrier: {line.arch} has batch norm, and much depends on what becomes of its running statistics between "
            "the ends. Say stats=interpolate (as weights), recompute (gathered anew at each point), batch (of each "
            "batch that is asked) or repair."
        )
    if not has and stats in ("interpolate", "recompute", "batch"):
        raise Refused(
            f"barrier: {line.arch} has no batch norm that gathers statistics, so stats={stats} means nothing. Leave it "
            "out, or say repair, which is for all networks."
        )


def check_variances(net: nn.Module, t: float) -> None:
    """Refuse variances below zero, which extrapolation may give.

    Raises:
        Refused: If there is one.
    """
    for name, layer in norms(net).items():
        least = float(layer.get_buffer("running_var").min())
        if least < 0:
            raise Refused(
                f"barrier: at {t:.4g} on the line '{name}.running_var' falls to {least:.3g}. Variances cannot be "
                "extrapolated so far: use stats=recompute, or look less far beyond the ends (beyond=...)."
            )


class Repair:
    """Units between two networks get means and deviations between theirs: REPAIR (Jordan et al. 2022).

    Of each convolution and linear layer but the last, each unit's mean and standard deviation over some inputs are (1 -
    t) of those in the one network and t of those in the other. Blended units vary less than either, more so with every
    layer. Batch norm gathers its statistics anew at the same time: behind it that is the same thing. A layer whose
    weights are read without calling it stays as it is.

    Raises:
        Refused: On the way, if extrapolation makes a deviation negative.
    """

    def __init__(self, line: Line, inputs: Inputs) -> None:
        self.line, self.inputs = line, inputs
        self.at_work: dict[str, nn.BatchNorm1d] = {}
        last = line.arch.layout().head[-1]
        for name, module in line.net.named_modules():
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and name != last:
                module.register_forward_hook(self._hook(name, isinstance(module, nn.Linear)))
        self.ends = [self._moments(end) for end in (0.0, 1.0)]

    def settle(self, t: float) -> None:
        """Find what brings every unit to where it should be at this point."""
        self.at_work = {name: self._towards(name, t) for name in self.ends[0]}
        gather(self.line.net, self.inputs())
        for one in self.at_work.values():
            one.eval()

    def _towards(self, name: str, t: float) -> nn.BatchNorm1d:
        (mean, deviation), (other_mean, other_deviation) = (end[name] for end in self.ends)
        one = nn.BatchNorm1d(len(mean), eps=EPSILON, momentum=None, device=mean.device, dtype=mean.dtype)
        wanted = torch.lerp(deviation, other_deviation, t)
        if (least := float(wanted.min())) < 0:
            raise Refused(
                f"barrier: at {t:.4g} on the line a standard deviation of '{name}' falls to {least:.3g}. Deviations "
                "cannot be extrapolated so far: look less far beyond the ends (beyond=...), or use another stats."
            )
        with torch.no_grad():
            one.weight.copy_(wanted)
            one.bias.copy_(torch.lerp(mean, other_mean, t))
        return one

    def _moments(self, end: float) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Mean and standard deviation of every unit of one of the two networks."""
        self.line.go(end)
        found = self.at_work = _Watching()
        for inputs in self.inputs():
            self.line.net(inputs)
        self.at_work = {}
        return {name: (one.running_mean, one.running_var.sqrt()) for name, one in found.items()}  # type: ignore[misc]

    def _hook(self, name: str, linear: bool) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def forth(module: nn.Module, given: object, output: Tensor) -> Tensor:
            if isinstance(self.at_work, _Watching):
                self.at_work.see(name, _flat(output, linear))
                return output
            if name not in self.at_work:
                return output
            made = self.at_work[name](_flat(output, linear))
            return made.reshape(output.shape) if linear else made.unflatten(2, output.shape[2:])

        return forth


class _Watching(dict[str, nn.BatchNorm1d]):
    """Statistics of layers as they are, by name."""

    def see(self, name: str, values: Tensor) -> None:
        """Count what a layer gives for a batch."""
        if name not in self:
            self[name] = nn.BatchNorm1d(
                values.shape[1], affine=False, momentum=None, device=values.device, dtype=values.dtype
            )
        self[name](values)


def _flat(output: Tensor, linear: bool) -> Tensor:
    """As (examples, units) or (examples, units, places)."""
    return output.reshape(-1, output.shape[-1]) if linear else output.flatten(2)
