"""The account of a mask that changes while training: what methods see, what is kept exact, what is counted."""

import dataclasses
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import nn

from tests.train.toys import IMAGES, Convs, Points, a_ticket, same
from tombola.archs.mlp import Mlp
from tombola.core.errors import Failed, Refused
from tombola.core.mask import Mask
from tombola.core.plugin import plugin
from tombola.core.rewire import Live, Masks, Rewire, Static, zero
from tombola.core.seeds import Seeds
from tombola.study.step import Context
from tombola.train.cost import cost_of
from tombola.train.masked import Masking
from tombola.train.optimizers import Adam, Sgd
from tombola.train.recipe import Recipe
from tombola.train.rewired import Rewiring
from tombola.train.run import Run

POINTS, MLP = Points(), Mlp(hidden=(8,))
HOW: dict[str, Any] = {"batch": 5, "validation": 0.0, "evaluate": 5}


@plugin("rewire", "toy_still")
class Still(Rewire):
    """Does all that a method does, and changes nothing."""


@plugin("rewire", "toy_shadow")
class Shadow(Rewire):
    """Keeps all weights in shadow, and computes with those of the ticket."""

    dead: ClassVar[Literal["zero", "shadow"]] = "shadow"


@plugin("rewire", "toy_turn")
class Turn(Rewire):
    """Every third step the masks move on by one place, and a weight that stays may begin anew."""

    grows: ClassVar[Literal["blindly", "by gradient"]] = "by gradient"
    renew: Literal["no", "yes"] = "no"

    def due(self, step: int, steps: int) -> bool:
        return step % 3 == 2

    def rewired(self, live: Live) -> Masks:
        found = {name: mask.reshape(-1).roll(1).view(mask.shape) for name, mask in live.masks.items()}
        if self.renew == "yes":
            for name, mask in live.masks.items():
                live.renew(name, mask & found[name])
        return found


@plugin("rewire", "toy_wrong")
class Wrong(Rewire):
    """Gives what is no mask of the tensor."""

    what: Literal["kind", "shape"] = "kind"

    def due(self, step: int, steps: int) -> bool:
        return True

    def rewired(self, live: Live) -> Masks:
        wrong = {n: m.float() if self.what == "kind" else m.reshape(-1)[1:] for n, m in live.masks.items()}
        return wrong


def a_run(method: Rewire, arch: Any = MLP, task: Points = POINTS, *, density: float = 0.5, **how: Any) -> Run:
    recipe = Recipe(steps=10, rewire=method, **{**HOW, **how}).in_steps(task)
    return Run(a_ticket(arch, task, density=density), task, recipe, Seeds(), Context())


def rewiring_of(run: Run) -> Rewiring:
    assert run.rewiring is not None
    return run.rewiring


@pytest.mark.parametrize(("arch", "task"), [(MLP, POINTS), (Convs(), IMAGES)], ids=["mlp", "convs"])
@pytest.mark.parametrize("optimizer", [Sgd(lr=0.05, decay=0.01), Adam(lr=0.01)], ids=str)
def test_a_method_that_changes_nothing_trains_as_usual_bit_for_bit(arch: Any, task: Points, optimizer: Any):
    plain, still = (a_run(m, arch, task, optimizer=optimizer, clip=1.0) for m in (Static(), Still()))
    assert plain.rewiring is None
    assert same(plain.to_step(10), still.to_step(10))
    assert [{n: row[n] for n in plain.progress.rows[0]} for row in still.progress.rows] == plain.progress.rows
    assert cost_of(still).flops_sparse == pytest.approx(cost_of(plain).flops_sparse, rel=1e-12)
    assert len(rewiring_of(still).history) == 1


def test_shadows_of_a_dense_ticket_train_as_usual_bit_for_bit():
    """Channels last, so that a gradient laid out otherwise would be read at wrong places."""
    plain, shadow = (a_run(m, Convs(), IMAGES, density=2.0, optimizer=Adam(lr=0.01)) for m in (Static(), Shadow()))
    assert same(plain.to_step(10), shadow.to_step(10))


def test_shadows_go_on_under_dead_places():
    run = a_run(Shadow())
    live = rewiring_of(run).live
    before = {name: value.clone() for name, value in live.variables.items()}
    run.to_step(10)
    for name, mask in live.masks.items():
        parameter = run.net.get_parameter(name).detach()
        assert not parameter[~mask].any()
        assert torch.equal(parameter[mask], live.variables[name][mask])
        assert (live.variables[name] != before[name])[~mask].any()  # The gradient there is that of the network.


@dataclasses.dataclass
class Watcher(Rewire):
    """Notes which gradients it is shown, and lets the first two weights change places."""

    instead: Any = "no"
    seen: Any = dataclasses.field(default_factory=list)

    def due(self, step: int, steps: int) -> bool:
        return step == 1

    def watch(self, live: Live) -> None:
        self.seen.append(("watch", live.step, live.gradients["weight"][0].tolist()))

    def rewired(self, live: Live) -> Masks:
        self.seen.append(("rewired", live.step, live.gradients["weight"][0].tolist()))
        return {"weight": live.masks["weight"][:, [1, 0, 2]]}


def linear(method: Rewire, mask: list[bool], weights: list[float]) -> tuple[nn.Linear, torch.optim.SGD, Rewiring]:
    net = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([weights], dtype=torch.float64))
    alive, optimizer = Mask({"weight": torch.tensor([mask])}), torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.5)
    how: dict[str, Any] = {"first": {"weight": net.weight.detach().clone()}, "seed": 0, "step": 0, "steps": 9}
    return net, optimizer, Rewiring(method, net, Masking(net, alive, of="all"), alive, optimizer=optimizer, **how)


@pytest.mark.parametrize("instead", ["no", "yes"])
def test_gradients_of_dead_weights_are_shown_before_and_after_an_update(instead: str):
    method = Watcher(instead=instead)
    net, optimizer, rewiring = linear(method, [True, False, True], [1.0, 0.0, 2.0])

    def optimise() -> None:
        assert net.weight.grad is not None and net.weight.grad[0, 1] == 0
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        optimizer.step()

    for step in range(3):
        optimizer.zero_grad()
        net(torch.tensor([[3.0, 5.0, 4.0]], dtype=torch.float64)).sum().backward()
        if step < 2:
            rewiring.update(step, 0.5, optimise)
    assert method.seen == [(w, s, [3.0, 5.0, 4.0]) for w, s in (("watch", 0), ("watch", 1), ("rewired", 1))]
    # Clipped to 0.1, the gradient of the living is (0.06, 0.08); rate and momentum are a half.
    moves = 0.5 if instead == "yes" else 0.5 + 0.75
    assert net.weight[0].tolist() == pytest.approx([0.0, 0.0, 2.0 - moves * 0.08], abs=1e-7)
    momentum = optimizer.state[net.weight]["momentum_buffer"][0].tolist()
    assert momentum == pytest.approx([0.0, 0.0, 0.08 if instead == "yes" else 0.12], abs=1e-7)
    assert rewiring.mask["weight"].tolist() == [[False, True, True]]
    # Two of three compute at each step; a method that grows blindly needs no more gradients where it is due.
    assert (rewiring.forward, rewiring.backward) == ({"weight": 4}, {"weight": 4})
    assert rewiring.history[-1] | {"mask": ""} == {
        "step": 2, "died": 1, "came": 1, "kept": [2], "explored": 3, "mask": "",
    }  # fmt: skip
    assert rewiring.row() == {"density": 2 / 3, "explored": 1.0}


@pytest.mark.parametrize("renew", ["no", "yes"])
@pytest.mark.parametrize("optimizer", [Sgd(lr=0.05), Adam(lr=0.01)], ids=str)
def test_what_comes_is_new_and_what_stays_is_not_unless_it_is_renewed(renew: Any, optimizer: Any):
    run = a_run(Turn(renew=renew), Convs(), IMAGES, optimizer=optimizer)
    live = rewiring_of(run).live
    run.advance(2)
    always = dict(live.masks)
    for step in range(2, 9):
        before = dict(live.masks)
        run.advance(step + 1)
        if step % 3 != 2:
            continue
        for name, mask in live.masks.items():
            parameter = run.net.get_parameter(name)
            kept = {n: v for n, v in run.optimizer.state[parameter].items() if v is not None and v.shape == mask.shape}
            fresh = mask if renew == "yes" else mask & ~before[name]
            assert kept and (before[name] & mask).any()
            for value in (parameter.detach(), *kept.values()):
                assert not value[~mask].any() and not value[fresh].any()
            if renew == "no":
                always[name] = always[name] & mask
                assert parameter.detach()[always[name]].all()
    assert not live.renewed


def test_weights_ever_alive_are_counted_by_hand():
    run = a_run(Turn(), density=0.2)
    ever = {name: mask.clone() for name, mask in rewiring_of(run).mask.items()}
    for step in range(9):
        run.advance(step + 1)
        ever = {name: ever[name] | mask for name, mask in rewiring_of(run).mask.items()}
    count = sum(int(mask.sum()) for mask in ever.values())
    assert rewiring_of(run).explored_weights == count == rewiring_of(run).history[-1]["explored"]
    assert count > rewiring_of(run).mask.kept


def test_operations_are_those_of_the_masks_on_the_way():
    """Two thirds alive, forward; each third step all gradients; the rest is as `flops` counts it."""
    turn, still = a_run(Turn()), a_run(Still())
    turn.to_step(10)
    still.to_step(10)
    assert rewiring_of(turn).forward == rewiring_of(still).forward
    for name, mask in rewiring_of(still).mask.items():
        dead = int((~mask).sum())
        assert rewiring_of(turn).backward[name] == rewiring_of(still).backward[name] + 3 * dead
    assert cost_of(turn).flops_sparse > cost_of(still).flops_sparse


@pytest.mark.parametrize("what", ["kind", "shape"])
def test_what_is_no_mask_is_a_failure(what: Any):
    with pytest.raises(Failed, match="gave for 'stages.0.0.weight' a mask of torch"):
        a_run(Wrong(what=what)).to_step(10)


def test_the_best_or_first_good_weights_are_refused():
    choices: tuple[dict[str, Any], ...] = ({"select": "best"}, {"patience": 2})
    for fields in choices:
        with pytest.raises(Refused, match="has its mask and density at the end of the training"):
            Recipe(rewire=Still(), **fields)


def test_shadows_need_the_weights_under_dead_places():
    recipe = Recipe(steps=10, rewire=Shadow(), **HOW).in_steps(POINTS)
    with pytest.raises(Refused):
        Run(a_ticket(MLP, POINTS).alive(), POINTS, recipe, Seeds(), Context())


def test_zero_reaches_the_right_places_in_any_layout():
    where = torch.rand(4, 3, 2, 2) < 0.5
    for layout in (torch.contiguous_format, torch.channels_last):
        value = torch.ones(4, 3, 2, 2).contiguous(memory_format=layout)
        zero([value], where)
        assert torch.equal(value == 0, where)
    zero([value := torch.ones(3)], torch.tensor([False] * 3))
    assert value.tolist() == [1.0, 1.0, 1.0]
