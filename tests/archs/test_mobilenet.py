import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tombola.archs.mobilenet import MobileNet
from tombola.core.errors import Refused
from tombola.core.layout import Interface, Joint, Stage, blank, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.criteria.phew import Phew
from tombola.probes.connectivity import connectivity
from tombola.train.linear import flow
from tombola.train.network import Network
from tombola.train.wiring import read

CIFAR = Interface(inputs=(3, 32, 32), classes=10)
TINY = Interface(inputs=(2, 4, 4), classes=3)


@pytest.mark.parametrize(  # Chen et al. 2021, by their code: 2.68, 3.22 and 4.56 million.
    "repeats, total", [(3, 2_679_626), (5, 3_217_226), (10, 4_561_226)]
)
def test_counts(count, repeats, total):
    chain = [32, 64, 128, 128, 256, 256, 512, *[512] * repeats, 1024, 1024]
    pairs = list(zip(chain[:-1], chain[1:], strict=True))
    weights = 27 * 32 + sum(9 * into + into * out for into, out in pairs) + 10 * 1024
    norms = 2 * (32 + sum(into + out for into, out in pairs))
    assert total == weights + norms + 10
    assert count(f"mobilenet(repeats={repeats})", CIFAR) == (total, weights)
    assert len(MobileNet(repeats=repeats).layout().prunable) == 2 * len(pairs) + 2


def test_a_thousand_classes_give_the_published_count(count):
    assert count("mobilenet()", Interface(inputs=(3, 224, 224), classes=1000))[0] == 4_231_976  # Howard: 4.2 million.


@pytest.mark.parametrize("repeats", [1, 3, 10])
def test_stages(repeats):
    stages = MobileNet(repeats=repeats).layout().stages
    assert stages == (
        Stage("stages.0.0"),
        Stage("stages.1.0", ("stages.1.1",)),
        Stage("stages.2.0", ("stages.2.1",)),
        Stage("stages.3.0"),
        Stage("", tuple(f"stages.4.{j}" for j in range(repeats))),
        Stage("stages.5.0", ("stages.5.1",)),
    )


def test_a_depthwise_convolution_is_permuted_like_its_input():
    axes = MobileNet(repeats=2).layout().axes
    assert axes["stem.conv.weight"] == ("stem", "", "", "")
    assert axes["stages.0.0.depthwise.weight"] == ("stem", "", "", "") and axes["stages.0.0.bn1.bias"] == ("stem",)
    assert axes["stages.4.0.pointwise.weight"] == ("stages.4.0", "stages.3.0", "", "")
    assert axes["stages.4.1.depthwise.weight"] == ("stages.4.0", "", "", "")
    assert axes["stages.5.0.bn2.running_var"] == ("stages.5.0",) and axes["head.weight"] == ("", "stages.5.1")


def test_forward_against_a_plain_calculation(loaded):
    """Depthwise convolutions as whole ones whose kernels between different channels are zero."""
    net = loaded(MobileNet(repeats=2, width=2), CIFAR, statistics=True)
    p, x = net.state_dict(), torch.linspace(-1, 1, 2 * 3 * 32 * 32).sin().view(2, 3, 32, 32)
    expected = net(x)

    def norm(x, name):
        return F.batch_norm(x, *(p[f"{name}.{e}"] for e in ("running_mean", "running_var", "weight", "bias"))).relu()

    x = norm(F.conv2d(x, p["stem.conv.weight"], padding=1), "stem.bn")
    sizes = []
    for i, strides in enumerate([[1], [2, 1], [2, 1], [2], [1, 1], [2, 1]]):
        for j, stride in enumerate(strides):
            at = f"stages.{i}.{j}"
            own = p[f"{at}.depthwise.weight"][:, 0]
            whole = torch.diag_embed(own.permute(1, 2, 0)).permute(2, 3, 0, 1)
            x = norm(F.conv2d(x, whole, padding=1, stride=stride), f"{at}.bn1")
            x = norm(torch.einsum("oi,bihw->bohw", p[f"{at}.pointwise.weight"][:, :, 0, 0], x), f"{at}.bn2")
            sizes.append((x.shape[1], x.shape[2]))
    assert sizes == [(4, 32), (8, 16), (8, 16), (16, 8), (16, 8), (32, 4), (32, 4), (32, 4), (64, 2), (64, 2)]
    torch.testing.assert_close(expected, x.mean((2, 3)) @ p["head.weight"].T + p["head.bias"])
    assert expected.std() > 1e-3


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 9, 15), (2, 1, 1)])
def test_input_sizes(loaded, shape):
    io = Interface(inputs=shape, classes=10)
    assert loaded(MobileNet(repeats=1, width=2), io)(torch.zeros(2, *shape)).shape == (2, 10)


def test_the_wiring_is_a_chain_in_which_depthwise_convolutions_have_a_group_for_each_channel():
    arch = MobileNet(repeats=2, width=2)
    names = arch.layout().prunable
    found = read(blank(arch, TINY), TINY, names)
    channels = dict(zip(names, [2, *np.repeat([2, 4, 8, 8, 16, 16, 32, 32, 32, 64, 64], 2)[1:-1], 0], strict=True))
    sources = ("", *names[:-1])
    groups = [channels[source] if "depthwise" in name else 1 for name, source in zip(names, sources, strict=True)]
    assert found.joints == tuple(
        Joint(name, (source,), (1,), (0,), groups=group)
        for name, source, group in zip(names, sources, groups, strict=True)
    )
    assert found.outputs == ("head.weight",) and found.inputs == 2


@pytest.mark.parametrize("norm", ["scale", "identity"])
def test_the_flow_in_loops(norm):
    arch = MobileNet(repeats=2, width=1, bn_scale="uniform")
    state = initial_weights(arch, TINY, "flow", 0)
    weights = {name: state[name].double().abs() for name in arch.layout().prunable}
    x = np.ones((2, 4, 4))

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        return x * (state[f"{name}.weight"].double().abs().numpy()[:, None, None] if norm == "scale" else 1)

    def around(x: np.ndarray, i: int, j: int, kernel: np.ndarray) -> float:
        """The sum of one channel's pixels around a place, weighed."""
        at = [(i + a - 1, j + b - 1, a, b) for a in range(3) for b in range(3)]
        height, width = x.shape
        return sum(x[h, w] * kernel[a, b] for h, w, a, b in at if 0 <= h < height and 0 <= w < width)

    def each(x: np.ndarray, kernels: np.ndarray, stride: int) -> np.ndarray:
        rows, columns = range(0, x.shape[1], stride), range(0, x.shape[2], stride)
        return np.array(
            [[[around(c, i, j, k) for j in columns] for i in rows] for c, k in zip(x, kernels, strict=True)]
        )

    stem = weights["stem.conv.weight"].numpy()
    x = normed(np.array([sum(each(x, kernels, 1)) for kernels in stem]), "stem.bn")
    for i, strides in enumerate([[1], [2, 1], [2, 1], [2], [1, 1], [2, 1]]):
        for j, stride in enumerate(strides):
            at = f"stages.{i}.{j}"
            x = normed(each(x, weights[f"{at}.depthwise.weight"][:, 0].numpy(), stride), f"{at}.bn1")
            x = normed(np.tensordot(weights[f"{at}.pointwise.weight"][:, :, 0, 0].numpy(), x, 1), f"{at}.bn2")
    expected = (weights["head.weight"].numpy() @ x.mean((1, 2))).sum()
    assert float(flow(arch, TINY, state, weights, norm=norm)) == pytest.approx(expected, rel=1e-9)
    assert expected > 0


def test_nothing_goes_through_a_dead_channel():
    """One filter of a depthwise convolution is cut: what made its input, and what reads it, lies on no path."""
    arch, block, channel = MobileNet(repeats=2, width=1), "stages.4.1", 3
    io = Interface(inputs=(2, 16, 16), classes=3)  # So large that the kernels of this block meet more than padding.
    weights = initial_weights(arch, io, "dead", 0)
    alive = {name: value.clone() for name, value in dense_mask(arch, io).items()}
    alive[f"{block}.depthwise.weight"][channel] = False
    mask = Mask(alive)
    walked = {n: s > 1 for n, s in Phew(cover=1.0, walks=4096)(Network(weights, mask, arch, io)).items()}
    made, read_by = walked["stages.4.0.pointwise.weight"], walked[f"{block}.pointwise.weight"]
    assert (
        not made[channel].any()
        and not read_by[:, channel].any()
        and not walked[f"{block}.depthwise.weight"][channel].any()
    )
    rest = torch.arange(16) != channel
    assert made[rest].flatten(1).any(1).all() and read_by[:, rest].any(0).all()
    found = connectivity(Ticket(arch=arch, io=io, mask=mask, weights=weights, task="none"))
    lines = {line["layer"]: line for line in found.tables["layers"]}
    assert lines[f"{block}.pointwise.weight"]["size"] - lines[f"{block}.pointwise.weight"]["effective"] == 16
    assert lines["stages.4.0.pointwise.weight"]["size"] - lines["stages.4.0.pointwise.weight"]["effective"] == 16
    assert lines[f"{block}.depthwise.weight"]["unreachable"] == 1 and lines["stages.4.0.pointwise.weight"]["dead"] == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("mobilenet(repeats=0)", "'repeats' is 0. It must be between 1 and 1,000"),
        ("mobilenet(repeats=1001)", "'repeats' is 1,001"),
        ("mobilenet(width=0)", "'width' is 0"),
        ("mobilenet(width=65537)", "'width' is 65,537"),
        ("mobilenet(bn_scale=two)", "must be one of: 'one', 'uniform'"),
    ],
)
def test_refused(text, message):
    with pytest.raises(Refused, match=message):
        parse("arch", text)


def test_other_inputs_are_refused():
    with pytest.raises(Refused, match=r"mobilenet\(\) takes images of shape \(channels, height, width\)"):
        MobileNet().build(Interface(inputs=(3, 32), classes=10))


def test_too_many_parameters():
    with pytest.raises(Refused, match="parameters"):
        MobileNet(width=65_536).build(CIFAR)
