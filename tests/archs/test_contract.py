"""What every network must keep to: each one in the catalogue, and small ones that reach every branch."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tombola.core import catalogue
from tombola.core.errors import Refused, UnknownName
from tombola.core.layout import Arch, Interface, Layout, blank, initial_weights, shapes
from tombola.core.text import parse

EXAMPLES = [
    "mlp(hidden=())",
    "mlp(hidden=(12, 12, 12, 5), init='torch_default')",
    "conv(layers=2, width=4)",
    "conv(width=4, init='kaiming_uniform')",
    "conv(layers=6, width=4)",
    "resnet(depth=8, width=4)",
    "resnet(depth=14, width=4, shortcut='identity')",
    "resnet(depth=14, width=4, bn_affine='no')",
    "resnet(depth=20, width=3, bn_scale='uniform', init='kaiming_uniform')",
    "imagenet_resnet(depth=26, width=4, bn_scale='uniform')",
    "imagenet_resnet(depth=50, width=4)",
    "imagenet_resnet(depth=50, width=4, bn_affine='no')",
    "vgg(depth=11, width=4, linear=1)",
    "vgg(depth=16, width=4, linear=2, bn_scale='uniform')",
    "vgg(depth=19, width=4, linear=4)",
    "mobilenet(repeats=1, width=4)",
    "mobilenet(repeats=3, width=2, bn_scale='uniform', init='kaiming_uniform')",
    "vit(depth=1, width=8, heads=2, ratio=2, init='kaiming_normal')",
    "vit(patch=8, depth=3, width=12, heads=3, pool='token')",
    "vit(depth=2, width=8, heads=1, norm='after', init='kaiming_uniform')",
    "vit(patch=8, depth=2, width=8, heads=4, pool='token', norm='after')",
    "textcnn(width=6, channels=5, hidden=0, heights=(2, 3), init='kaiming_normal')",
    "textcnn(width=6, channels=5, hidden=7, padding='seen', around='own', dropped='pooled', unknown='zero')",
    "text_encoder(depth=3, width=8, heads=2, pool='first', norm='after', init='kaiming_uniform')",
]
DEFAULTS = [f"{e.name}()" for e in catalogue.entries("arch") if all(default for _, default in e.fields)]
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
Loaded = Callable[..., nn.Module]


@pytest.fixture(params=[*DEFAULTS, *EXAMPLES], scope="module")  # So that pytest runs all tests of a network in a row.
def arch(request: pytest.FixtureRequest) -> Arch:
    return parse("arch", request.param)


@pytest.fixture
def io(arch: Arch, images: Interface) -> Interface:
    """What a network reads: pictures, or texts of tokens."""
    try:
        arch.build(images)
    except Refused:
        return Interface(inputs=(16,), classes=7, tokens=30)
    return images


def inputs(io: Interface, batch: int = 3, seed: int = 0) -> Tensor:
    if io.tokens:  # Of several lengths, with padding behind them.
        rows = np.random.default_rng(seed).integers(1, io.tokens, size=(batch, *io.inputs))
        rows[np.arange(io.inputs[0]) >= io.inputs[0] - np.arange(batch)[:, None] % 5] = 0
        return torch.from_numpy(rows)
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(batch, *io.inputs)).astype(np.float32))


def parts(layout: Layout) -> list[str]:
    staged = [name for stage in layout.stages for name in (stage.entry, *stage.blocks) if name]
    return [*layout.stem, *staged, *layout.head]


def test_text_round_trip(arch: Arch):
    assert parse("arch", str(arch)) == arch


def test_parts_exist_are_disjoint_and_cover_everything(arch: Arch, io: Interface):
    net = blank(arch, io)
    for part in parts(arch.layout()):
        assert list(net.get_submodule(part).parameters()), part
    for name in net.state_dict():
        owners = [part for part in parts(arch.layout()) if name.startswith(f"{part}.")]
        assert len(owners) == 1, (name, owners)


def test_parts_stand_in_the_order_of_the_network(arch: Arch, io: Interface):
    names = [name for name, _ in blank(arch, io).named_modules()]
    positions = [names.index(part) for part in parts(arch.layout())]
    assert positions == sorted(positions)


def test_blocks_of_a_stage_are_alike(arch: Arch, io: Interface):
    state = shapes(blank(arch, io))
    for stage in arch.layout().stages:
        kinds = [{n.removeprefix(b): s for n, s in state.items() if n.startswith(f"{b}.")} for b in stage.blocks]
        assert all(kind == kinds[0] for kind in kinds)


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries("arch")])
def test_head_is_named_alike_in_a_family(name: str):
    family = [text for text in [*DEFAULTS, *EXAMPLES] if text.startswith(f"{name}(")]
    layouts = [parse("arch", text).layout() for text in family]
    heads = {(layout.head, tuple(n for n in layout.axes if n.startswith(layout.head))) for layout in layouts}
    assert len(heads) == 1


def test_prunable_is_every_conv_and_linear_weight_in_order(arch: Arch, io: Interface):
    """And what stands for tokens: most of the weights of a network of texts."""

    def counts(module: nn.Module) -> bool:
        return isinstance(module, WEIGHTED) or (isinstance(module, nn.Embedding) and module.num_embeddings == io.tokens)

    modules = blank(arch, io).named_modules()
    assert list(arch.layout().prunable) == [f"{name}.weight" for name, module in modules if counts(module)]


def test_axes_name_every_axis_of_every_entry(arch: Arch, io: Interface):
    state = {name: shape for name, shape in shapes(blank(arch, io)).items() if shape}
    axes = arch.layout().axes
    assert list(axes) == list(state)
    assert {name: len(groups) for name, groups in axes.items()} == {name: len(shape) for name, shape in state.items()}


def test_permutations_leave_the_function_alone(arch: Arch, io: Interface, loaded: Loaded):
    net = loaded(arch, io, statistics=True).double()
    x = inputs(io) if io.tokens else inputs(io).double()
    with torch.no_grad():
        before = net(x)
        permuted, groups = permute(net.state_dict(), arch.layout())
        net.load_state_dict(permuted)
        torch.testing.assert_close(net(x), before, rtol=1e-5, atol=1e-5)
    assert before.std() > 1e-3  # A dead network would pass whatever its layout says.
    for name in groups:
        single, _ = permute(permuted, arch.layout(), only=name)
        assert any(not torch.equal(single[n], permuted[n]) for n in single), name


def shuffled(rng: np.random.Generator, length: int) -> np.ndarray:
    """A random order that is not the given one, where there is another."""
    order = rng.permutation(length)
    return np.roll(order, 1) if (order == np.arange(length)).all() else order


def permute(state: dict[str, Tensor], layout: Layout, *, only: str = "") -> tuple[dict[str, Tensor], list[str]]:
    """The state under a random permutation of every group, or of one."""
    lengths: dict[str, int] = {}
    for name, groups in layout.axes.items():
        for group, length in zip(groups, state[name].shape, strict=True):
            if group and "+" not in group:
                lengths[group] = min(length, lengths.get(group, length))
    rng = np.random.default_rng(1)
    orders = {group: shuffled(rng, length) for group, length in lengths.items() if only in ("", group)}
    result = dict(state)
    for name, groups in layout.axes.items():
        for axis, group in enumerate(groups):
            sides = group.split("+") if group else []
            run, rest = divmod(state[name].shape[axis], sum(lengths[side] for side in sides) or 1)
            assert not sides or rest == 0, (name, group)
            parts = list(result[name].split([run * lengths[side] for side in sides], axis)) if sides else []
            for place, side in enumerate(sides):
                if side in orders:
                    index = (orders[side][:, None] * run + np.arange(run)).ravel()
                    parts[place] = parts[place].index_select(axis, torch.from_numpy(index))
            result[name] = torch.cat(parts, axis) if parts else result[name]
    return result, [group for group in orders if lengths[group] > 1]


def test_initial_weights_are_a_function_of_names(arch: Arch, io: Interface):
    first, again, other = (initial_weights(arch, io, "test", seed) for seed in (0, 0, 1))
    assert list(first) == list(shapes(blank(arch, io)))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in arch.layout().prunable)


def test_initial_weights_follow_their_scheme(arch: Arch, io: Interface):
    state, net = initial_weights(arch, io, "test", 0), blank(arch, io)
    for prefix, module in net.named_modules():
        if isinstance(module, WEIGHTED):
            weight = state[f"{prefix}.weight"].double()
            fan_in = weight[0].numel()
            variance = {"torch_default": 1 / (3 * fan_in)}.get(arch.init, 2 / fan_in)  # type: ignore[attr-defined]
            slack = 5 * (2 / weight.numel()) ** 0.5  # Five standard errors of a variance.
            assert abs(weight.square().mean() / variance - 1) < slack, prefix
            if arch.init == "kaiming_normal":  # type: ignore[attr-defined]
                if weight.numel() > 1000:
                    assert weight.abs().max() > 2.5 * variance**0.5, prefix  # A uniform of this variance ends at 1.7.
            else:
                assert weight.abs().max() <= (3 * variance) ** 0.5 * (1 + 1e-6), prefix
            if module.bias is not None:
                bias = state[f"{prefix}.bias"]
                assert bias.abs().max() <= fan_in**-0.5 and bias.unique().numel() > len(bias) // 2, prefix


def test_initial_batch_norm(arch: Arch, io: Interface):
    state, net = initial_weights(arch, io, "test", 0), blank(arch, io)
    for prefix, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert state[f"{prefix}.running_mean"].eq(0).all() and state[f"{prefix}.running_var"].eq(1).all()
            assert state[f"{prefix}.num_batches_tracked"].item() == 0
            if module.affine:
                scale = state[f"{prefix}.weight"]
                assert state[f"{prefix}.bias"].eq(0).all()
                if arch.bn_scale == "one":  # type: ignore[attr-defined]
                    assert scale.eq(1).all()
                else:
                    assert scale.min() >= 0 and scale.max() < 1 and scale.unique().numel() > len(scale) // 2


def test_everything_is_in_the_state_dict(arch: Arch, io: Interface, loaded: Loaded):
    net = loaded(arch, io)
    tensors = [*net.named_parameters(), *net.named_buffers()]
    assert {name for name, _ in tensors} == set(net.state_dict())
    assert not any(value.is_meta for _, value in tensors)


def test_meta_and_real_modules_are_alike(arch: Arch, io: Interface):
    real = arch.build(io)
    assert shapes(real) == shapes(blank(arch, io))
    assert not any(value.is_meta for value in real.state_dict().values())


def test_outputs(arch: Arch, io: Interface, loaded: Loaded):
    net, x = loaded(arch, io), inputs(io)
    with torch.no_grad():
        out = net(x)
        assert out.shape == (3, io.classes) and out.isfinite().all()
        torch.testing.assert_close(net(x[:1]), out[:1], rtol=1e-4, atol=1e-4)
        assert torch.equal(copy.deepcopy(net)(x), out)
        if io.tokens:
            return
        last = copy.deepcopy(net).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(last(x.contiguous(memory_format=torch.channels_last)), out, rtol=1e-3, atol=1e-4)


def test_every_parameter_learns(arch: Arch, io: Interface, loaded: Loaded):
    net = loaded(arch, io)  # In eval mode: in train mode batch norm takes away the bias before it.
    F.cross_entropy(net(inputs(io, batch=8)), torch.arange(8) % io.classes).backward()
    for name, value in net.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.abs().max() > 0, name


def test_train_mode_moves_statistics(arch: Arch, io: Interface, loaded: Loaded):
    net = loaded(arch, io).train()
    assert net(inputs(io)).isfinite().all()
    for name, value in net.named_buffers():
        assert value.eq(1).all() if name.endswith("num_batches_tracked") else not value.unique().numel() == 1, name


def test_asking_for_initial_weights_draws_from_no_global_generator(arch: Arch, io: Interface):
    before = torch.get_rng_state()
    initial_weights(arch, io, "test", 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("text", [EXAMPLES[1], EXAMPLES[2], EXAMPLES[6], EXAMPLES[12], EXAMPLES[16], EXAMPLES[18]])
def test_compiles_as_one_graph(text: str, images: Interface, loaded: Loaded):
    net, x = loaded(parse("arch", text), images), inputs(images)
    torch._dynamo.reset()
    with torch.no_grad():
        assert torch.equal(torch.compile(net, backend="eager", fullgraph=True)(x), net(x))


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries("arch")])
def test_unknown_field(name: str):
    with pytest.raises(UnknownName, match="no field of .* called 'colour'"):
        parse("arch", f"{name}(colour=1)")


@pytest.mark.parametrize("shape, classes", [((0, 0, 16), 10), ((3, -1, 16), 10), ((3, 16, 16), 0)])
def test_meaningless_interfaces(arch: Arch, io: Interface, shape: tuple[int, ...], classes: int):
    with pytest.raises(Refused, match="empty|number of classes|nothing would be left|filters of"):
        blank(arch, dataclasses.replace(io, inputs=shape[-2:-1] if io.tokens else shape, classes=classes))
