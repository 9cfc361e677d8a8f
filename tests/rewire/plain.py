"""A network of eleven units in float64, trained by a method, and the pieces of plain loops to compare it with."""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from tombola.core.mask import Mask
from tombola.core.rewire import Rewire
from tombola.train.masked import Masking
from tombola.train.rewired import Rewiring

NAMES = ("first.weight", "last.weight")
SHAPES = {"first.weight": (7, 5), "last.weight": (4, 7)}
DENSE = Mask.dense(SHAPES)
MOMENTUM, DECAY = 0.9, 1e-2

Values = dict[str, Tensor]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 7, dtype=torch.float64), nn.Linear(7, 4, dtype=torch.float64)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(functional.relu(self.first(inputs)))


@functools.cache
def _start() -> Values:
    net, draw = Net(), torch.Generator().manual_seed(3)
    return {n: torch.randn(v.shape, generator=draw, dtype=torch.float64) * 0.5 for n, v in net.state_dict().items()}


def start() -> Values:
    return {name: value.clone() for name, value in _start().items()}


def batch(step: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(100 + step)
    return torch.randn(6, 5, generator=draw, dtype=torch.float64), torch.randint(4, (6,), generator=draw)


def loss(values: Values, step: int) -> Tensor:
    inputs, labels = batch(step)
    hidden = functional.relu(inputs @ values["first.weight"].T + values["first.bias"])
    return functional.cross_entropy(hidden @ values["last.weight"].T + values["last.bias"], labels)


def gradients(values: Values, step: int) -> Values:
    """By the values themselves, whatever they were made of."""
    leaves = {name: value.detach().clone().requires_grad_() for name, value in values.items()}
    found = torch.autograd.grad(loss(leaves, step), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def rate(step: int) -> float:
    return 0.4 / (1 + step / 10)


def move(values: Values, velocities: Values, gradients: Values, step: int, *, decay: float = DECAY) -> None:
    """SGD with momentum and coupled decay, written out; only what has a gradient."""
    for name, gradient in gradients.items():
        whole = gradient + decay * values[name]
        velocities[name] = MOMENTUM * velocities[name] + whole if name in velocities else whole
        values[name] = values[name] - rate(step) * velocities[name]


def begun(method: Rewire, steps: int, *, step: int = 0, decay: float = DECAY) -> tuple[Net, Rewiring]:
    net = Net()
    net.load_state_dict(start())
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=MOMENTUM, weight_decay=decay)
    how = {"optimizer": optimizer, "first": start(), "seed": 0, "step": step, "steps": steps}
    return net, Rewiring(method.in_steps(4, steps), net, Masking(net, DENSE, of="all"), DENSE, **how)


def trained(method: Rewire, steps: int, *, step: int = 0, decay: float = DECAY) -> Iterator[tuple[int, Net, Rewiring]]:
    """The network and the account before the first step, and after each."""
    net, rewiring = begun(method, steps, step=step, decay=decay)
    yield step, net, rewiring
    for now in range(step, steps):
        inputs, labels = batch(now)
        rewiring.optimizer.zero_grad()
        functional.cross_entropy(net(inputs), labels).backward()
        for group in rewiring.optimizer.param_groups:
            group["lr"] = rate(now)
        rewiring.update(now, rate(now), rewiring.optimizer.step)
        yield now + 1, net, rewiring


def highest(values: Values, count: int) -> Values:
    """Sorting everything, the ties by place: the `count` highest of all the tensors together."""
    places = [(-float(v), k, i) for k, name in enumerate(values) for i, v in enumerate(values[name].reshape(-1))]
    masks = {name: torch.zeros(value.numel(), dtype=torch.bool) for name, value in values.items()}
    for _, k, i in sorted(places)[:count]:
        masks[list(values)[k]][i] = True
    return {name: mask.view(values[name].shape) for name, mask in masks.items()}


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-11, atol=1e-13)


def check(expected: Callable[[int], tuple[Values, Values, Values]], method: Rewire, steps: int, **how: float) -> None:
    """Network, variables and masks after each step against those of a plain loop."""
    for step, net, rewiring in trained(method, steps, **how):  # type: ignore[arg-type]
        shown, variables, masks = expected(step)
        for name, value in net.state_dict().items():
            assert close(value, shown[name]), (step, name)
        for name in NAMES:
            assert close(rewiring.live.variables[name], variables[name]), (step, name)
            assert torch.equal(rewiring.live.masks[name], masks[name]), (step, name)
