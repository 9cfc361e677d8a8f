"""Batch-norm statistics gathered again: against a forward pass written out, and nothing else of the ticket moves."""

import dataclasses
import pathlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.test_verify import detail, failed, forged, passed
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Failed, Refused
from tombola.core.initial import draw_state
from tombola.core.layout import Interface, Layout
from tombola.core.machine import Machine
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.find import cut, cut_early, draw
from tombola.moves.stretch import Stretch
from tombola.renorm import renorm, statistics
from tombola.study.step import Context
from tombola.study.store import Store
from tombola.tasks.digits import Digits
from tombola.train import bfloat
from tombola.train.examples import Examples
from tombola.train.loop import train
from tombola.train.norms import STATISTICS
from tombola.train.recipe import Recipe
from tombola.verify import verify

ARCH, TASK = ResNet(depth=8, width=2), Digits()
RECIPE = Recipe(steps=8, batch=60, rewind=3, evaluate=8)
ROW = ("stem.bn", "stages.0.0.bn1", "stages.0.0.bn2", "stages.1.0.bn1", "stages.1.0.bn2", "stages.1.0.shortcut.bn")


@pytest.fixture(scope="module")
def sparse() -> Ticket:
    """Half of it is dead, and it holds what lies under the dead positions."""
    return cut_early(draw(ARCH, TASK, RECIPE), TASK, RECIPE, Random(), density=0.5)


def by_hand(ticket: Ticket, batches: list[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Means and unbiased variances of what reaches each batch norm, averaged over the batches, in float64."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
    w = {
        name: (value * ticket.mask[name] if name in ticket.mask else value).double()
        for name, value in ticket.weights.items()
    }

    def norm(name: str, x: Tensor) -> Tensor:
        mean = x.sum((0, 2, 3)) / (count := x.numel() // x.shape[1])
        off = x - mean[:, None, None]
        squares = (off * off).sum((0, 2, 3))
        seen.setdefault(name, []).append((mean, squares / (count - 1)))
        scaled = off / (squares / count + 1e-5).sqrt()[:, None, None]
        return scaled * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]

    for inputs in batches:
        x = F.relu(norm("stem.bn", F.conv2d(inputs.double(), w["stem.conv.weight"], padding=1)))
        for i in range(3):
            block, stride = f"stages.{i}.0", 1 if i == 0 else 2
            y = F.conv2d(x, w[f"{block}.conv1.weight"], padding=1, stride=stride)
            y = F.conv2d(F.relu(norm(f"{block}.bn1", y)), w[f"{block}.conv2.weight"], padding=1)
            y = norm(f"{block}.bn2", y)
            if i:
                x = norm(f"{block}.shortcut.bn", F.conv2d(x, w[f"{block}.shortcut.conv.weight"], stride=2))
            x = F.relu(y + x)
    return {
        name: (sum(m for m, _ in rows) / len(rows), sum(v for _, v in rows) / len(rows))  # type: ignore[misc]
        for name, rows in seen.items()
    }


def batches_of(number: int, seeds: Seeds = Seeds()) -> list[Tensor]:
    recipe = RECIPE.in_steps(TASK)
    return [x for x, _ in Examples(TASK, recipe, seeds, torch.device("cpu")).batches(number, 0)]


@pytest.mark.parametrize(("number", "seeds"), [(1, Seeds()), (4, Seeds(5))])
def test_they_are_those_of_a_forward_pass_written_out(sparse: Ticket, number: int, seeds: Seeds):
    exact = sparse.rebuilt(weights={n: v.double() if v.is_floating_point() else v for n, v in sparse.weights.items()})
    found = renorm(exact, TASK, RECIPE, seeds, batches=number).weights
    wanted = by_hand(sparse, batches_of(number, seeds))
    assert set(ROW) < set(wanted) and len(wanted) == 9
    for name, (mean, variance) in wanted.items():
        torch.testing.assert_close(found[f"{name}.running_mean"], mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found[f"{name}.running_var"], variance, rtol=1e-10, atol=1e-12)
        assert int(found[f"{name}.num_batches_tracked"]) == number


def test_nothing_else_moves(sparse: Ticket):
    made = renorm(sparse, TASK, RECIPE, batches=2)
    names = set(statistics(sparse.module()))
    assert len(names) == 9 * len(STATISTICS) and list(made.weights) == list(sparse.weights)
    for name, value in made.weights.items():
        assert value.dtype == sparse.weights[name].dtype
        assert torch.equal(value, sparse.weights[name]) == (name not in names), name
    same = ("arch", "io", "mask", "step", "restart", "holding", "task", "recipe", "data", "level")
    assert all(getattr(made, name) == getattr(sparse, name) for name in same)
    assert made.moves == ("renorm",) and made.lineage.events[:-1] == sparse.lineage.events


def test_a_ticket_of_survivors_stays_one(sparse: Ticket):
    made = renorm(sparse.alive(), TASK, RECIPE, batches=2)
    assert made.holding == "alive" and not any(bool(made.weights[n][~made.mask[n]].any()) for n in made.mask)
    whole = renorm(sparse, TASK, RECIPE, batches=2)
    assert all(torch.equal(made.weights[n], whole.weights[n]) for n in statistics(made.module()))


def test_no_batch_is_a_whole_epoch(sparse: Ticket):
    made = renorm(sparse, TASK, RECIPE, batches=0)
    assert int(made.weights["stem.bn.num_batches_tracked"]) == len(batches_of(0)) == 22
    with pytest.raises(Refused, match="-1 batches"):
        renorm(sparse, TASK, RECIPE, batches=-1)


def test_a_batch_in_parts_is_seen_in_parts(sparse: Ticket):
    made = renorm(sparse, TASK, dataclasses.replace(RECIPE, accumulate=7), batches=2)
    parts = [part for whole in batches_of(2) for part in whole.tensor_split(7)]
    assert int(made.weights["stem.bn.num_batches_tracked"]) == 14
    for name, (mean, variance) in by_hand(sparse, parts).items():
        torch.testing.assert_close(made.weights[f"{name}.running_mean"].double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(made.weights[f"{name}.running_var"].double(), variance, rtol=1e-4, atol=1e-5)


def test_it_depends_on_seeds_and_batches_alone(sparse: Ticket):
    one = renorm(sparse, TASK, RECIPE, batches=2)
    torch.manual_seed(1)
    again = renorm(sparse, TASK, dataclasses.replace(RECIPE), Seeds(), 2)
    assert again.key == one.key and again.digest == one.digest
    others = [renorm(sparse, TASK, RECIPE, Seeds(1), 2), renorm(sparse, TASK, RECIPE, batches=3)]
    assert len({one.key, *(other.key for other in others)}) == len({one.digest, *(o.digest for o in others)}) == 3


@plugin("arch", "dropping")
class Dropping:
    """A network with dropout, and with a batch norm that nothing reaches."""

    def build(self, io: Interface) -> nn.Module:
        return DroppingNet(io)

    def layout(self) -> Layout:
        return Layout(("one", "norm", "idle"), (), ("head",), ("one.weight", "head.weight"), {})

    def initial(self, net: nn.Module, *names: str | int) -> dict[str, Tensor]:
        return draw_state(net, *names, scheme="kaiming_normal")


class DroppingNet(nn.Module):
    """Linear, dropout, batch norm, linear."""

    def __init__(self, io: Interface) -> None:
        super().__init__()
        self.one, self.norm, self.idle = nn.Linear(io.features, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        self.head = nn.Linear(4, io.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(F.dropout(self.one(x.flatten(1)), 0.5, self.training)))


def test_nothing_is_drawn_and_what_is_not_reached_keeps_its_statistics():
    start = draw(Dropping(), TASK, dataclasses.replace(RECIPE, rewind=0))
    start = start.rebuilt(weights={**start.weights, "idle.running_mean": torch.ones(4)})
    before = torch.random.get_rng_state()
    made = renorm(start, TASK, RECIPE, batches=3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(made.weights["idle.running_mean"], torch.ones(4))
    outputs = [F.linear(x.flatten(1), start.weights["one.weight"], start.weights["one.bias"]) for x in batches_of(3)]
    mean = torch.stack([one.double().mean(0) for one in outputs]).mean(0)
    torch.testing.assert_close(made.weights["norm.running_mean"].double(), mean, rtol=1e-5, atol=1e-6)


def test_what_it_counts(sparse: Ticket):
    context = Context()
    renorm.function(sparse, TASK, RECIPE.in_steps(TASK), batches=2, context=context)
    assert context.meter.images == 120 and context.meter.flops > 0


def test_a_network_without_them_is_refused():
    dense = draw(Mlp(hidden=(4,)), TASK, dataclasses.replace(RECIPE, rewind=0))
    with pytest.raises(Refused, match=r"mlp\(hidden=\(4,\)\) has no batch norm that gathers statistics"):
        renorm(dense, TASK, RECIPE)


def test_another_task_is_refused(sparse: Ticket):
    with pytest.raises(Refused, match="Find one on that task"):
        renorm(sparse, Digits(size=16), RECIPE)


def test_an_overflow_is_told(sparse: Ticket):
    huge = {**sparse.weights, "stem.conv.weight": torch.full_like(sparse.weights["stem.conv.weight"], 3e38)}
    with pytest.raises(Failed, match=r"'stem\.bn\.running_mean' of .* is not finite after 120 examples"):
        renorm(sparse.rebuilt(weights=huge), TASK, RECIPE, batches=2)


# Proofs.


def test_it_is_proved_with_its_parent_and_by_replay(tmp_path: pathlib.Path):
    deep = draw(ResNet(depth=14, width=2), TASK, RECIPE) | Stretch(to=ResNet(depth=20, width=2))
    made = renorm(deep, TASK, RECIPE, batches=2)
    made.save(tmp_path / "a.ticket")
    assert passed(verify(tmp_path / "a.ticket")) >= {"lineage", "parents"}
    verdict = verify(tmp_path / "a.ticket", parents=[deep], replay=True)
    assert passed(verdict) >= {"again", "untouched", "replay"}
    assert detail(verdict, "again: renorm").startswith("renorm(ticket=carry:")


def test_a_ladder_with_it_inside_is_proved(sparse: Ticket):
    made = renorm(sparse, TASK, RECIPE, batches=2)
    trained = train(made, TASK, RECIPE)
    last = cut(trained, keep=0.5)
    assert last.level == 2 and passed(verify(last, parents=[sparse, made, trained], replay=True)) >= {
        "again",
        "rewound",
    }
    assert all(torch.equal(last.weights[n], made.weights[n]) for n in statistics(made.module()))


def test_survivors_of_the_start_are_no_longer_compared_with_the_draw():
    start = draw(ARCH, TASK, dataclasses.replace(RECIPE, rewind=0))
    assert "survivors are the drawn weights" in passed(verify(start))
    assert "survivors are the drawn weights" not in passed(verify(renorm(start, TASK, RECIPE, batches=1)))


def altered(ticket: Ticket, name: str, factor: float) -> Ticket:
    return forged(ticket, weights={**ticket.weights, name: ticket.weights[name] * factor})


def test_rounding_is_no_forgery_and_more_is(sparse: Ticket):
    made = renorm(sparse, TASK, RECIPE, batches=2)
    verdict = verify(altered(made, "stem.bn.running_var", 1.001), parents=[sparse])
    assert verdict.ok and detail(verdict, "again: renorm") == "the same but for rounding, gathered here"
    for name in ("stem.bn.running_var", "stem.bn.running_mean"):
        verdict = verify(altered(made, name, 1.5), parents=[sparse])
        assert failed(verdict) == {"again"} and f"'{name}'" in detail(verdict, "again: renorm")
    count = {"stem.bn.num_batches_tracked": torch.tensor(3)}
    assert failed(verify(forged(made, weights={**made.weights, **count}), parents=[sparse])) == {"again"}


def test_other_weights_or_another_mask_are_a_forgery(sparse: Ticket):
    made = renorm(sparse, TASK, RECIPE, batches=2)
    assert failed(verify(altered(made, "head.bias", 1.0001), parents=[sparse])) == {"again", "untouched"}
    assert "untouched" in failed(verify(forged(made, mask=~made.mask), parents=[sparse]))
    for said in ({"step": 1}, {"restart": "fine-tune"}, {"task": "mnist()"}):
        verdict = verify(forged(made, **said), parents=[sparse])
        assert failed(verdict) == {"again"} and "what is not a tensor" in detail(verdict, "again: renorm")


def test_without_the_data_it_is_said(sparse: Ticket, monkeypatch: pytest.MonkeyPatch):
    made = renorm(sparse, TASK, RECIPE, batches=2)

    def absent(*_: object, **__: object) -> None:
        raise Refused("digits is not on this machine.")

    monkeypatch.setattr(Digits, "batch", absent)
    verdict = verify(made, parents=[sparse])
    assert "untouched" in passed(verdict) and "for want of its data" in detail(verdict, "again: renorm")


def test_a_store_remembers_it(sparse: Ticket, tmp_path: pathlib.Path):
    store, heard = Store(tmp_path), []

    def listen(happening: str, call: Any, **facts: Any) -> None:
        heard.append((happening, call.function))

    store.listen = listen
    made = [store(renorm, ticket=sparse, task=TASK, recipe=RECIPE, batches=2) for _ in range(2)]
    assert made[0].digest == made[1].digest and made[0].lineage == made[1].lineage
    assert heard.count(("start", "renorm")) == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_in_rough_numbers_they_are_nearly_the_same(sparse: Ticket, precision: Any):
    if precision == "bfloat16" and not bfloat.native():
        with pytest.raises(Refused, match="has no units for it"):
            renorm(sparse, TASK, dataclasses.replace(RECIPE, precision=precision), batches=2)
        return
    found = renorm(sparse, TASK, dataclasses.replace(RECIPE, precision=precision), batches=2).weights
    loose = 1e-5 if precision == "float32" else 0.05
    exact = by_hand(sparse, batches_of(2))
    off = [float((found[f"{n}.running_mean"].double() - m).abs().max() / v.sqrt().max()) for n, (m, v) in exact.items()]
    assert max(off) < loose and (precision == "float32" or max(off) > 1e-5)
    assert all(found[f"{name}.running_mean"].dtype == torch.float32 for name in exact)


@pytest.mark.gpu
def test_on_a_gpu_they_are_the_same_but_for_rounding(sparse: Ticket, tmp_path: pathlib.Path):
    made = Store(tmp_path, machine=Machine(device="cuda"))(renorm, ticket=sparse, task=TASK, recipe=RECIPE, batches=2)
    verdict = verify(made, parents=[sparse])
    assert verdict.ok and detail(verdict, "again: renorm").startswith(("renorm(", "the same but for rounding"))
