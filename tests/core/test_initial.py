"""Schemes and streams are tested with every network in tests/archs; here is what they do not reach."""

import pytest
import torch
from torch import nn

from tombola.core.container import content_digest
from tombola.core.errors import Refused
from tombola.core.initial import draw_state
from tombola.core.layout import Interface, initial_weights
from tombola.core.text import parse


def test_golden_weights():
    """If these change, no ticket can be drawn again."""
    arch, io = parse("arch", "mlp(hidden=(2,))"), Interface(inputs=(3,), classes=2)
    weights = initial_weights(arch, io, "init", 0)
    assert weights["head.bias"].tolist() == [0.5719141960144043, 0.21351197361946106]
    assert content_digest({}, weights)[:16] == "62e00b8dec8b119b"
    small = parse("arch", "resnet(depth=8, width=2, bn_scale='uniform')")
    conv = initial_weights(small, Interface(inputs=(3, 8, 8), classes=2), "init", 1)
    assert content_digest({}, conv)[:16] == "c9fc74d96f945624"


def test_two_networks_of_a_family_share_no_draws():
    io = Interface(inputs=(3,), classes=2)
    a, b = (initial_weights(parse("arch", f"mlp(hidden=({h}))"), io, "init", 0) for h in ("4,", "4, 4"))
    assert not torch.equal(a["stages.0.0.weight"], b["stages.0.0.weight"])


def test_the_global_generator_counts_for_nothing():
    net = nn.Linear(3, 2)
    torch.manual_seed(1)
    a = draw_state(net, "x")
    torch.manual_seed(2)
    assert all(torch.equal(a[name], value) for name, value in draw_state(net, "x").items())


def test_a_layer_without_a_rule():
    net = nn.Sequential(nn.Linear(2, 2), nn.PReLU())
    with pytest.raises(Refused, match=r"no initial values are defined for '1' \(PReLU\)."):
        draw_state(net, "x")
