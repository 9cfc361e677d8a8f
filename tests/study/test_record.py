"""Records: what is sealed comes back, what is altered does not."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tombola.core.errors import Damaged
from tombola.study.record import digest, read_json, seal, unseal

RECORD: dict[str, Any] = {"key": "cut:00", "numbers": {"density": 0.1, "tiny": 5e-324, "kept": 2**70}, "call": "cut(é)"}


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text(), st.recursive(PLAIN, lambda some: st.lists(some) | st.dictionaries(st.text(), some))))
def test_what_is_sealed_comes_back_and_seals_to_the_same_text(record: dict[str, Any]):
    record["key"] = "cut:00"  # No record is empty.
    sealed = seal(record)
    assert unseal(sealed, "there") == record
    assert seal(unseal(sealed, "there")) == sealed
    json.loads(sealed)  # It is JSON for everyone else.


def test_the_digest_is_that_of_the_text_before_it():
    sealed = seal(RECORD)
    body = sealed[: sealed.rindex(b',\n "digest"')]
    assert json.loads(sealed)["digest"] == digest(RECORD) == hashlib.sha256(body).hexdigest()
    assert digest(RECORD | {"key": "cut:01"}) != digest(RECORD)


def test_no_altered_byte_goes_unnoticed():
    sealed = seal(RECORD)
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(Damaged, match=r"^there is damaged: its text does not match the digest at its end\.$"):
            unseal(bytes(altered), "there")
    for short in (b"", sealed[:-1], sealed[1:], sealed + b"\n", b"{}", b"null"):
        with pytest.raises(Damaged):
            unseal(short, "there")


def test_a_sealed_text_that_is_no_json_is_damaged():
    body = b"{nonsense"
    with pytest.raises(Damaged, match="^there is damaged: Expecting property name"):
        unseal(body + b',\n "digest": "%s"\n}\n' % hashlib.sha256(body).hexdigest().encode(), "there")


def test_reading_plain_json(tmp_path: Any):
    path = tmp_path / "store.json"
    path.write_text('{"version": 2}')
    assert read_json(path) == {"version": 2}
    for text, why in (
        ("[1]", "it holds no JSON object"),
        ("{", "Expecting property name"),
        ("\x00", "Expecting value"),
    ):
        path.write_text(text)
        with pytest.raises(Damaged, match=f"store.json is damaged: {why}"):
            read_json(path)
