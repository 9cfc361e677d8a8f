import dataclasses

import pytest
import torch
from torch import nn

from tombola.archs.vit import ViT
from tombola.core.errors import Refused
from tombola.core.layout import Interface, Stage, blank, dense_mask, initial_weights
from tombola.core.seeds import Seeds, numbers
from tombola.core.text import parse
from tombola.tasks.digits import Digits
from tombola.train.examples import Examples
from tombola.train.flops import forward_of
from tombola.train.linear import flow
from tombola.train.network import Network
from tombola.train.recipe import Recipe
from tombola.train.wiring import read

CIFAR = Interface(inputs=(3, 32, 32), classes=10)
LARGE = Interface(inputs=(3, 224, 224), classes=1000)
PIXELS = Interface(inputs=(3, 8, 12), classes=5)
ORDERS = pytest.mark.parametrize("norm", ["before", "after"])
POOLS = pytest.mark.parametrize("pool", ["mean", "token"])


def varied(arch: ViT, io: Interface) -> nn.Module:
    """The network in float64, with scales, shifts, positions and a token that are large enough to be seen."""
    net, state = blank(arch, io), initial_weights(arch, io, "varied", 0)
    for name, value in state.items():
        if value.dim() == 1 or "token" in name or "position" in name:
            state[name] = torch.from_numpy(numbers("varied", name).normal(size=tuple(value.shape)))
    net.load_state_dict({name: value.double() for name, value in state.items()}, assign=True)
    return net


def images(io: Interface, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(numbers("images").normal(size=(count, *io.inputs)))


@pytest.mark.parametrize(  # Touvron et al. 2021, table 1, and Dosovitskiy et al. 2021, table 1: 5, 22 and 86 million.
    "width, heads, total", [(192, 3, 5_717_416), (384, 6, 22_050_664), (768, 12, 86_567_656)]
)
def test_published_counts(count, width, heads, total):
    assert count(f"vit(patch=16, depth=12, width={width}, heads={heads}, pool='token')", LARGE)[0] == total


@POOLS
def test_counts_by_hand(count, pool):
    width, hidden, patches = 64, 256, 64
    block = 4 * width * width + 2 * width * hidden
    weights = 3 * 4 * 4 * width + 6 * block + width * 10
    learned = width * (patches + 2 * (pool == "token"))
    biases = width + 6 * (4 * width + hidden + width) + 10
    norms = 2 * width * (6 * 2 + 1)
    assert count(f"vit(pool='{pool}')", CIFAR) == (weights + learned + biases + norms, weights)


@ORDERS
@POOLS
def test_forward_against_the_encoder_of_torch(norm, pool):
    """Patches are cut out by hand, blocks are those of torch with the same weights."""
    arch = ViT(depth=3, width=12, heads=3, ratio=2, norm=norm, pool=pool, init="kaiming_normal")
    net, x = varied(arch, PIXELS), images(PIXELS)
    p = net.state_dict()
    kernel = p["stem.patch.weight"].flatten(1)
    cut = [
        x[:, :, i : i + 4, j : j + 4].flatten(1) @ kernel.T + p["stem.patch.bias"] for i in (0, 4) for j in (0, 4, 8)
    ]
    y = torch.stack([*([p["stem.token.weight"].expand(2, -1)] if pool == "token" else []), *cut], 1)
    y = y + p["stem.position.weight"]
    for j in range(3):
        at = f"stages.0.{j}"
        block = nn.TransformerEncoderLayer(
            12,
            3,
            24,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=norm == "before",
            dtype=torch.float64,
        )
        names = {"self_attn.out_proj": "out", "linear1": "up", "linear2": "down", "norm1": "norm1", "norm2": "norm2"}
        own = {f"{n}.{e}": p[f"{at}.{mine}.{e}"] for n, mine in names.items() for e in ("weight", "bias")}
        for e in ("weight", "bias"):
            own[f"self_attn.in_proj_{e}"] = torch.cat([p[f"{at}.{n}.{e}"] for n in ("query", "key", "value")])
        block.load_state_dict(own)
        y = block(y)
    y = y[:, 0] if pool == "token" else y.sum(1) / 6
    y = (y - y.mean(1, keepdim=True)) / (y.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    y = y * p["norm.weight"] + p["norm.bias"]
    expected = y @ p["head.weight"].T + p["head.bias"]
    torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)
    assert expected.std(0).max() > 1e-3


def test_the_orders_differ():
    a, b = (varied(ViT(depth=1, width=8, heads=2, norm=norm), PIXELS) for norm in ("before", "after"))
    b.load_state_dict(a.state_dict())
    assert (a(images(PIXELS)) - b(images(PIXELS))).abs().max() > 0.1


@pytest.mark.parametrize("depth", [1, 2, 12])
def test_all_blocks_are_one_stage_without_an_entry(depth):
    layout = ViT(depth=depth, pool="token").layout()
    assert layout.stages == (Stage("", tuple(f"stages.0.{j}" for j in range(depth))),)
    assert layout.stem == ("stem",) and layout.head == ("norm", "head")
    assert len(layout.prunable) == 2 + 6 * depth
    assert not any("token" in name or "position" in name for name in layout.prunable)


def test_one_stream_and_the_insides_of_the_mlps():
    axes = ViT(depth=2, pool="token").layout().axes
    assert axes["stem.patch.weight"] == ("stem", "", "", "")
    assert axes["stem.position.weight"] == axes["stem.token.weight"] == ("", "stem")
    assert axes["stages.0.1.query.weight"] == axes["stages.0.1.value.weight"] == ("", "stem")
    assert axes["stages.0.1.out.weight"] == ("stem", "") and axes["stages.0.1.key.bias"] == ("",)
    assert axes["stages.0.0.up.weight"] == ("stages.0.0.up", "stem")
    assert axes["stages.0.0.down.weight"] == ("stem", "stages.0.0.up")
    assert axes["norm.weight"] == ("stem",) and axes["head.weight"] == ("", "stem")


@pytest.mark.parametrize("order, kept", [([1, 0, 2, 3], True), ([2, 3, 0, 1], True), ([2, 1, 0, 3], False)])
def test_why_the_insides_of_attention_have_no_permutation(order, kept):
    """Two heads of two units: units move only within a head, or with their whole head."""
    net, x = varied(ViT(depth=1, width=4, heads=2), PIXELS), images(PIXELS)
    before, state = net(x), net.state_dict()
    for name in ("query", "key", "value"):
        for entry in ("weight", "bias"):
            state[f"stages.0.0.{name}.{entry}"] = state[f"stages.0.0.{name}.{entry}"][order]
    state["stages.0.0.out.weight"] = state["stages.0.0.out.weight"][:, order]
    net.load_state_dict(state)
    assert torch.allclose(net(x), before, rtol=1e-9, atol=1e-9) == kept


def test_the_bias_of_the_keys_changes_nothing():
    net, x = varied(ViT(depth=2, width=8, heads=2), PIXELS), images(PIXELS)
    before = net(x)
    with torch.no_grad():
        net.get_parameter("stages.0.0.key.bias").add_(3.0)
        torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)
        net.get_parameter("stages.0.0.query.bias").add_(3.0)
        assert (net(x) - before).abs().max() > 1e-3


@POOLS
def test_only_positions_tell_where_a_patch_was(pool):
    net, x = varied(ViT(depth=2, width=8, heads=2, pool=pool), PIXELS), images(PIXELS)
    moved = torch.cat([x[..., 4:8], x[..., :4], x[..., 8:]], 3)
    with torch.no_grad():
        assert (net(moved) - net(x)).abs().max() > 1e-3
        net.get_parameter("stem.position.weight").zero_()
        torch.testing.assert_close(net(moved), net(x), rtol=1e-9, atol=1e-9)


def test_initial_values_of_norms_and_tables():
    arch, io = ViT(width=64, pool="token", init="kaiming_normal"), Interface(inputs=(3, 64, 64), classes=10)
    state = initial_weights(arch, io, "init", 0)
    assert all(state[n].eq(1).all() for n in state if "norm" in n and n.endswith("weight"))
    assert all(state[n].eq(0).all() for n in state if "norm" in n and n.endswith("bias"))
    table, token = state["stem.position.weight"], state["stem.token.weight"]
    assert table.shape == (257, 64) and table.dtype == torch.float32
    assert float(table.double().std()) == pytest.approx(0.02, rel=0.03) and abs(float(table.mean())) < 0.001
    assert table.abs().max() > 0.06  # A uniform of this deviation ends at 0.035.
    assert float(token.std()) == pytest.approx(0.02, rel=0.4)
    assert not torch.equal(token[0], table[0])


def test_a_pass_counts_every_patch():
    """Linear layers act once for each position; what attention multiplies has no weights, and does not count."""
    layers = dict(forward_of(ViT(depth=1, width=8, heads=2, pool="token"), PIXELS))
    assert layers["stem.patch.weight"] == 2 * 6 * 8 * 3 * 16
    assert layers["stages.0.0.query.weight"] == 2 * 7 * 8 * 8 and layers["stages.0.0.up.weight"] == 2 * 7 * 8 * 32
    assert layers["head.weight"] == 2 * 8 * 5


def scored(arch: ViT) -> Network:
    task = Digits()
    examples = Examples(task, Recipe(steps=1, batch=10), Seeds(), torch.device("cpu"))
    state = {name: value.double() for name, value in initial_weights(arch, task.io, "scored", 0).items()}
    return Network(state, dense_mask(arch, task.io), arch, task.io, examples=examples)


@ORDERS
def test_second_derivatives_against_differences_of_the_first(norm):
    net = scored(ViT(depth=2, width=4, heads=2, ratio=2, norm=norm))
    along = {n: torch.from_numpy(numbers("along", n).normal(size=tuple(net.mask[n].shape))) for n in net.mask}

    def gradients(step: float) -> dict[str, torch.Tensor]:
        moved = {name: value + step * along[name] if name in along else value for name, value in net.state.items()}
        return dataclasses.replace(net, state=moved).gradients()

    found, ahead, behind = net.curvature(along), gradients(1e-6), gradients(-1e-6)
    for name, value in found.items():
        torch.testing.assert_close(value, (ahead[name] - behind[name]) / 2e-6, rtol=1e-5, atol=1e-7)
        assert value.abs().max() > 1e-6, name


def test_inputs_of_a_layer_are_summed_over_positions():
    net = scored(ViT(depth=1, width=4, heads=2, ratio=2))
    module, seen = net.arch.build(net.io).double(), []
    module.load_state_dict(net.state)
    module.get_submodule("stages.0.0.down").register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    (given, _), *_ = net.examples.batches(1, 0)
    module(given.double())
    expected = torch.stack([position**2 for example in seen[0] for position in example]).sum(0).sqrt()
    torch.testing.assert_close(net.inputs()["stages.0.0.down.weight"], expected.expand(4, 8))


@ORDERS
@POOLS
@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 4, 4)])
def test_flow_and_wiring_are_refused(norm, pool, shape):
    """On one patch too, where attention is linear."""
    arch, io = ViT(depth=1, width=8, heads=2, norm=norm, pool=pool), Interface(inputs=shape, classes=3)
    state = initial_weights(arch, io, "flow", 0)
    weights = {name: state[name].double().abs() for name in arch.layout().prunable}
    with pytest.raises(Refused, match="not linear for positive .*norms or attention are of another kind.*magnitude"):
        flow(arch, io, state, weights)
    with pytest.raises(Refused, match="keeps them apart, which attention and layer norm do not. Use .*magnitude, snip"):
        read(blank(arch, io), io, arch.layout().prunable)


@pytest.mark.parametrize(
    "text, message",
    [
        ("vit(patch=0)", "'patch' is 0. It must be between 1 and 65,536"),
        ("vit(depth=0)", "'depth' is 0"),
        ("vit(depth=1001)", "'depth' is 1,001. It must be between 1 and 1,000"),
        ("vit(width=0)", "'width' is 0"),
        ("vit(heads=0)", "'heads' is 0"),
        ("vit(ratio=0)", "'ratio' is 0"),
        ("vit(width=64, heads=5)", "5 heads cannot share a width of 64 evenly.* e.g. heads=4"),
        ("vit(width=12, heads=24)", "24 heads cannot share a width of 12 evenly.* e.g. heads=12"),
        ("vit(pool=max)", "must be one of: 'mean', 'token'"),
        ("vit(norm=none)", "must be one of: 'before', 'after'"),
    ],
)
def test_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse("arch", text)


@pytest.mark.parametrize("shape", [(3, 30, 32), (3, 32, 30), (3, 2, 2)])
def test_patches_must_cover_the_image(shape):
    with pytest.raises(
        Refused, match=r"vit\(\) cuts .* patches of 4x4 pixels, and .* whole number.*divides both sides"
    ):
        ViT().build(Interface(inputs=shape, classes=10))


def test_other_inputs_are_refused():
    with pytest.raises(Refused, match=r"vit\(\) takes images of shape \(channels, height, width\)"):
        ViT().build(Interface(inputs=(48,), classes=10))


def test_too_many_parameters():
    with pytest.raises(Refused, match="parameters"):
        ViT(width=65_536).build(CIFAR)
    with pytest.raises(Refused, match="parameters"):
        ViT(patch=1, width=4096).build(Interface(inputs=(1, 1000, 1000), classes=2))


def test_the_deepest_is_described(count):
    total, weights = count("vit(depth=1000, width=4, heads=1)", CIFAR)
    assert len(ViT(depth=1000).layout().prunable) == 6002 and total > weights > 0
