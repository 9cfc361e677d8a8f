"""What every method that changes the mask must keep to: each one in the catalogue."""

import dataclasses
import functools
import pathlib
from typing import Any

import pytest
import torch

from tests.train.toys import Points, same
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core import catalogue, container
from tombola.core.artifact import Parts
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.rewire import Rewire
from tombola.core.seeds import Seeds
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.criteria.random_ import Random
from tombola.find import cut, cut_early, draw
from tombola.prune import PerLayer
from tombola.study.step import Context, now
from tombola.train.loop import train
from tombola.train.optimizers import Adam, AdamW, Optimizer, Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run
from tombola.train.trained import Trained
from tombola.verify import verify

METHODS = [e.name for e in catalogue.entries("rewire") if e.module.startswith("tombola.") and e.name != "static"]
STEPS, EVERY, DENSITY = 40, 4, 0.4
OPTIMIZERS = [Sgd(lr=0.05, momentum=0.9, decay=0.01), Adam(lr=0.01, decay=0.01), AdamW(lr=0.01, decay=0.1)]
ARCHS: dict[str, tuple[Any, Points]] = {
    "mlp": (Mlp(hidden=(8, 5)), Points()),
    "resnet": (ResNet(depth=8, width=2), Points(inputs=(3, 6, 6))),
}


def a_method(name: str) -> Rewire:
    """The method with its defaults, but changes of the mask so often that a short training sees some."""
    fields = {f.name for f in dataclasses.fields(catalogue.load(catalogue.find_entry(name, kind="rewire")))}
    return parse("rewire", f"{name}(every={EVERY})" if "every" in fields else name)


def a_recipe(name: str, optimizer: Optimizer = OPTIMIZERS[0]) -> Recipe:
    how: dict[str, Any] = {"batch": 5, "evaluate": STEPS // 2, "validation": 0.0, "optimizer": optimizer}
    return Recipe(steps=STEPS, rewire=a_method(name), **how)


@functools.cache
def a_ticket(arch: str, begins: str) -> Ticket:
    """Dense, or cut by chance: for a method that takes any, the sparse one."""
    network, task = ARCHS[arch]
    plain = Recipe(steps=STEPS, batch=5, validation=0.0)
    dense = now(draw, arch=network, task=task, recipe=plain)
    if begins == "dense":
        return dense
    how = {"criterion": Random(), "scope": PerLayer(), "density": DENSITY}
    return now(cut_early, ticket=dense, task=task, recipe=plain, **how)


def tickets(name: str, arch: str = "mlp") -> list[Ticket]:
    """Those that a method begins with."""
    begins = a_method(name).begins
    return [a_ticket(arch, one) for one in ("sparse", "dense") if begins in ("any", one)]


def a_run(ticket: Ticket, recipe: Recipe, seeds: Seeds = Seeds()) -> Run:
    task = Points(inputs=ticket.io.inputs)
    return Run(ticket, task, recipe.in_steps(task), seeds, Context())


def left(run: Run) -> dict[str, Any]:
    """All that a training leaves behind."""
    assert run.rewiring is not None
    states = [dict(run.optimizer.state[parameter]) for parameter in run.net.parameters()]
    rewiring, live = run.rewiring, run.rewiring.live
    return {
        "net": dict(run.net.state_dict()),
        "optimizer": states,
        "rows": run.progress.rows,
        "masks": dict(live.masks),
        "variables": {name: value.clone() for name, value in live.variables.items()},
        "state": dict(live.state),
        "explored": dict(rewiring.explored),
        "history": rewiring.history,
        "counts": [rewiring.forward, rewiring.backward],
    }


def reopened(parts: Parts) -> Parts:
    """As it comes back from a file."""
    return container.decode("checkpoint", container.encode("checkpoint", parts))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_a_plugin_and_says_what_it_begins_with(name: str):
    method = a_method(name)
    assert isinstance(method, Rewire) and parse("rewire", str(method)) == method
    assert parse("recipe", str(a_recipe(name))) == a_recipe(name)
    wrong = {"sparse": "dense", "dense": "sparse"}.get(method.begins)
    if wrong is not None:
        with pytest.raises(Refused):
            a_run(a_ticket("mlp", wrong), a_recipe(name))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_dead_weights_are_exactly_zero_and_counts_are_those_told(name: str, optimizer: Optimizer):
    for ticket in tickets(name):
        run = a_run(ticket, a_recipe(name, optimizer))
        rewiring = run.rewiring
        assert rewiring is not None
        before = len(rewiring.history)
        for step in range(STEPS):
            run.advance(step + 1)
            parameters = dict(run.net.named_parameters())
            for tensor, mask in rewiring.mask.items():
                dead = {"weight": parameters[tensor].detach()}
                if rewiring.method.dead == "zero":
                    state = run.optimizer.state[parameters[tensor]]
                    dead |= {n: v for n, v in state.items() if isinstance(v, torch.Tensor) and v.shape == mask.shape}
                    assert len(dead) >= 2
                for what, value in dead.items():
                    assert not value[~mask].any(), f"{what} of {tensor} at step {step}"
            if len(rewiring.history) > before:
                row, before = rewiring.history[-1], len(rewiring.history)
                assert row["step"] == step + 1
                assert row["kept"] == [int(mask.sum()) for mask in rewiring.mask.values()]
                assert row["mask"] == rewiring.mask.digest()[:16]
            assert all(bool((rewiring.explored[n] | ~m).all()) for n, m in rewiring.mask.items())
        told = rewiring.history
        assert told[0]["step"] == 0
        for one, other in zip(told, told[1:], strict=False):
            assert sum(other["kept"]) == sum(one["kept"]) + other["came"] - other["died"]
            assert one["step"] < other["step"] and one["explored"] <= other["explored"]


@pytest.mark.parametrize("arch", list(ARCHS))
@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_training_ends_in_the_same_bits_and_so_does_a_second_one(name: str, arch: str):
    for ticket in tickets(name, arch):
        whole, again, first, second = (a_run(ticket, a_recipe(name)) for _ in range(4))
        weights = whole.to_step(STEPS)
        assert same(again.to_step(STEPS), weights) and same(left(again), left(whole))
        first.to_step(STEPS // 2)
        second.restore(reopened(first.packed()))
        assert same(left(second), left(first))
        assert same(second.to_step(STEPS), weights) and same(left(second), left(whole))


@pytest.mark.parametrize("name", METHODS)
def test_another_seed_gives_another_training(name: str):
    ticket = tickets(name)[0]
    one, other = a_run(ticket, a_recipe(name)), a_run(ticket, a_recipe(name), Seeds(1))
    assert not same(one.to_step(STEPS), other.to_step(STEPS))


@pytest.mark.parametrize("name", METHODS)
def test_the_result_has_the_last_mask_and_the_history_and_is_read_back_and_proved(name: str, tmp_path: pathlib.Path):
    for ticket in tickets(name):
        task = Points()
        run = a_run(ticket, a_recipe(name))
        run.to_step(STEPS)
        trained = now(train, ticket=ticket, task=task, recipe=a_recipe(name))
        assert run.rewiring is not None
        assert trained.mask == run.rewiring.mask and same(trained.history, tuple(run.rewiring.history))
        assert trained.history[-1]["mask"] == trained.mask.digest()[:16]
        assert trained.history[-1]["kept"] == [trained.mask.kept_in(n) for n in trained.mask]
        assert trained.numbers()["explored"] == trained.history[-1]["explored"] >= trained.mask.kept
        assert trained.log[-1]["density"] == pytest.approx(trained.mask.density)
        assert all(trained.checks.values())
        assert same(trained.mask.apply(trained.weights), dict(trained.weights))
        trained.save(tmp_path / "a.trained")
        back = Trained.load(tmp_path / "a.trained")
        assert container.encode("trained", back.parts()) == (tmp_path / "a.trained").read_bytes()
        assert back.digest == trained.digest and back.mask == trained.mask and back.history == trained.history
        left_over = now(cut, trained=trained, keep=1.0)
        assert left_over.mask == trained.mask and left_over.mask <= Mask.dense(trained.mask.shapes)
        for verdict in (
            verify(tmp_path / "a.trained", parents=[ticket]),
            verify(left_over, parents=[trained, ticket]),
            verify(left_over, parents=[trained, ticket], replay=True),
        ):
            assert verdict.ok, [check for check in verdict.checks if not check.ok]
