import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tombola.core.errors import Refused
from tombola.tasks import hubfiles
from tombola.tasks.status import Status, fetch, status, statuses


def test_every_set_is_listed():
    found = {s.task: s for s in statuses()}
    assert {"digits", "mnist", "cifar10", "svhn"} <= set(found) and "hub" not in found
    assert found["digits"].where == "built in" and found["digits"].here
    assert (found["cifar10"].where, found["cifar10"].train, found["cifar10"].test) == ("folder", 50_000, 10_000)
    assert not found["svhn"].here and not found["svhn"].checked and found["svhn"].hub_id == "ufldl-stanford/svhn"


def test_fetching_checks_and_keeps(alone: Path, real: Path, monkeypatch: pytest.MonkeyPatch):
    (alone / "data" / "usps").symlink_to(real / "usps")
    before = status("usps")
    assert (before.where, before.checked) == ("folder", False)
    after = fetch("usps")
    assert after == dataclasses.replace(before, checked=True) == status("usps")
    monkeypatch.setenv("TOMBOLA_DATA", str(alone))
    kept = status("usps")
    assert (kept.where, kept.checked, kept.train) == ("cache", True, 7291)
    assert Path(kept.path).is_file()


def test_a_set_of_ones_own(alone: Path, tiny: Callable[..., None]):
    tiny(alone / "data" / "mine")
    before = status("hub(id='mine')")
    assert (before.where, before.train, before.digest) == ("folder", None, "")
    assert fetch("hub(id='mine')") == status("hub(id='mine')")
    assert isinstance(before, Status) and status("hub(id='mine')").train == 23


def test_fetching_what_is_nowhere(alone: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hubfiles, "_reachable", lambda: False)
    with pytest.raises(Refused, match="svhn is not on this machine"):
        fetch("svhn")
