"""What changes bits: which machines are one environment, how it is told, and what older records tell of it."""

import hashlib
import json
from typing import Any

import pytest
import torch

from tombola.core.errors import Damaged
from tombola.core.machine import Machine
from tombola.study.environment import alike, checked, environment, environment_of, in_words, name_of

WHOLE = {"device": "cpu AVX2", "threads": "1", "layout": "channels_last", "compile": "nothing", "torch": "2.13.0"}


def test_the_environment_of_this_machine():
    found = environment(Machine(threads=3, layout="contiguous", compile="network"))
    assert list(found) == ["device", "threads", "layout", "compile", "torch"]
    assert found["device"] == f"cpu {torch.backends.cpu.get_cpu_capability()}"
    assert (found["threads"], found["layout"], found["compile"]) == ("3", "contiguous", "network")
    assert found["torch"] == torch.__version__.split("+")[0] and "+" not in found["torch"]


@pytest.mark.parametrize("field", [{"threads": 2}, {"layout": "contiguous"}, {"compile": "network"}], ids=str)
def test_what_changes_bits_is_another_environment(field: dict[str, Any]):
    here, other = environment(Machine()), environment(Machine(**field))
    assert not alike(here, other) and name_of(here) != name_of(other)


@pytest.mark.parametrize("field", [{"checkpoint": 5.0}, {"fleet": 8}], ids=str)
def test_what_changes_no_bits_is_not_in_it(field: dict[str, Any]):
    assert environment(Machine()) == environment(Machine(**field))


def test_a_device_is_its_kind_and_its_make(monkeypatch: pytest.MonkeyPatch):
    assert environment(Machine(device="meta"))["device"] == "meta"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: {"cuda": "A", "cuda:1": "B"}[device])
    assert [environment(Machine(device=device))["device"] for device in ("cuda", "cuda:1")] == ["cuda A", "cuda B"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert environment(Machine(device="cuda:1"))["device"] == "cuda ?"


def test_a_name_is_a_digest_of_all_of_it_in_any_order():
    """By the canonical form: sorted, without blanks."""
    form = json.dumps(WHOLE, sort_keys=True, separators=(",", ":")).encode()
    assert name_of(WHOLE) == hashlib.sha256(form).hexdigest()[:8] == name_of(dict(reversed(WHOLE.items())))
    names = {name_of({**WHOLE, field: "x"}) for field in WHOLE}
    assert len(names) == 5 and name_of(WHOLE) not in names


@pytest.mark.parametrize(
    ("change", "equal"),
    [
        ({}, True),
        ({"threads": "2"}, False),
        ({"threads": "?"}, True),
        ({"device": "cpu ?"}, True),
        ({"device": "?"}, True),
        ({"device": "cpu AVX512"}, False),
        ({"device": "cuda ?"}, False),
        ({"device": "cpu"}, False),
        ({"device": "cpu ?", "torch": "2.12.0"}, False),
        ({"later": "x"}, True),  # A field of a later tombola, which this record does not tell.
    ],
    ids=str,
)
def test_what_is_not_told_counts_as_equal(change: dict[str, str], equal: bool):
    other = {**WHOLE, **change}
    assert alike(WHOLE, other) is equal and alike(other, WHOLE) is equal


def test_a_record_tells_its_environment_and_an_older_one_what_follows():
    assert environment_of({"environment": WHOLE, "provenance": {"device": "cuda"}}) == WHOLE
    took = {"machine": "machine(device='cuda:1', threads=4)", "device": "cuda:1", "torch": "2.11.0+cu130"}
    assert environment_of({"provenance": took}) == {
        "device": "cuda ?", "threads": "4", "layout": "?", "compile": "?", "torch": "2.11.0"}  # fmt: skip
    assert environment_of({"provenance": {**took, "machine": "machine"}})["threads"] == "1"
    assert environment_of({"provenance": {**took, "machine": "cluster(nodes=4)"}})["threads"] == "?"
    for nothing in ({}, {"provenance": {}}, {"provenance": None}, {"provenance": {"torch": 2, "device": 1}}):
        assert set(environment_of(nothing).values()) == {"?"}


@pytest.mark.parametrize(
    "strange", [None, [], "cpu", {}, {**WHOLE, "threads": 1}, {**WHOLE, "torch": ""}, {**WHOLE, "more": 1}], ids=str
)
def test_a_strange_environment_is_damage(strange: Any):
    with pytest.raises(Damaged, match=r"^the record of cut:00 tells no sound environment: .* It is an object with a"):
        environment_of({"key": "cut:00", "environment": strange})
    with pytest.raises(Damaged, match="^'there' tells no sound environment"):
        checked(strange, "'there'")


def test_in_words():
    assert in_words(WHOLE) == "cpu AVX2, 1 thread, channels_last, torch 2.13.0"
    unknown = dict.fromkeys(WHOLE, "?")
    assert in_words(unknown) == "?, ? threads, layout ?, compile ?, torch ?"
    assert in_words({**WHOLE, "compile": "network", "threads": "2", "later": "x"}) == (
        "cpu AVX2, 2 threads, channels_last, compile network, torch 2.13.0, later x"
    )
    texts = {in_words({**WHOLE, field: "x"}) for field in WHOLE}
    assert len(texts) == 5 and in_words(WHOLE) not in texts
