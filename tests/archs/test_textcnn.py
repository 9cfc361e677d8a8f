"""The text CNN against the paper's counts, and against a forward pass written out text by text."""

import math

import pytest
import torch
from torch import nn

from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Refused
from tombola.core.layout import Interface, blank, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.noise import dropouts, stir
from tombola.core.seeds import Seeds
from tombola.core.text import parse
from tombola.prune import PerLayer, prune
from tombola.train.flops import forward_of

PAPER = Interface(inputs=(500,), classes=2, tokens=8000)
SMALL = Interface(inputs=(12,), classes=3, tokens=20)
# Desai et al. 2019: what is left after each round that prunes 35 % of the living weights of every tensor, biases too.
LEFT = (
    *(2_610_939, 1_697_116, 1_103_132, 717_042, 466_082, 302_960, 196_930, 128_010, 83_211, 54_091),
    *(35_162, 22_862, 14_867, 9_669, 6_292, 4_096, 2_669, 1_741, 1_137, 746),
)


def made(arch: TextCnn, io: Interface = SMALL) -> nn.Module:
    net = blank(arch, io)
    net.load_state_dict({n: v.double() for n, v in initial_weights(arch, io, "test", 0).items()}, assign=True)
    return net.eval()


def test_counts_of_the_paper(count):
    total, prunable = count("textcnn()", PAPER)
    assert total == 4_016_819
    assert prunable == total - 3 * 127 - 117 - 2
    sizes = {n: v.numel() for n, v in blank(TextCnn(), PAPER).named_parameters()}
    assert sizes["stem.weight"] == 3_336_000 and sizes["stages.1.0.weight"] == 44_577 and sizes["head.weight"] == 234
    assert [sizes[f"stages.0.{i}.weight"] for i in range(3)] == [158_877, 211_836, 264_795]


def test_densities_of_the_paper_to_the_weight():
    """Twenty rounds on every tensor, biases and embedding too, with the rule that keeps ceil(0.65 n)."""
    shapes = {name: tuple(value.shape) for name, value in blank(TextCnn(), PAPER).named_parameters()}
    mask, scope, found = Mask.dense(shapes), PerLayer(rounding="floor", tensors="all"), list[int]()
    scores = {name: torch.arange(math.prod(shape), dtype=torch.float32).view(shape) for name, shape in shapes.items()}
    for _ in LEFT:
        smaller = prune(mask, scores, keep=0.65, scope=scope)
        assert smaller <= mask
        mask = smaller
        found.append(mask.kept)
    assert tuple(found) == LEFT
    last = [mask.kept_in(name) for name in mask]
    assert sorted(last) == sorted([606, 30, 39, 49, 10, 2, *[2] * 5])


@pytest.mark.parametrize("around", ["none", "own"])
@pytest.mark.parametrize("hidden", [0, 4])
def test_a_text_at_a_time(around: str, hidden: int):
    """Only places where the filter lies on the text count: each text is worked out alone, without padding."""
    arch = TextCnn(width=5, channels=3, heights=(2, 3), hidden=hidden, around=around)  # type: ignore[arg-type]
    net = made(arch)
    state = dict(net.state_dict())
    texts = [[3, 4, 5, 6, 7, 8], [9], [2, 2], [1, 19, 4]]
    rows = torch.tensor([text + [0] * (8 - len(text)) for text in texts])
    for text, row in zip(texts, net(rows), strict=True):
        pooled = []
        for number, height in enumerate(arch.heights):
            vectors = [state["stem.weight"][token] for token in text]
            room = [torch.zeros(5, dtype=torch.float64)] * (height - 1 if around == "own" else 0)
            vectors = [*room, *vectors, *room]
            vectors += [torch.zeros(5, dtype=torch.float64)] * (height - len(vectors))
            weight, bias = state[f"stages.0.{number}.weight"], state[f"stages.0.{number}.bias"]
            answers = []
            for at in range(len(vectors) - height + 1):
                window = torch.stack(vectors[at : at + height], 1)
                answers.append(((weight * window).sum((1, 2)) + bias).clamp(min=0))
            pooled.append(torch.stack(answers).amax(0))
        x = torch.cat(pooled)
        if hidden:
            x = (state["stages.1.0.weight"] @ x + state["stages.1.0.bias"]).clamp(min=0)
        torch.testing.assert_close(row, state["head.weight"] @ x + state["head.bias"])


def test_padding_changes_answers_only_where_it_is_seen():
    rows = torch.tensor([[3, 4, 5, 6, 0, 0]])
    longer = torch.tensor([[3, 4, 5, 6, 0, 0, 0, 0, 0, 0]])
    masked, seen = (made(TextCnn(width=5, channels=30, padding=padding)) for padding in ("masked", "seen"))
    torch.testing.assert_close(masked(rows), masked(longer))
    assert not torch.allclose(
        seen(rows), seen(torch.tensor([[3, 4, 5, 6]] + [])) if rows.shape[1] < 5 else seen(longer[:, :5])
    )
    assert masked.stem.weight[0].eq(0).all() and not seen.stem.weight[0].eq(0).any()


def test_padding_stays_zero_in_training():
    net = made(TextCnn(width=5, channels=3, heights=(2,)))
    net(torch.tensor([[3, 0, 0], [4, 5, 6]])).sum().backward()
    gradient = net.stem.weight.grad
    assert gradient is not None and gradient[0].eq(0).all() and gradient[3].ne(0).any()


def test_initial_values():
    state = initial_weights(TextCnn(), PAPER, "test", 1)
    table = state["stem.weight"]
    assert table[0].eq(0).all() and abs(float(table[1:].std()) - 1) < 0.01 and abs(float(table[1:].mean())) < 0.01
    assert state["stages.0.0.weight"].abs().max() <= (417 * 3) ** -0.5 and table[1].ne(0).all()
    unknown = initial_weights(TextCnn(unknown="zero"), PAPER, "test", 1)["stem.weight"]
    assert unknown[1].eq(0).all() and unknown[2].ne(0).all()


def test_dropout_is_a_function_of_the_step():
    arch = TextCnn(width=5, channels=3)
    net, rows = made(arch).train(), torch.randint(1, 20, (4, 9), generator=torch.Generator().manual_seed(0))
    layers, seeds = dropouts(net), Seeds(3)
    assert len(layers) == 1
    plain = net(rows)
    torch.testing.assert_close(plain, net.eval()(rows))  # Nobody has named the noise.
    net.train()
    found = []
    for step in (0, 1, 0):
        stir(layers, seeds, step)
        found.append(net(rows))
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1]) and not torch.equal(found[0], plain)
    stir(layers, Seeds(3, data=9), 0)
    assert torch.equal(net(rows), found[0])  # Noise is of the stream "augment".
    stir(layers, Seeds(3, augment=9), 0)
    assert not torch.equal(net(rows), found[0])


def test_dropout_keeps_its_share_and_its_mean():
    net = TextCnn(dropout=0.285).build(PAPER).train()
    layer = dropouts(net)[0]
    stir([layer], Seeds(0), 0)
    out = layer(torch.ones(200_000))
    assert abs(float(out.eq(0).double().mean()) - 0.285) < 0.005 and abs(float(out.mean()) - 1) < 0.01
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.715])


def test_operations_of_a_text():
    counted = dict(forward_of(TextCnn(), PAPER))
    assert counted["stages.0.0.weight"] == 2 * 498 * 127 * 417 * 3 and counted["head.weight"] == 2 * 117 * 2
    assert "stem.weight" not in counted


@pytest.mark.parametrize(
    ("text", "io", "message"),
    [
        ("textcnn()", Interface(inputs=(3, 8, 8), classes=2), "reads texts, as rows of token numbers"),
        ("textcnn()", Interface(inputs=(4,), classes=2, tokens=9), "filters of 5 tokens; these texts have at most 4"),
        ("mlp()", SMALL, "reads inputs that are numbers; tokens are names of words"),
        ("text_encoder()", Interface(inputs=(3, 8, 8), classes=2), "reads texts"),
    ],
)
def test_inputs_of_another_kind(text: str, io: Interface, message: str):
    with pytest.raises(Refused, match=message):
        dense_mask(parse("arch", text), io)


@pytest.mark.parametrize(
    "text", ["textcnn(dropout=1.0)", "textcnn(heights=())", "textcnn(channels=0)", "textcnn(hidden=-1)"]
)
def test_fields_that_mean_nothing(text: str):
    with pytest.raises(Refused):
        parse("arch", text)
