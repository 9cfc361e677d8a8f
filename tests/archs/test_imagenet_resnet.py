import pytest
import torch

from tombola.archs.imagenet_resnet import ImageNetResNet
from tombola.core.errors import Refused
from tombola.core.layout import Interface
from tombola.core.text import parse

IMAGENET = Interface(inputs=(3, 224, 224), classes=1000)


@pytest.mark.parametrize(  # Chen et al. 2021, section 3.2; ResNet-50 as in torchvision.
    "depth, total, weights",
    [
        (18, 11_689_512, 11_678_912),
        (26, 19_066_920, 19_051_712),
        (34, 21_797_672, 21_779_648),
        (50, 25_557_032, 25_502_912),
    ],
)
def test_counts(count, depth, total, weights):
    assert count(f"imagenet_resnet(depth={depth})", IMAGENET) == (total, weights)


@pytest.mark.parametrize("depth, blocks", [(18, (1, 1, 1, 1)), (26, (1, 2, 3, 2)), (34, (2, 3, 5, 2))])
def test_stages(depth, blocks):
    stages = ImageNetResNet(depth=depth).layout().stages
    assert tuple(len(stage.blocks) for stage in stages) == blocks
    assert [stage.entry for stage in stages] == [f"stages.{i}.0" for i in range(4)]


def test_the_stem_has_a_stream_of_its_own_before_bottlenecks():
    basic, bottleneck = ImageNetResNet(depth=18).layout().axes, ImageNetResNet(depth=50).layout().axes
    assert basic["stem.conv.weight"][0] == "stages.0" and "stages.0.0.shortcut.conv.weight" not in basic
    assert bottleneck["stem.conv.weight"][0] == "stem"
    assert bottleneck["stages.0.0.conv1.weight"][:2] == ("stages.0.0.conv1", "stem")
    assert bottleneck["stages.0.0.shortcut.conv.weight"][:2] == ("stages.0", "stem")
    assert bottleneck["stages.0.1.conv1.weight"][:2] == ("stages.0.1.conv1", "stages.0")
    assert bottleneck["stages.0.1.conv3.weight"][:2] == ("stages.0", "stages.0.1.conv2")


@pytest.mark.parametrize("depth", [18, 50])
def test_strides(loaded, depth):
    net = loaded(ImageNetResNet(depth=depth, width=2), IMAGENET)
    sizes = []
    for stage in [net.stem, *net.stages]:
        stage.register_forward_hook(lambda _module, _inputs, out: sizes.append(out.shape[-1]))
    net(torch.zeros(1, 3, 224, 224))
    assert sizes == [56, 56, 28, 14, 7]
    strides = {n: m.stride[0] for n, m in net.named_modules() if isinstance(m, torch.nn.Conv2d) and m.stride[0] > 1}
    inside = "conv1" if depth == 18 else "conv2"
    expected = ["stem.conv", *(f"stages.{i}.0.{k}" for i in (1, 2, 3) for k in (inside, "shortcut.conv"))]
    assert strides == dict.fromkeys(expected, 2)


def test_relu_after_pooling_is_relu_before_pooling(loaded):
    stem = loaded(ImageNetResNet(width=4), IMAGENET, statistics=True).stem
    x = torch.linspace(-1, 1, 3 * 32 * 32).sin().view(1, 3, 32, 32)
    before = torch.nn.functional.max_pool2d(stem.bn(stem.conv(x)).relu(), 3, 2, 1)
    assert torch.equal(stem(x).relu(), before) and before.std() > 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 33, 65), (3, 64, 64)])
def test_input_sizes(loaded, shape):
    io = Interface(inputs=shape, classes=5)
    assert loaded(ImageNetResNet(width=2), io)(torch.zeros(2, *shape)).shape == (2, 5)


@pytest.mark.parametrize(
    "text, message",
    [
        ("imagenet_resnet(depth=20)", "must be one of: 18, 26, 34, 50"),
        ("imagenet_resnet(width=0)", "'width' is 0"),
        ("imagenet_resnet(bn_affine='no', bn_scale='uniform')", "has no meaning without scales"),
    ],
)
def test_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse("arch", text)


def test_too_many_parameters():
    with pytest.raises(Refused, match="parameters"):
        ImageNetResNet(width=65_536).build(IMAGENET)
