"""The text encoder: counts by hand, and padding that nobody sees."""

import pytest
import torch

from tombola.archs.text_encoder import TextEncoder
from tombola.core.errors import Refused
from tombola.core.layout import Interface, blank, initial_weights
from tombola.core.text import parse

IO = Interface(inputs=(16,), classes=3, tokens=50)


def made(arch: TextEncoder) -> torch.nn.Module:
    net = blank(arch, IO)
    state = initial_weights(arch, IO, "test", 0)
    net.load_state_dict({name: value.double() for name, value in state.items()}, assign=True)
    return net.eval()


def test_counts_by_hand(count):
    width, hidden = 64, 256
    block = 4 * (width * width + width) + width * hidden + hidden + hidden * width + width + 4 * width
    total = 50 * width + 16 * width + 2 * block + 2 * width + width * 3 + 3
    assert count("text_encoder()", IO)[0] == total
    assert count("text_encoder()", IO)[1] == 50 * width + 2 * (4 * width * width + 2 * width * hidden) + width * 3


@pytest.mark.parametrize("pool", ["mean", "first"])
@pytest.mark.parametrize("norm", ["before", "after"])
def test_padding_changes_no_answer(pool: str, norm: str):
    net = made(TextEncoder(width=8, heads=2, pool=pool, norm=norm))  # type: ignore[arg-type]
    text = torch.tensor([[4, 9, 2, 33]])
    alone = net(text)
    padded = net(torch.tensor([[4, 9, 2, 33, 0, 0, 0], [5, 6, 7, 8, 9, 10, 11]]))
    torch.testing.assert_close(padded[:1], alone)
    assert not torch.allclose(alone, net(torch.tensor([[4, 9, 2, 34]])))
    assert not torch.allclose(alone, net(torch.tensor([[9, 4, 2, 33]])))  # It knows their order.


def test_a_text_of_nothing_has_an_answer():
    net = made(TextEncoder(width=8, heads=2))
    nothing = net(torch.tensor([[0, 0, 0]]))
    assert nothing.isfinite().all()
    torch.testing.assert_close(nothing, net(torch.tensor([[0]])))


def test_heads_that_do_not_divide():
    with pytest.raises(Refused, match="5 heads cannot share a width of 64 evenly"):
        parse("arch", "text_encoder(heads=5)")
