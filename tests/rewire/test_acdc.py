from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.rewire.stepped import (
    TASK,
    a_live,
    a_recipe,
    a_start,
    agrees,
    begun,
    changed,
    flags,
    largest,
    plainly,
    weights_in_all,
)
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds
from tombola.prune.nm import NM
from tombola.prune.per_layer import PerLayer
from tombola.rewire.acdc import AcDc
from tombola.study.step import Context
from tombola.train.loop import train
from tombola.train.run import Run


def times(method: AcDc, steps: int) -> list[int]:
    return [step + 1 for step in range(steps) if method.due(step, steps)]


def test_the_schedules_of_the_paper():
    """ImageNet in 100 epochs (the last dense phase is 10), and CIFAR-100 in 200, by the authors' configurations."""
    imagenet = AcDc().in_steps(epoch=3, steps=300)
    assert times(imagenet, 300) == [3 * epoch for epoch in (*range(10, 80, 5), 85)]
    cifar = AcDc(warmup="10ep", phase="20ep", final="30ep").in_steps(epoch=2, steps=400)
    assert (cifar.warmup, cifar.phase, cifar.final) == (20, 40, 60)
    assert times(cifar, 400) == [2 * epoch for epoch in range(10, 180, 20)]
    assert cifar.in_steps(epoch=9, steps=400) == cifar
    kept = [cifar.compressed(time, 400) for time in (0, 19, 20, 59, 60, 339, 340, 400)]
    assert kept == [False, False, True, True, False, False, True, True]


def test_a_network_of_six_weights_by_hand():
    """Half of six; what comes back is zero, has to grow past the others to stay, and ties fall to the lower index."""
    method = AcDc(density=0.5, warmup=2, phase=2, final=3).in_steps(epoch=1, steps=9)
    assert times(method, 9) == [2, 4, 6]
    live = a_live({"a": [6, -5, 1], "b": [4, 4, 2]}, steps=9)
    assert [flags(begun(method, live), name) for name in "ab"] == [[1, 1, 1], [1, 1, 1]]
    masks = changed(method, live, 2)
    assert [flags(masks, name) for name in "ab"] == [[1, 1, 0], [1, 0, 0]]
    masks = changed(method, live, 4)
    assert [flags(masks, name) for name in "ab"] == [[1, 1, 1], [1, 1, 1]]
    assert live.variables["a"].tolist() == [6, -5, 0] and live.variables["b"].tolist() == [4, 0, 0]
    live.variables["b"] += torch.tensor([0.0, 0.0, -7.0])
    masks = changed(method, live, 6)
    assert [flags(masks, name) for name in "ab"] == [[1, 1, 0], [0, 0, 1]]


def test_a_ticket_that_begins_within_a_compressed_phase_is_compressed():
    method = AcDc(density=0.5, warmup=2, phase=2, final=3).in_steps(epoch=1, steps=9)
    for step, expected in ((1, [1, 1]), (2, [0, 1]), (3, [0, 1]), (4, [1, 1]), (5, [1, 1]), (6, [0, 1]), (8, [0, 1])):
        assert flags(begun(method, a_live({"w": [1, 2]}, steps=9, step=step))) == expected
    method = AcDc(density=0.5, warmup=0, phase=2, final=3).in_steps(epoch=1, steps=9)
    assert flags(begun(method, a_live({"w": [1, 2]}, steps=9))) == [0, 1]


def test_scopes():
    method = AcDc(density=0.5, warmup=0, phase=2, final=3, scope=PerLayer()).in_steps(epoch=1, steps=9)
    masks = begun(method, a_live({"a": [[1, 2, 3, 4]], "b": [[8, 7, 6, 5]]}, steps=9))
    assert [flags(masks, name) for name in "ab"] == [[0, 0, 1, 1], [1, 1, 0, 0]]
    live = a_live({"w": [[1, 2, 3, 4, 8, 7, 6, 5]]}, steps=9)
    method = AcDc(density=0.5, warmup=0, phase=2, final=3, scope=NM()).in_steps(epoch=1, steps=9)
    assert flags(begun(method, live)) == [0, 0, 1, 1, 1, 1, 0, 0]


def test_what_is_refused():
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"density": 1.5}, "field 'density' is 1.5"),
        ({"warmup": 1.0}, "field 'warmup' is 1.0"),
        ({"phase": 0}, "field 'phase' is 0"),
        ({"final": "ten"}, "Write steps as"),
    ]
    for fields, message in wrong:
        with pytest.raises(Refused, match=message):
            AcDc(**fields)
    spans: dict[str, Any] = {"warmup": 3, "final": 3}
    AcDc(phase=2, **spans).in_steps(epoch=1, steps=10)
    with pytest.raises(Refused, match="in 10 steps: 3 of warm-up, 3 at the end, 4 between; .* take 6"):
        AcDc(phase=3, **spans).in_steps(epoch=1, steps=10)
    with pytest.raises(Refused, match="each 1 or more"):
        AcDc().in_steps(epoch=1, steps=10)
    with pytest.raises(Refused, match="begins with all weights"):
        AcDc().check(Mask({"w": torch.tensor([True, False])}))
    with pytest.raises(Refused, match="matches no tensor"):
        AcDc(scope=PerLayer(exclude=("head",))).check(Mask.dense({"w": (4,)}))


@pytest.mark.parametrize("momentum", ["reset", "kept"])
def test_a_training_agrees_with_a_plain_loop(momentum: Any):
    method = AcDc(density=0.25, warmup=4, phase=6, final=10, momentum=momentum)
    ticket, recipe = a_start(), a_recipe(method)
    trained, kept = train(ticket, TASK, recipe), int(np.floor(0.25 * weights_in_all() + 0.5))
    assert [(row["step"], sum(row["kept"])) for row in trained.history] == [
        (0, weights_in_all()), (4, kept), (10, weights_in_all()), (16, kept), (22, weights_in_all()), (30, kept),
    ]  # fmt: skip

    def change(time: int, weights: Any, gradients: Any, masks: Any) -> Any:
        every = {name: np.ones_like(mask) for name, mask in masks.items()}
        if time in (10, 22):
            return every, {}
        return (largest({n: abs(v) for n, v in weights.items()}, kept, masks), {}) if time in (4, 16, 30) else None

    agrees(trained, plainly(ticket, recipe, change, reset=lambda time: momentum == "reset" and time in (10, 22)))


def test_momentum_is_zero_when_a_dense_phase_begins():
    found: dict[str, list[Tensor]] = {}
    for momentum in ("reset", "kept"):
        method = AcDc(density=0.25, warmup=4, phase=6, final=10, momentum=momentum)
        run = Run(a_start(), TASK, a_recipe(method), Seeds(), Context())
        run.net.train()
        run.steps(range(10))
        prunable = [dict(run.net.named_parameters())[name] for name in run.ticket.mask]
        found[momentum] = [run.optimizer.state[parameter]["momentum_buffer"] for parameter in prunable]
    assert not any(bool(velocity.any()) for velocity in found["reset"])
    assert all(bool(velocity.any()) for velocity in found["kept"])
