"""Mappings whose values are made when they are asked for."""

import pytest
import torch
from torch import Tensor

from tombola.core.lazily import Elementwise, Lazily


def test_nothing_is_made_until_it_is_asked_for_and_then_anew():
    made: list[str] = []

    def make(name: str) -> Tensor:
        made.append(name)
        return torch.ones(1)

    mapping = Lazily(["b", "a"], make)
    assert list(mapping) == ["b", "a"] and len(mapping) == 2 and list(mapping.keys()) == ["b", "a"]
    assert "a" in mapping and "c" not in mapping and mapping.get("c") is None
    assert made == []
    assert mapping["a"] is not mapping["a"]
    assert made == ["a", "a"]
    assert [name for name, _ in mapping.items()] == ["b", "a"] and made == ["a", "a", "b", "a"]


def test_a_name_that_is_not_there_is_not_made():
    with pytest.raises(KeyError, match="c"):
        Lazily(["a"], lambda name: torch.ones(1))["c"]


def test_the_names_are_read_once():
    mapping = Lazily(iter(["a", "b"]), lambda name: torch.ones(1))
    assert list(mapping) == list(mapping) == ["a", "b"]


def test_elementwise_is_the_function_of_each_tensor():
    tensors = {"w": torch.tensor([[-1.0, 2.0]]), "v": torch.tensor([-3.0])}
    scores = Elementwise(tensors, torch.abs)
    assert {name: value.tolist() for name, value in scores.items()} == {"w": [[1.0, 2.0]], "v": [3.0]}
    assert scores.tensors is tensors and scores.function is torch.abs
