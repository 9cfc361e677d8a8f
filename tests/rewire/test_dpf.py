import logging

import pytest
import torch

from tests.rewire.plain import DENSE, NAMES, SHAPES, Values, check, gradients, highest, move, start, trained
from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.prune.erk import Erk
from tombola.prune.nm import NM
from tombola.prune.per_layer import PerLayer
from tombola.rewire.dpf import Dpf
from tombola.train.loop import train
from tombola.train.recipe import Recipe


def by_the_paper(counts: dict[int, int], steps: int) -> list[tuple[Values, Values, Values]]:
    """Algorithm 1: at the steps given a new mask of so many weights; the gradient at w m moves w."""
    dense, velocities = start(), {}
    masks = {name: DENSE[name] for name in NAMES}
    told = []
    for step in range(steps + 1):
        if step in counts:
            masks = highest({name: dense[name].abs() for name in NAMES}, counts[step])
        shown = {name: value * masks[name] if name in masks else value for name, value in dense.items()}
        told.append((shown, dict(dense), masks))
        if step < steps:
            move(dense, velocities, gradients(shown, step), step)
    return told


def test_twenty_steps_are_those_of_a_plain_loop():
    # 63 weights, of which 0.2 are 12.6. At step 4 of 10: 0.2 + 0.8 * 0.6^3 = 0.3728, 23.49 weights; at step 8,
    # 0.2 + 0.8 * 0.2^3 = 0.2064, 13.003 weights. At step 10 the density has fallen, and masks still change.
    told = by_the_paper({4: 23, 8: 13, 10: 13, 12: 13, 16: 13}, 20)
    check(lambda step: told[step], Dpf(density=0.2, every=4), 20)
    assert not torch.equal(told[12][2]["first.weight"], told[16][2]["first.weight"]), "masks should change late"


def test_masks_may_stay_when_the_density_has_fallen():
    told = by_the_paper({4: 23, 8: 13, 10: 13}, 20)
    check(lambda step: told[step], Dpf(density=0.2, every=4, then="keep"), 20)


def test_the_density_of_the_ports_falls_by_the_epoch_until_the_end():
    # Epochs of 4 steps, 12 steps in all: 0.2 + 0.8 * (2/3)^3 is 27.53 weights, with 1/3 14.47; at the end 12.6.
    told = by_the_paper({3: 63, 6: 28, 9: 14, 12: 13}, 12)
    check(lambda step: told[step], Dpf(density=0.2, every=3, end=1.0, stairs="1ep"), 12)


def test_dead_shadows_move_and_the_network_does_not_compute_with_them():
    seen = []
    for _, net, rewiring in trained(Dpf(density=0.2, every=4), 19, decay=0.0):
        seen.append({name: rewiring.live.variables[name].clone() for name in NAMES})
        for name in NAMES:
            assert not net.state_dict()[name][~rewiring.live.masks[name]].any()
    assert all((seen[-2][name] != seen[-1][name])[~rewiring.live.masks[name]].any() for name in NAMES)


def test_each_tensor_may_have_its_own_density():
    *_, (_, _, rewiring) = trained(Dpf(density=0.2, every=4, scope=PerLayer()), 20)
    assert [rewiring.mask.kept_in(name) for name in NAMES] == [7, 6]
    *_, (_, _, rewiring) = trained(Dpf(density=0.2, every=4, scope=Erk()), 20)
    assert [rewiring.mask.kept_in(name) for name in NAMES] == [7, 6]  # 13 shared as 12 to 11: 6.78 and 6.22.


def test_a_training_that_begins_late_begins_where_the_schedule_is():
    first = next(trained(Dpf(density=0.2, every=4), 20, step=6))
    assert first[2].mask.kept == round((0.2 + 0.8 * 0.4**3) * 63)
    assert first[2].mask == Mask(highest({n: start()[n].abs() for n in NAMES}, first[2].mask.kept))


def test_a_whole_training_ends_at_the_exact_density():
    recipe = Recipe(steps=20, batch=5, evaluate=10, rewire=Dpf(density=0.3, every=3))
    result = train(a_ticket(Mlp(hidden=(8,)), Points(), density=1.0), Points(), recipe)
    assert result.mask.kept == 22  # Of 72: 21.6.
    assert [row["density"] for row in result.log] == [22 / 72, 22 / 72]
    assert all(result.checks.values())


def test_the_loss_of_a_whole_layer_is_told(caplog: pytest.LogCaptureFixture):
    _, _, rewiring = next(trained(Dpf(density=0.2, every=4), 20))
    rewiring.live.variables["last.weight"] *= 1e-9
    rewiring.live.step = 11
    with caplog.at_level(logging.WARNING):
        assert not rewiring.method.rewired(rewiring.live)["last.weight"].any()
    assert caplog.messages == [
        "layer collapse: 'last.weight' has no weight left; use a higher density, or scope per_layer() or erk()."
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"density": 0.0}, "above 0, below 1"),
        ({"density": 1.0}, "above 0, below 1"),
        ({"every": 0}, "field 'every' is 0"),
        ({"stairs": 0}, "field 'stairs' is 0"),
        ({"end": 0.0}, "a part of the training"),
        ({"end": 1.5}, "a part of the training"),
    ],
)
def test_wrong_numbers_are_refused(fields: dict[str, float], words: str):
    with pytest.raises(Refused, match=words):
        Dpf(**fields)  # type: ignore[arg-type]


def test_what_cannot_begin_is_refused():
    with pytest.raises(Refused, match="never would"):
        Dpf(every=20).in_steps(4, 20)
    with pytest.raises(Refused, match="begins with all weights"):
        Dpf().check(Mask({"w": torch.tensor([True, False])}))
    with pytest.raises(Refused, match="some would vanish"):
        Dpf(density=0.01).check(Mask.dense(SHAPES))
    with pytest.raises(Refused, match=r"'last.weight' \(28 weights\) would keep none"):
        Dpf(density=0.015, scope=PerLayer()).check(Mask.dense(SHAPES))
    with pytest.raises(Refused, match=r"nm\(\) has not every one"):
        Dpf(density=0.5, scope=NM()).check(Mask.dense({"w": (2, 8)}))
