"""Errors on corrupted inputs, of two networks whose errors a person sets."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.probes.given import Given, Toy, parts, passing
from tombola.core.errors import Refused
from tombola.core.layout import Interface
from tombola.core.plugin import plugin
from tombola.core.task import CPU, Holdout, Split
from tombola.probes.corruption_error import corruption_error
from tombola.train.trained import Trained

ERRORS = {
    ("clean", 0): (1, 2),
    ("fog", 1): (2, 3),
    ("fog", 3): (4, 5),
    ("snow", 1): (3, 2),
    ("snow", 3): (9, 6),
    ("sun", 1): (1, 0),
    ("sun", 3): (2, 0),
    ("shade", 1): (2, 2),
    ("shade", 3): (2, 2),
}
"""How many of ten examples the network and the dense one get wrong."""


def rows(kind: str, severity: int) -> tuple[tuple[float, ...], ...]:
    """All are of class 0; the network reads the first two numbers, the dense one the others."""
    own, dense = ERRORS[kind, severity]
    return tuple((0.0, 1.0 if i < own else -1.0, 0.0, 1.0 if i < dense else -1.0) for i in range(10))


@plugin("task", "toy_corrupted")
class Bad(Toy):
    """Rows with a kind, a severity, and something else."""

    kind: str = "fog"
    severity: int = 1
    side: float = 4.0

    @property
    def io(self) -> Interface:
        return Interface(inputs=(4,), classes=2)

    def evaluation(
        self, split: Split, *, size: int = 3, holdout: Holdout = Holdout(), device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        values = torch.tensor(rows(self.kind, self.severity), dtype=torch.float64)
        return parts(values, torch.zeros(10, dtype=torch.int64), size)


CLEAN = Given(rows=rows("clean", 0), labels=(0,) * 10, width=4)
FOG, SNOW = ((Bad(kind=kind, severity=1), Bad(kind=kind, severity=3)) for kind in ("fog", "snow"))


def networks() -> tuple[Trained, Trained]:
    return passing(CLEAN, matrix=torch.eye(4)[:2]), passing(CLEAN, matrix=torch.eye(4)[2:])


def test_by_hand():
    """Fog 0.6 to 0.8, snow 1.2 to 0.8; without what is wrong on clean inputs fog 0.4 to 0.4 and snow 1.0 to 0.4."""
    found = corruption_error(*networks(), (FOG[1], *SNOW, FOG[0]))
    assert found.numbers() == pytest.approx(
        {
            "error": (0.3 + 0.6) / 2,
            "dense_error": 0.4,
            "clean_error": 0.1,
            "dense_clean_error": 0.2,
            "mce": (0.75 + 1.5) / 2,
            "relative_mce": (1.0 + 2.5) / 2,
            "kinds": 2,
            "severities": 2,
            "examples": 10,
        }
    )
    fog, snow = found.tables["kinds"]
    assert (fog["kind"], fog["ce"], fog["relative_ce"]) == ("fog", pytest.approx(0.75), pytest.approx(1.0))
    assert (snow["kind"], snow["error"], snow["dense_error"]) == ("snow", pytest.approx(0.6), pytest.approx(0.4))
    single = [
        (line["kind"], line["severity"], line["error"], line["dense_error"]) for line in found.tables["severities"]
    ]
    expected = [("fog", 1, 0.2, 0.3), ("fog", 3, 0.4, 0.5), ("snow", 1, 0.3, 0.2), ("snow", 3, 0.9, 0.6)]
    assert single == [(kind, severity, *map(pytest.approx, values)) for kind, severity, *values in expected]


def test_the_dense_network_against_itself_is_one():
    _, dense = networks()
    found = corruption_error(dense, dense, (*FOG, *SNOW)).numbers()
    assert (found["mce"], found["relative_mce"]) == (1.0, 1.0)


def test_a_ratio_to_nothing_is_none_and_makes_no_mean():
    """The dense network is never wrong in the sun, and in the shade no more often than on clean inputs."""
    sun, shade = ((Bad(kind=kind, severity=1), Bad(kind=kind, severity=3)) for kind in ("sun", "shade"))
    found = corruption_error(*networks(), (*FOG, *sun))
    assert "mce" not in found.numbers() and "relative_mce" not in found.numbers()
    assert [line["ce"] for line in found.tables["kinds"]] == [pytest.approx(0.75), None]
    found = corruption_error(*networks(), (*FOG, *shade))
    assert found.numbers()["mce"] == pytest.approx((0.75 + 1.0) / 2) and "relative_mce" not in found.numbers()
    assert [line["relative_ce"] for line in found.tables["kinds"]] == [pytest.approx(1.0), None]


def test_another_clean_task():
    other = Given(rows=rows("shade", 1), labels=(0,) * 10, width=4)
    assert corruption_error(*networks(), FOG, clean=other).numbers()["clean_error"] == pytest.approx(0.2)


def test_what_differs_in_more_than_severity_is_another_kind():
    wide = tuple(Bad(kind="fog", severity=s, side=8.0) for s in (1, 3))
    found = corruption_error(*networks(), (*FOG, *wide))
    assert found.numbers()["kinds"] == 2 and found.numbers()["mce"] == pytest.approx(0.75)
    assert [line["kind"] for line in found.tables["kinds"]] == [str(FOG[0]), str(wide[0])]


def test_what_is_refused():
    given = networks()
    with pytest.raises(Refused, match="no task is given"):
        corruption_error(*given, ())
    with pytest.raises(Refused, match="has no kind and severity"):
        corruption_error(*given, (CLEAN,))
    with pytest.raises(Refused, match="is given twice"):
        corruption_error(*given, (*FOG, FOG[0]))
    with pytest.raises(Refused, match=r"have the severities \(1,\), some \(1, 3\)"):
        corruption_error(*given, (*FOG, SNOW[0]))
    with pytest.raises(Refused, match="equal inputs and classes"):
        corruption_error(given[0], passing(Given(rows=((1.0, 0.0),), labels=(0,))), FOG)
