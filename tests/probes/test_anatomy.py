"""What a mask looks like, on masks that a person can draw."""

import pathlib

import pytest
import torch

from tombola.archs.conv import Conv
from tombola.archs.mlp import Mlp
from tombola.core.layout import Interface, dense_mask, initial_weights
from tombola.core.mask import Mask
from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.probes.anatomy import anatomy
from tombola.report.findings import Picture
from tombola.study.store import Store


def ticket(inputs: tuple[int, ...], first: torch.Tensor) -> Ticket:
    """A network of as many hidden units as the mask of its first layer has lines; the rest is dense."""
    arch, io = Mlp(hidden=(len(first),)), Interface(inputs=inputs, classes=2)
    mask = {**dict(dense_mask(arch, io)), "stages.0.0.weight": first.bool()}
    weights = initial_weights(arch, io, "by hand", 0)
    return Ticket(arch=arch, io=io, mask=Mask(mask), weights=weights)


def test_layers_by_hand():
    one = ticket((3,), torch.tensor([[1, 0, 1], [1, 1, 0]]))
    found = anatomy(one)
    assert found.tables == {
        "layers": (
            {"layer": "stages.0.0.weight", "density": 4 / 6, "kept": 4, "size": 6},
            {"layer": "head.weight", "density": 1.0, "kept": 4, "size": 4},
        )
    }
    assert found.numbers() == one.numbers() and found.numbers()["density"] == 0.8
    assert found.key == anatomy.call(one).key and found.checks == {}


def test_a_picture_of_pixels():
    """Two channels of two by two pixels, three units: the share of living ones, over units and channels."""
    first = torch.tensor([[1, 0, 1, 0, 1, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 1, 1, 0, 0]])
    (picture,) = anatomy(ticket((2, 2, 2), first)).pictures
    assert picture["name"] == "first layer"
    assert picture["caption"] == "stages.0.0.weight: connections of each pixel that live"
    assert picture["values"] == [[1.0, round(1 / 6, 6)], [round(2 / 6, 6), round(1 / 6, 6)]]


def test_a_row_of_numbers_is_a_picture_of_one_line():
    (picture,) = anatomy(ticket((3,), torch.tensor([[1, 0, 1], [1, 1, 0]]))).pictures
    assert picture["values"] == [[1.0, 0.5, 0.5]]


def test_a_picture_of_kernels():
    arch, io = Conv(layers=2, width=4), Interface(inputs=(1, 8, 8), classes=2)
    dense = dict(dense_mask(arch, io))
    name = next(iter(dense))
    kernels = torch.zeros_like(dense[name])
    kernels[:, :, 1, 1] = True
    kernels[: len(kernels) // 2, :, 0, 2] = True
    one = Ticket(arch=arch, io=io, mask=Mask({**dense, name: kernels}), weights=initial_weights(arch, io, "by hand", 0))
    (picture,) = anatomy(one).pictures
    assert picture["caption"] == f"{name}: weights of each kernel position that live"
    assert picture["values"] == [[0.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("inputs", [(3,), (2, 2, 2)], ids=str)
def test_what_it_gives_is_kept_and_can_be_shown(tmp_path: pathlib.Path, inputs: tuple[int, ...]):
    features = int(torch.Size(inputs).numel())
    one = ticket(inputs, torch.arange(2 * features).reshape(2, features) % 3 > 0)
    made = Store(tmp_path)(anatomy, one)
    back = Store(tmp_path).load(made.key, Measurement)
    assert (back.values, back.tables, back.pictures) == (made.values, made.tables, made.pictures)
    for picture in back.pictures:
        Picture(**{**picture, "values": tuple(map(tuple, picture["values"]))})
