"""Which weights of a mask lie on a path from the inputs to the outputs (Vysogorets and Kempe 2023).

Two walks through the network, in which a number says only whether there is a path, so that nothing overflows at any
depth: after each layer, and on the way back, what is positive becomes 1. A living weight is effective if the mask times
the derivative of the outputs by the mask is positive: the sign of the number of paths through it. A pooling by maximum
passes a path from any of its pixels, not from the largest only.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, blank
from tombola.core.mask import Mask
from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.study.step import step
from tombola.train.flops import LAYERS
from tombola.train.linear import bend
from tombola.train.trained import Trained


@step("connectivity")
def connectivity(ticket: Ticket | Trained) -> Measurement:
    """What of a mask is connected: effective density, layers without a weight, units without a path.

    A unit is an output of a layer with weights. It is unreachable if no living path leads to it from the inputs, and
    dead if none leads from it to the outputs. Biases, and shifts of batch norm, make no unit reachable, though they
    make it a constant; scales of batch norm count as alive unless they are masked. Paths are those of places too: a
    weight of a kernel that meets only padding lies on none. Masked biases count by the same derivative.
    `dead_layers` have no weight at all, `disconnected` counts living weights on no
    path, and `unused_inputs` and `unreachable_outputs` are those that no path joins to the other end.

    Raises:
        Refused: If the network is more than products, sums, maxima, ReLU and normalisation.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> found = connectivity(draw(Mlp(), Digits(), Quickstart())).numbers()
        >>> found["effective_density"], found["unreachable_units"]
        (1.0, 0)
    """
    network = ticket.ticket if isinstance(ticket, Trained) else ticket
    arch, io, mask = network.arch, network.io, ticket.mask
    if found := bend(arch, io):
        raise Refused(
            f"connectivity: {found} Paths are followed through ReLU, pooling and batch norm alone; `anatomy` tells the "
            "density of each layer of any network."
        )
    forth, back = Walk(arch, io, mask), Walk(arch, io, mask, open_to="all")
    table: list[dict[str, Any]] = []
    for name in mask:
        kept, size, effective = mask.kept_in(name), mask[name].numel(), int(forth.effective(name).sum())
        reached, leads = forth.reached.get(name, torch.ones(0)), back.leads.get(name, torch.ones(0))
        counts = {"size": size, "kept": kept, "effective": effective}
        shares = {"density": kept / size, "effective_density": effective / size}
        units = {"units": len(reached), "unreachable": int((~reached.bool()).sum()), "dead": int((~leads.bool()).sum())}
        table.append({"layer": name, **counts, **shares, **units})
    total = {name: sum(int(line[name]) for line in table) for name in ("effective", "units", "unreachable", "dead")}
    numbers = {
        **mask.numbers(),
        "effective": total["effective"],
        "effective_density": total["effective"] / mask.size if mask.size else 1.0,
        "disconnected": mask.kept - total["effective"],
        "units": total["units"],
        "unreachable_units": total["unreachable"],
        "dead_units": total["dead"],
        "unused_inputs": int((forth.inputs <= 0).sum()),
        "unreachable_outputs": int((forth.outputs <= 0).sum()),
    }
    return Measurement(numbers, tables={"layers": tuple(table)})


class Walk:
    """One way through a masked network and back: where paths come by, of layers by the names of their weights.

    With `open_to` "all" every unit is taken for reached, and what leads from it to the outputs is seen even so: a ReLU
    lets nothing back where nothing came.
    """

    def __init__(self, arch: Arch, io: Interface, mask: Mask, *, open_to: str = "reached") -> None:
        self.mask, self.open = mask, open_to == "all"
        self.reached: dict[str, Tensor] = {}
        self.leads: dict[str, Tensor] = {}
        net = blank(arch, io)
        net.load_state_dict({n: _passing(n, v, mask) for n, v in net.state_dict().items()}, assign=True)
        net.eval()
        for name, module in net.named_modules():
            if isinstance(module, LAYERS):
                module.register_forward_hook(self._hook(f"{name}.weight", isinstance(module, nn.Linear)))
        ones = torch.ones((1, *io.inputs), dtype=torch.float64, requires_grad=True)
        with _AnyPixel():
            outputs = net(ones)
        outputs.sum().backward()
        self.outputs, self.inputs = outputs.detach(), _gradient(ones)
        self.parameters = dict(net.named_parameters())

    def effective(self, name: str) -> Tensor:
        """The living weights that lie on a path."""
        return self.mask[name] & (_gradient(self.parameters[name]) > 0)

    def _hook(self, name: str, linear: bool) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def note(found: dict[str, Tensor], values: Tensor) -> None:
            axis = values.dim() - 1 if linear else 1
            units = (values > 0).movedim(axis, 0).flatten(1).any(1)
            found[name] = found.get(name, torch.zeros_like(units)) | units

        def back(gradient: Tensor) -> Tensor:
            note(self.leads, gradient)
            return (gradient > 0).to(gradient.dtype)

        def forth(module: nn.Module, given: Any, output: Tensor) -> Tensor:
            note(self.reached, output.detach())
            passed: Tensor = _Sign.apply(output, self.open)  # type: ignore[assignment]
            passed.register_hook(back)
            return passed

        return forth


class _Sign(torch.autograd.Function):
    """1 where there is a path, or everywhere; on the way back the gradient as it comes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, everywhere: bool) -> Tensor:
        return torch.ones_like(values) if everywhere else (values > 0).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _AnyPixel(TorchFunctionMode):
    """Pooling by mean in the place of pooling by maximum: positive where any pixel is."""

    _POOLS: Mapping[Any, Callable[..., Tensor]] = {
        F.max_pool1d: F.avg_pool1d,
        F.max_pool2d: F.avg_pool2d,
        F.max_pool3d: F.avg_pool3d,
        F.adaptive_max_pool1d: F.adaptive_avg_pool1d,
        F.adaptive_max_pool2d: F.adaptive_avg_pool2d,
        F.adaptive_max_pool3d: F.adaptive_avg_pool3d,
    }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._POOLS:
            if kwargs.pop("dilation", 1) not in (1, (1,), (1, 1), (1, 1, 1)):
                raise Refused("connectivity: this network pools with a dilation, whose paths are not followed.")
            kwargs.pop("return_indices", None)
            return self._POOLS[func](*args, **kwargs)
        return func(*args, **kwargs)


def _passing(name: str, like: Tensor, mask: Mask) -> Tensor:
    """The values of a tensor that let through what the mask lets through."""
    last = name.rpartition(".")[2]
    if last in ("bias", "running_mean") or not like.is_floating_point():
        return torch.zeros(like.shape, dtype=torch.float64 if like.is_floating_point() else like.dtype)
    return mask[name].double() if name in mask else torch.ones(like.shape, dtype=torch.float64)


def _gradient(value: Tensor) -> Tensor:
    return torch.zeros_like(value) if value.grad is None else value.grad
