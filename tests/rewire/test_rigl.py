"""RigL stepped by hand on a dozen weights: what goes, what comes, what their momentum is."""

from typing import Any

import pytest
import torch
from torch import nn

from tombola.core.mask import Mask
from tombola.core.rewire import Live
from tombola.rewire.rigl import Rigl
from tombola.train.masked import Masking
from tombola.train.rewired import Rewiring

START = [0.9, -0.1, 0.5, -0.7, 0.05, 0.3] + [0.0] * 6
ALIVE = [True] * 6 + [False] * 6
SLOPES = [1.0, -1.0, 2.0, 1.0, -1.0, 1.0, 4.0, -3.0, 0.5, 3.0, 2.5, 0.0]


class Dozen:
    """A loss that is linear in twelve weights: its gradient is always `SLOPES`. SGD with rate 0.1, momentum 0.5."""

    def __init__(self, method: Rigl, *, steps: int = 8) -> None:
        self.net = nn.Linear(12, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.net.weight.copy_(torch.tensor([START], dtype=torch.float64))
        mask = Mask({"weight": torch.tensor([ALIVE])})
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.5)
        masking, first = Masking(self.net, mask, of="all"), {"weight": self.net.weight.detach().clone()}
        how: dict[str, Any] = {"optimizer": self.optimizer, "first": first, "seed": 0, "step": 0, "steps": steps}
        self.rewiring = Rewiring(method, self.net, masking, mask, **how)
        self.done = 0

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.net(torch.tensor([SLOPES], dtype=torch.float64)).sum().backward()
        self.rewiring.update(self.done, 0.1, self.optimizer.step)
        self.done += 1

    @property
    def weights(self) -> Any:
        return pytest.approx(self.net.weight.detach()[0].tolist(), abs=1e-12)

    @property
    def momentum(self) -> Any:
        return pytest.approx(self.optimizer.state[self.net.weight]["momentum_buffer"][0].tolist(), abs=1e-12)

    @property
    def alive(self) -> list[int]:
        return self.rewiring.mask["weight"][0].nonzero().view(-1).tolist()


def test_a_dozen_weights_by_hand():
    dozen = Dozen(Rigl(every=2, drop=0.5, end=1.0))
    dozen.step()
    # Every living weight moves by -0.1 of its slope.
    assert dozen.weights == [0.8, 0.0, 0.3, -0.8, 0.15, 0.2, 0, 0, 0, 0, 0, 0]
    dozen.step()
    # After two of eight steps 0.5 / 2 (1 + cos(pi / 4)) = 0.427 of six go: two, 0.0 and 0.15. Of the others the slopes
    # 4, -3 and 3 are largest; the tie falls to the lower index. Nothing else moves: the update takes the step's place.
    assert dozen.alive == [0, 2, 3, 5, 6, 7]
    assert dozen.weights == [0.8, 0, 0.3, -0.8, 0, 0.2, 0, 0, 0, 0, 0, 0]
    assert dozen.momentum == [1, 0, 2, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    dozen.step()
    # Old weights move by 1 + 0.5 slopes, new ones by one: their momentum is fresh.
    assert dozen.momentum == [1.5, 0, 3, 1.5, 0, 1.5, 4, -3, 0, 0, 0, 0]
    assert dozen.weights == [0.65, 0, 0.0, -0.95, 0, 0.05, -0.4, 0.3, 0, 0, 0, 0]
    dozen.step()
    # Half way 0.25 of six: one, the third. Of what is left, the dropped one (2) among it, 3 is largest, at 9.
    assert dozen.alive == [0, 3, 5, 6, 7, 9]
    assert [(row["step"], row["died"], row["came"], row["kept"]) for row in dozen.rewiring.history] == [
        (0, 0, 0, [6]),
        (2, 2, 2, [6]),
        (4, 1, 1, [6]),
    ]
    assert [row["explored"] for row in dozen.rewiring.history] == [6, 8, 9]


def test_the_step_may_be_made_as_well():
    dozen = Dozen(Rigl(every=2, drop=0.5, end=1.0, instead="no"))
    dozen.step()
    dozen.step()
    # By 1.5 slopes: 0.65, 0.15, 0.0, -0.95, 0.3, 0.05. The smallest are now the third and the sixth.
    assert dozen.alive == [0, 1, 3, 4, 6, 7]
    assert dozen.weights == [0.65, 0.15, 0, -0.95, 0.3, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "alive", "weights", "momentum"),
    [
        ({}, [0, 1], [3.0, 0.0, 0.0], [7.0, 0.0, 0.0]),
        ({"regrown": "kept"}, [0, 1], [3.0, 0.5, 0.0], [7.0, 7.0, 0.0]),
        ({"regrow": "forbidden"}, [0, 2], [3.0, 0.0, 0.0], [7.0, 0.0, 0.0]),
    ],
    ids=str,
)
def test_a_dropped_weight_with_the_largest_gradient(fields: dict, alive: list, weights: list, momentum: list):
    """Of two weights the smaller goes; its gradient is the largest of all."""
    net = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[3.0, 0.5, 0.0]]))
    mask, optimizer = Mask({"weight": torch.tensor([[True, True, False]])}), torch.optim.SGD(net.parameters(), lr=1.0)
    optimizer.state[net.weight]["momentum_buffer"] = torch.tensor([[7.0, 7.0, 0.0]], dtype=torch.float64)
    masking, first = Masking(net, mask, of="all"), {"weight": net.weight.detach().clone()}
    how: dict[str, Any] = {"optimizer": optimizer, "first": first, "seed": 0, "step": 0, "steps": 1000}
    rewiring = Rewiring(Rigl(every=1, drop=0.6, **fields), net, masking, mask, **how)
    net(torch.tensor([[1.0, 9.0, 2.0]], dtype=torch.float64)).sum().backward()
    rewiring.update(0, 1.0, lambda: pytest.fail("this step makes no update"))
    assert rewiring.mask["weight"][0].nonzero().view(-1).tolist() == alive
    assert net.weight.detach()[0].tolist() == weights
    assert optimizer.state[net.weight]["momentum_buffer"][0].tolist() == momentum


def test_tensors_keep_their_own_counts_and_a_dense_one_its_values():
    torch.manual_seed(0)
    masks = {n: torch.rand(6, 5) < d for n, d in (("a", 0.2), ("b", 0.6), ("c", 2.0))}
    weights = {n: torch.randn(6, 5) * m for n, m in masks.items()}
    slopes = {n: torch.randn(6, 5) for n in masks}
    live = Live(9, 1000, 0, {n: w.clone() for n, w in weights.items()}, masks, slopes, weights, {})
    found = Rigl(every=10).rewired(live)
    for name in masks:
        assert found[name].sum() == masks[name].sum()
    assert torch.equal(found["c"], masks["c"]) and torch.equal(live.variables["c"], weights["c"])
    for name in ("a", "b"):  # As the paper writes it, with sorts.
        kept = int(masks[name].sum())
        count = int(0.3 / 2 * (1 + torch.cos(torch.tensor(torch.pi * 10 / 750)).item()) * kept)
        order = [i for i in weights[name].reshape(-1).abs().argsort().tolist() if masks[name].reshape(-1)[i]]
        left = set(order[count:])
        steepest = [i for i in slopes[name].reshape(-1).abs().argsort(descending=True).tolist() if i not in left]
        assert set(found[name].reshape(-1).nonzero().view(-1).tolist()) == left | set(steepest[:count])
