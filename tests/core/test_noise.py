"""Noise of dropout: against Python's integers, even and without pattern, the same whatever stands beside it."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from tombola.archs.text_encoder import TextEncoder
from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Refused
from tombola.core.layout import Arch, Interface, blank, initial_weights
from tombola.core.noise import Dropout, dropouts, go_on, hear, names, scattered, stir
from tombola.core.seeds import Seeds, fold

WORD = 2**32
IO = Interface(inputs=(16,), classes=2, tokens=50)


def name_of(first: int, second: int) -> Tensor:
    return torch.tensor(np.array([first, second], dtype=np.uint32).view(np.int32))


def hashed(number: int) -> int:
    """A 32-bit finaliser of two rounds, in integers without end."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        number = (number ^ number >> shift) * factor % WORD
    return number ^ number >> 16


def by_hand(places: tuple[int, ...], first: int, second: int) -> int:
    odd = 0x61C88647
    sums = sum(hashed((p * odd + hashed((first + a) * odd % WORD)) % WORD) for a, p in enumerate(places))
    number = (second + sums) % WORD
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        number = (number ^ number >> shift) * factor % WORD
    return number - WORD if number >= WORD // 2 else number


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (2, 1, 3, 2, 2)])
def test_numbers_are_those_of_plain_integers(shape: tuple[int, ...]):
    for first, second in ((0, 0), (7, WORD - 3), (0xFFFF_FFFF, 0x8000_0000), (0xDEAD_BEEF, 12345)):
        name = name_of(first, second)
        kept = name.clone()
        found = scattered(shape, name)
        for places in itertools.product(*map(range, shape)):
            assert int(found[places]) == by_hand(places, first, second)
        assert torch.equal(name, kept) and found.dtype == torch.int32


def test_a_place_has_its_number_in_every_shape():
    name = name_of(3, 4)
    whole = scattered((6, 5, 9), name)
    assert torch.equal(scattered((6, 5, 4), name), whole[:, :, :4])
    assert torch.equal(torch.cat([scattered((n, 5, 9), name, first=at) for at, n in ((0, 2), (2, 1), (3, 3))]), whole)


def z(signs: Tensor) -> float:
    """How many standard deviations the mean of independent signs would lie from zero."""
    return abs(float(signs.double().mean())) * signs.numel() ** 0.5


def test_numbers_are_even_and_without_pattern():
    """Between neighbours along each axis, in rectangles, from bit to bit, and under names that lie side by side."""

    def signs(first: int, second: int) -> Tensor:
        return (scattered((24, 40, 32), name_of(first, second)) >= 0).double() * 2 - 1

    found: list[float] = []
    for first, second in ((0, 0), (1, 0), (0, 1), (0x1234_5678, 0x9ABC_DEF0)):
        here = signs(first, second)
        for axis in range(3):
            found.append(z(here.narrow(axis, 1, here.shape[axis] - 1) * here.narrow(axis, 0, here.shape[axis] - 1)))
        corners = here[1:, 1:] * here[:-1, 1:] * here[1:, :-1] * here[:-1, :-1]
        found += [z(here), z(corners), z(here[:, 1:, 1:] * here[:, :-1, 1:] * here[:, 1:, :-1] * here[:, :-1, :-1])]
        found += [z(here * signs(first + 1, second)), z(here * signs(first, second + 1))]
    assert max(found) < 4.5 and 0.5 < float(np.mean(np.square(found))) < 2  # 32 numbers, as of a normal distribution.


@pytest.mark.parametrize("p", [1e-3, 0.1, 0.285, 0.5, 0.9])
def test_the_share_that_is_dropped(p: float):
    layer = Dropout(p)
    for step in range(3):
        stir([layer], Seeds(1), step)
        out = layer(torch.ones(300, 500))
        assert z((out.eq(0).double() - p) / (p * (1 - p)) ** 0.5) < 4.5
        assert set(out.unique().tolist()) == {0.0, float(torch.tensor(1.0) / (1 - p))}


def test_shares_at_the_ends():
    layer = Dropout(1 - 2**-40)
    stir([layer], Seeds(), 0)
    assert layer(torch.ones(1000)).eq(0).all()
    none = Dropout(0.0)
    stir([none], Seeds(), 0)
    assert none(torch.ones(1000)).eq(1).all()
    for wrong in (1.0, -0.1, float("nan")):
        with pytest.raises(Refused, match="It is a fraction, 0 or more and below 1"):
            Dropout(wrong)


def test_names_are_of_training_step_and_layer():
    found = names(2, Seeds(3), 5)
    expected = [fold("dropout", Seeds(3).stream("augment"), 5, layer) % 2**64 for layer in (0, 1)]
    assert [int(low) % WORD + int(high) % WORD * WORD for low, high in found.tolist()] == expected
    others = [names(2, Seeds(3), 6), names(2, Seeds(4), 5), names(2, Seeds(3, augment=1), 5)]
    assert not any(torch.equal(found, other) for other in others)
    assert torch.equal(found, names(2, Seeds(3, data=8, init=9), 5)) and torch.equal(found[:1], names(1, Seeds(3), 5))
    assert names(0, Seeds(), 0).shape == (0, 2)


def test_parts_of_a_batch_go_on_and_each_call_has_its_own_noise():
    layer, ones = Dropout(0.5), torch.ones(40, 3)
    stir([layer], Seeds(), 0)
    whole = [layer(ones) for _ in range(4)]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(whole, 2))
    hear([layer], names(1, Seeds(), 0))
    first = [layer(ones[:15]) for _ in range(4)]
    go_on([layer], 15)
    second = [layer(ones[15:]) for _ in range(4)]
    assert all(torch.equal(torch.cat(parts), one) for *parts, one in zip(first, second, whole, strict=True))


@pytest.mark.parametrize(
    "arch", [TextCnn(width=5, channels=7), TextCnn(dropped="pooled"), TextEncoder(width=8)], ids=str
)
def test_padding_changes_no_noise(arch: Arch):
    net = blank(arch, IO)
    net.load_state_dict(initial_weights(arch, IO, "test", 0), assign=True)
    text = torch.tensor([[3, 9, 2, 13, 8, 4]])
    found: list[Tensor] = []
    for room in (0, 1, 6):
        stir(dropouts(net), Seeds(2), 1)
        found.append(net.train()(torch.nn.functional.pad(text, (0, room))))
    assert len(dropouts(net)) == 1 and not torch.allclose(found[0], net.eval()(text))
    for padded in found[1:]:
        torch.testing.assert_close(padded, found[0])
