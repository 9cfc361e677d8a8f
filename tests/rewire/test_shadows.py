"""What ranks inside a training keeps what the same scope keeps after it."""

import numpy as np
import pytest
import torch

from tombola.core import catalogue
from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.core.text import parse
from tombola.prune import prune
from tombola.rewire._shadows import best
from tombola.rewire.granet import GraNet

SHAPES = {"a.weight": (8, 16), "b.weight": (12, 8), "head.weight": (4, 12)}
SCOPES = [e.name for e in catalogue.entries("scope") if e.module.startswith("tombola.") and all(d for _, d in e.fields)]


@pytest.mark.parametrize("name", SCOPES)
def test_the_best_are_those_that_a_cut_keeps(name: str):
    rng = np.random.default_rng(0)
    scores = {n: torch.from_numpy(rng.integers(0, 20, shape).astype(np.float32)) for n, shape in SHAPES.items()}
    scope = parse("scope", name)
    found = best(scores, 0.5, scope)
    assert Mask(found) == prune(Mask.dense(SHAPES), scores, density=0.5, scope=scope)


def test_granet_takes_no_scope_whose_groups_its_exchange_would_undo():
    for name in ("per_row", "nm", "blocks"):
        with pytest.raises(Refused, match="undoes the structure"):
            GraNet(density=0.5, scope=parse("scope", name)).check(Mask.dense({"head.weight": (8, 8), "w": (8, 8)}))
