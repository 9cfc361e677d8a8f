import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tombola.core.errors import Refused
from tombola.core.mask import Mask

SHAPES = st.dictionaries(
    st.sampled_from(["a", "b.weight", "c", "d"]), st.lists(st.integers(0, 5), max_size=3).map(tuple), max_size=4
)


@st.composite
def masks(draw: st.DrawFn, count: int = 1) -> list[Mask]:
    shapes = draw(SHAPES)
    return [
        Mask(
            {
                name: torch.tensor(draw(st.lists(st.booleans(), min_size=(n := math.prod(shape)), max_size=n)))
                .bool()
                .reshape(shape)
                for name, shape in shapes.items()
            }
        )
        for _ in range(count)
    ]


def flat(mask: Mask) -> np.ndarray:
    return np.concatenate([np.zeros(0, bool), *(value.reshape(-1).numpy() for value in mask.values())])


def test_by_hand():
    mask = Mask({"a": torch.tensor([[True, False, True]]), "b": torch.tensor([False, True])})
    assert (mask.kept, mask.size, mask.density, len(mask), list(mask)) == (3, 5, 0.6, 2, ["a", "b"])
    assert (mask.kept_in("a"), mask.kept_in("b")) == (2, 1)
    assert mask.shapes == {"a": (1, 3), "b": (2,)}
    assert mask.packed() == bytes([0b10101])
    assert repr(mask) == "Mask(2 tensors, 3 of 5 weights, density 0.6)"
    assert mask.digest() == "50d60e60b666651e9260d776781365a4e8fe3a2dd2a1ea834b66d325f82e9880"
    assert (Mask({}).density, Mask({}).packed(), Mask({}).kept) == (1.0, b"", 0)


@given(masks(2))
def test_set_operations(pair: list[Mask]):
    a, b = pair
    x, y = flat(a), flat(b)
    assert (flat(a & b) == (x & y)).all() and (flat(a | b) == (x | y)).all() and (flat(~a) == ~x).all()
    assert (a <= b) == bool((x <= y).all())
    assert (a == b) == bool((x == y).all())
    assert a & b <= a <= a | b
    assert (a == b) == (a <= b and b <= a)
    assert ~~a == a and hash(~~a) == hash(a) and (~~a).digest() == a.digest()
    assert (a.digest() == b.digest()) == (a == b)
    assert (a.kept, a.size) == (x.sum(), x.size)
    assert (a | ~a).kept == a.size and (a & ~a).kept == 0


@given(masks())
def test_packing_round_trip(made: list[Mask]):
    (mask,) = made
    bits = mask.packed()
    assert len(bits) == (mask.size + 7) // 8
    assert Mask.unpacked(bits, mask.shapes) == mask
    assert sum(byte.bit_count() for byte in bits) == mask.kept


def test_bits_go_row_by_row_lowest_first():
    alive = torch.zeros(3, 4, dtype=torch.bool)
    alive[0, 1] = alive[2, 0] = True
    assert Mask({"w": alive}).packed() == bytes([0b00000010, 0b00000001])
    assert Mask({"w": alive.t()}).packed() == bytes([0b00001100, 0])  # By rows of the view, not as it lies in memory.
    assert Mask.unpacked(Mask({"w": alive.t()}).packed(), {"w": (4, 3)})["w"].equal(alive.t())


@pytest.mark.parametrize(
    "bits, message",
    [
        (b"", "0 bytes of mask for 9 weights; 2 are needed."),
        (b"\x00", "1 bytes of mask for 9 weights; 2 are needed."),
        (b"\x00\x00\x00", "3 bytes of mask for 9 weights; 2 are needed."),
        (b"\xff\x03", "bits are set after the mask's last weight."),
        (b"\xff\x80", "bits are set after the mask's last weight."),
    ],
)
def test_bits_that_do_not_fit(bits: bytes, message: str):
    with pytest.raises(Refused) as caught:
        Mask.unpacked(bits, {"w": (3, 3)})
    assert str(caught.value) == message


def test_nested():
    dense = Mask.dense({"w": (4,)})
    half, quarter = Mask({"w": torch.tensor([1, 0, 1, 0]).bool()}), Mask({"w": torch.tensor([0, 0, 1, 0]).bool()})
    other = Mask({"w": torch.tensor([0, 1, 0, 0]).bool()})
    assert quarter <= half <= dense and not half <= quarter and not other <= half and half <= half


def test_masks_of_different_networks():
    a, b = Mask.dense({"w": (4,), "v": (1,)}), Mask.dense({"w": (2, 2), "v": (1,)})
    for operation in (lambda: a <= b, lambda: a & b, lambda: a | b):
        with pytest.raises(Refused, match="these masks are of different networks: they disagree on 'w'."):
            operation()
    assert a != b and a != "mask"


def test_equal_masks_hash_alike_in_any_order():
    a = Mask({"x": torch.tensor([True]), "y": torch.tensor([False])})
    b = Mask({"y": torch.tensor([False]), "x": torch.tensor([True])})
    assert a == b and hash(a) == hash(b)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_only_booleans(dtype: torch.dtype):
    with pytest.raises(Refused, match=f"the mask of 'w' is of type {dtype}. Masks are boolean, True means alive."):
        Mask({"w": torch.ones(2, dtype=dtype)})


def test_the_tensors_given_may_change_afterwards():
    given_ = {"w": torch.tensor([True, False])}
    mask = Mask(given_)
    given_["w"][1] = True
    given_["v"] = torch.tensor([True])
    assert mask["w"].tolist() == [True, False] and mask.kept == 1 and list(mask) == ["w"]


def test_a_mask_cannot_be_assigned_to():
    mask = Mask.dense({"w": (2,)})
    with pytest.raises(TypeError):
        mask["w"] = torch.tensor([False, False])  # type: ignore[index]
    with pytest.raises(AttributeError):
        mask.kept = 1  # type: ignore[misc]


def bits_of(value: Tensor) -> Tensor:
    return value.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[value.element_size()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_dead_weights_are_plus_zero(dtype: torch.dtype):
    mask = Mask({"w": torch.tensor([True, False, False, False, False, True])})
    state = {"w": torch.tensor([-0.0, -0.0, -5.0, math.nan, -math.inf, -1.0], dtype=dtype), "b": torch.tensor([-0.0])}
    before = {name: value.clone() for name, value in state.items()}
    applied = mask.apply(state)
    assert bits_of(applied["w"])[1:5].eq(0).all()  # All bits, the sign too.
    assert bits_of(applied["w"][[0, 5]]).equal(bits_of(state["w"][[0, 5]]))  # The living are not touched.
    assert applied["w"].dtype == dtype and bits_of(applied["b"]).equal(bits_of(state["b"]))
    for name, value in state.items():
        assert bits_of(value).equal(bits_of(before[name])) and applied[name].data_ptr() != value.data_ptr()
