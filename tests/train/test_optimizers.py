"""The optimisers themselves: what they are made with, and decoupled decay; for long trainings see test_masked."""

import pytest
import torch
from torch import nn

from tombola.core.errors import Refused
from tombola.core.text import parse
from tombola.train.optimizers import Adam, AdamW, Optimizer, Sgd


def test_the_numbers_reach_pytorch():
    weight = [nn.Parameter(torch.ones(2))]
    sgd = Sgd(lr=0.3, momentum=0.8, decay=0.01, nesterov="yes").make(weight).param_groups[0]
    assert (sgd["lr"], sgd["momentum"], sgd["weight_decay"], sgd["nesterov"]) == (0.3, 0.8, 0.01, True)
    for cls, optimizer in ((torch.optim.Adam, Adam), (torch.optim.AdamW, AdamW)):
        made = optimizer(lr=0.3, betas=(0.8, 0.9), eps=1e-6, decay=0.02).make(weight)
        group = made.param_groups[0]
        assert type(made) is cls and group["fused"] is True
        assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (0.3, (0.8, 0.9), 1e-6, 0.02)
        assert group["decoupled_weight_decay"] is (cls is torch.optim.AdamW)


@pytest.mark.parametrize(("coupling", "second"), [("coupled", 1.52), ("decoupled", 1.62)])
def test_decay_by_hand(coupling: str, second: float):
    """One weight of 2, no gradient, rate 0.1, decay 1: both kinds shrink it by a tenth, then momentum tells them apart.

    Coupled: velocity 2, weight 2 - 0.2 = 1.8; velocity 0.5 * 2 + 1.8 = 2.8, weight 1.8 - 0.28 = 1.52. Decoupled: the
    velocity stays 0, so the weight is 1.8 and then 1.62.
    """
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = Sgd(lr=0.1, momentum=0.5, decay=1.0, coupling=coupling).make([weight])  # type: ignore[arg-type]
    found = []
    for _ in range(2):
        weight.grad = torch.zeros(1)
        optimizer.step()
        found.append(round(float(weight.detach()), 6))
    assert found == [1.8, second]
    buffer = optimizer.state[weight]["momentum_buffer"]
    assert float(buffer) == pytest.approx(2.8 if coupling == "coupled" else 0.0)
    assert optimizer.param_groups[0]["weight_decay"] == 1.0


def test_decoupled_decay_follows_the_rate_of_the_moment_and_spares_what_has_no_gradient():
    moved, still = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([1.0]))
    optimizer = Sgd(lr=0.1, momentum=0.0, decay=0.5, coupling="decoupled").make([moved, still])
    for rate, expected in ((0.1, 0.95), (0.2, 0.855)):
        optimizer.param_groups[0]["lr"] = rate
        moved.grad = torch.zeros(1)
        optimizer.step()
        assert float(moved.detach()) == pytest.approx(expected)
    assert float(still.detach()) == 1.0


@pytest.mark.parametrize("optimizer", [Sgd(), Sgd(nesterov="yes", coupling="decoupled"), Adam(decay=1e-5), AdamW()])
def test_text_round_trip(optimizer: Optimizer):
    assert parse("optimizer", str(optimizer)) == optimizer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sgd(lr=-0.1)", "sgd: field 'lr' is -0.1. It must be a number from 0 on."),
        ("sgd(lr=1e999)", "sgd: field 'lr' is inf. It must be a finite number."),
        ("sgd(momentum=-1)", "sgd: field 'momentum' is -1.0. It must be a number from 0 on."),
        ("sgd(decay=-1)", "sgd: field 'decay' is -1.0. It must be a number from 0 on."),
        (
            "sgd(momentum=0, nesterov='yes')",
            "sgd: nesterov='yes' looks ahead along the momentum, which is 0. Give momentum=0.9, say.",
        ),
        ("adam(betas=(0.9, 1.0))", "adam: field 'betas' is 1.0. It must be a number from 0 on, below 1."),
        ("adam(eps=-1)", "adam: field 'eps' is -1.0. It must be a number from 0 on."),
        ("adamw(decay=-1)", "adamw: field 'decay' is -1.0. It must be a number from 0 on."),
        ("sgd(nesterov=True)", "sgd: field 'nesterov' is True. It must be one of: 'no', 'yes'."),
    ],
)
def test_numbers_that_make_no_sense_are_refused(text: str, message: str):
    with pytest.raises(Refused) as caught:
        parse("optimizer", text)
    assert str(caught.value) == message


def test_not_a_number_is_refused():
    with pytest.raises(Refused, match=r"^adam: field 'lr' is nan\."):
        Adam(lr=float("nan"))
