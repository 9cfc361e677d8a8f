import json
import math
import pathlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tombola.core import container
from tombola.core.artifact import Parts
from tombola.core.errors import Damaged

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn,
]  # fmt: skip


def bits(value: Tensor) -> bytes:
    return bytes(container.tensor_bytes(value))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_type_and_shape_comes_back(dtype: torch.dtype):
    group = {
        "row": torch.tensor([1.0, 0.0, -2.0]).to(dtype),
        "scalar": torch.tensor(3.0).to(dtype),
        "empty": torch.zeros(0, 3).to(dtype),
        "turned": torch.arange(6.0).reshape(2, 3).to(dtype).t(),
        "images": torch.ones(2, 3, 4, 4).to(dtype).to(memory_format=torch.channels_last),
    }
    parts = Parts(
        {"a": [1, "é", None]}, {"one": group, "two": {"row": group["row"], "x.y": torch.ones(1)}}, ({"s": 1},)
    )
    back = container.decode("toy", container.encode("toy", parts))
    assert back.header == parts.header and back.rows == parts.rows
    assert {name: set(members) for name, members in back.groups.items()} == {"one": set(group), "two": {"row", "x.y"}}
    for name, value in group.items():
        again = back.groups["one"][name]
        assert (again.dtype, again.shape, bits(again)) == (value.dtype, value.shape, bits(value)), name


def test_not_a_number_and_minus_zero_keep_their_bits():
    value = torch.tensor([0x7FC00001, -0x80000000, 0x7F800000, -0x3FFFFF], dtype=torch.int32).view(torch.float32)
    back = container.decode("toy", container.encode("toy", Parts({}, {"g": {"v": value}})))
    assert bits(back.groups["g"]["v"]) == bits(value)


def test_equal_parts_are_equal_files():
    one, two = torch.arange(4.0), torch.arange(3)
    a = Parts({"x": 1, "y": {"b": 1, "a": 2}}, {"g": {"one": one, "two": two}, "h": {"one": one}})
    b = Parts({"y": {"a": 2, "b": 1}, "x": 1}, {"h": {"one": one.clone()}, "g": {"two": two, "one": one.clone()}})
    assert container.encode("toy", a) == container.encode("toy", b)
    assert container.encode("toy", a) != container.encode("other", a)
    assert container.encode("toy", a) != container.encode("toy", Parts({**a.header, "x": True}, a.groups))


def test_the_digest_covers_everything():
    tensors = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[1]])}
    digest = container.content_digest({"x": 1}, tensors)
    assert digest == "1dba343a169b22221a9f7b04c260b82af7754c1715d801182a9f4b0d2d5d885a"
    assert digest == container.content_digest({"x": 1}, dict(reversed(tensors.items())))
    for other in (
        container.content_digest({"x": 1.0}, tensors),
        container.content_digest({"x": 1, "y": None}, tensors),
        container.content_digest({"x": 1}, {**tensors, "c": torch.zeros(0)}),
        container.content_digest({"x": 1}, {"a": tensors["a"]}),
        container.content_digest({"x": 1}, {"a": tensors["a"], "c": tensors["b"]}),
        container.content_digest({"x": 1}, {**tensors, "a": torch.tensor([2.0, 1.0])}),
        container.content_digest({"x": 1}, {**tensors, "b": torch.tensor([1])}),
        container.content_digest({"x": 1}, {**tensors, "a": tensors["a"].view(torch.int32)}),
    ):
        assert other != digest


@given(st.binary(max_size=80))
def test_any_bytes_are_damaged(data: bytes):
    with pytest.raises(Damaged):
        container.decode("toy", data)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_behind_a_length_are_damaged(data: bytes, length: int):
    with pytest.raises(Damaged):
        container.decode("toy", struct.pack("<Q", length) + data)


def test_messages(raw: Callable[[Any, bytes], bytes], tmp_path: pathlib.Path):
    good = container.encode("toy", Parts({"x": 1}, {"g": {"v": torch.ones(2)}}))

    def said(data: bytes, kind: str = "toy") -> str:
        with pytest.raises(Damaged) as caught:
            container.decode(kind, data, source="a.toy")
        return str(caught.value)

    assert said(b"") == "a.toy is no toy file: it has only 0 bytes."
    assert said(good[:100]) == (
        f"a.toy is no toy file or is cut short: it announces a header of {int.from_bytes(good[:8], 'little')} bytes "
        "and has 92 (the largest allowed is 16,777,216)."
    )
    assert said(struct.pack("<Q", 2**63) + good[8:]).startswith(
        "a.toy is no toy file or is cut short: it announces a header of 9,223,372,036,854,775,808 bytes"
    )
    assert said(good, "ticket") == "a.toy holds 'toy', not a ticket."
    assert said(good[:-1] + b"\x00") == (
        "a.toy is damaged: its content does not match the digest in its header. Get a fresh copy."
    )
    assert said(good[:-4]).startswith("a.toy is no toy file, or is damaged: SafetensorError: ")
    newer = good.replace(b'\\"version\\":1', b'\\"version\\":2')
    assert said(newer) == (
        "a.toy is a toy file of version 2; this tombola reads version 1. A newer tombola may read it."
    )
    assert "\n" not in said(raw({"__metadata__": {"tombola": '{"format": "toy",\n"version": "1\\n2"}'}}, b""))


@pytest.mark.parametrize(
    "value, shown",
    [(None, "None"), (1, "1"), ("a", "'a'"), (True, "True"), (math.inf, "inf"), ([1], "a list"), ({}, "a dict"),
     ("x" * 100, "a str"), (10**100, "a int")],
)  # fmt: skip
def test_values_in_messages_are_brief(value: Any, shown: str):
    assert container.brief(value) == shown


def test_the_kind_of_a_file(tmp_path: pathlib.Path):
    path = tmp_path / "x"
    path.write_bytes(container.encode("toy", Parts({}, {"g": {"v": torch.ones(2)}})))
    assert container.kind_of(path) == "toy"
    assert container.kind_of(tmp_path) == container.kind_of(tmp_path / "absent") == ""
    safetensors.torch.save_file({"v": torch.ones(1)}, path)
    assert container.kind_of(path) == ""
    deep = b'{"a":' + b"[" * 100_000
    for data in (b"", b"1", b"\x80\x04K\x01.", struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", len(deep)) + deep):
        path.write_bytes(data)
        assert container.kind_of(path) == ""


def test_tensors_that_share_memory_are_stored_twice():
    base = torch.arange(4.0)
    back = container.decode("toy", container.encode("toy", Parts({}, {"g": {"a": base, "b": base, "c": base[:2]}})))
    assert back.groups["g"]["b"].equal(base) and back.groups["g"]["c"].equal(base[:2])
    assert json.loads(json.dumps(dict(back.header))) == {}
