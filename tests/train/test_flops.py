"""Operations, counted by hand."""

import torch

from tests.train.toys import IMAGES, Convs, Points, a_ticket
from tombola.archs.conv import Conv
from tombola.archs.mlp import Mlp
from tombola.core.layout import Interface
from tombola.core.mask import Mask
from tombola.train.flops import Flops, flops


def test_linear_layers():
    """LeNet-300-100: 784 x 300 + 300 x 100 + 100 x 10 multiply-adds; the first layer has no gradient of its inputs."""
    layers = [784 * 300, 300 * 100, 100 * 10]
    found = flops(Mlp(), Interface(inputs=(1, 28, 28), classes=10), Mask({}))
    training = 2 * (2 * layers[0] + 3 * layers[1] + 3 * layers[2])
    assert found == Flops(2.0 * sum(layers), 2.0 * sum(layers), training, training)


def test_each_layer_is_weighed_by_its_density():
    alive = {"stages.0.0.weight": torch.zeros(8, 6).bool(), "head.weight": torch.ones(3, 8).bool()}
    alive["stages.0.0.weight"][:, 0] = True  # A sixth.
    found = flops(Mlp(hidden=(8,)), Points().io, Mask(alive))
    assert found == Flops(2 * (48 + 24), 2 * (8 + 24), 2 * (2 * 48 + 3 * 24), 2 * (2 * 8 + 3 * 24))


def test_conv_2_by_hand():
    """Conv-2 of width 2 on 1 x 4 x 4: 16 pixels, 3 x 3 kernels, pooled to 2 x 2, then 8 x 8, 8 x 8 and 8 x 3."""
    layers = [16 * 2 * 9 * 1, 16 * 2 * 9 * 2, 8 * 8, 8 * 8, 8 * 3]
    found = flops(Conv(layers=2, width=2), Interface(inputs=(1, 4, 4), classes=3), Mask({}))
    assert found.forward_dense == 2 * sum(layers)
    assert found.training_dense == 2 * (3 * sum(layers) - layers[0])


def test_depthwise_dilated_and_grouped_convolutions():
    """On 6 x 6 pixels, width 4: a filter of a grouped convolution sees only its group's channels."""
    pixels = 36
    layers = [
        pixels * 4 * (3 * 9),  # stem
        pixels * 4 * (1 * 9),  # depthwise
        pixels * 4 * (4 * 9),  # dilated
        pixels * 8 * (2 * 9),  # grouped
        pixels * 4 * 8,  # 1 x 1
        4 * 3,  # head
    ]
    found = flops(Convs(), IMAGES.io, a_ticket(Convs(), IMAGES, density=1.0).mask)
    assert found.forward_dense == found.forward_sparse == 2 * sum(layers)
    assert found.training_dense == 2 * (3 * sum(layers) - layers[0])
