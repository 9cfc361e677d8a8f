"""Spectra of Hessians against full ones in double precision, and in closed form."""

import pathlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.probes.test_barrier import QUADRATIC, X, ends
from tombola.archs.mlp import Mlp
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.find import cut, draw
from tombola.probes import curvature as module
from tombola.probes.hessian import hessian
from tombola.tasks.digits import Digits
from tombola.train.loop import train
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained

RECIPE = Recipe(steps=40, batch=60)
EXACT: dict[str, Any] = {"exact": "float64", "examples": 80, "at_once": 30}


def spectrum(trained: Trained, examples: int = 80) -> tuple[np.ndarray, float]:
    """All eigenvalues over what lives, from the whole matrix, and its trace; the same examples."""
    from torch.func import functional_call

    from tombola.probes.held import held

    net = trained.module().double().eval()
    names = list(dict(net.named_parameters()))
    start = {name: value.detach() for name, value in net.named_parameters()}
    mask = trained.mask
    alive = {n: mask[n] if n in mask else torch.ones_like(v).bool() for n, v in start.items()}
    batches = list(held("hessian", trained, trained.task, "train", examples, torch.device("cpu"))())
    inputs, targets = (torch.cat(part) for part in zip(*batches, strict=True))

    def loss(vector: Tensor) -> Tensor:
        state, place = {}, 0
        for name in names:
            number = int(alive[name].sum())
            state[name] = torch.zeros_like(start[name]).masked_scatter(alive[name], vector[place : place + number])
            place += number
        return torch.nn.functional.cross_entropy(functional_call(net, state, (inputs.double(),)), targets)

    vector = torch.cat([start[name][alive[name]] for name in names])
    whole = torch.autograd.functional.hessian(loss, vector, vectorize=True)
    assert isinstance(whole, Tensor)
    return np.linalg.eigvalsh(whole.numpy()), float(whole.trace())


@pytest.fixture(scope="module")
def networks() -> dict[str, Trained]:
    made: dict[str, Trained] = {}
    for name, arch in (("mlp", Mlp(hidden=(5,))), ("resnet", ResNet(depth=8, width=1))):
        made[name] = train(draw(arch, Digits(), RECIPE), Digits(), RECIPE)
        made[f"sparse {name}"] = train(cut(made[name], keep=0.3), Digits(), RECIPE)
    return made


@pytest.mark.parametrize("name", ["mlp", "sparse mlp", "resnet", "sparse resnet"])
def test_ends_of_the_spectrum_are_those_of_the_whole_matrix(networks: dict[str, Trained], name: str):
    values, trace = spectrum(networks[name])
    found = hessian(networks[name], steps=60, probes=100, **EXACT).numbers()
    assert found["directions"] == len(values)
    for place in (1, 2, 3, 4, 5):
        assert found[f"eigenvalue_{place}"] == pytest.approx(values[-place], rel=1e-6)
    assert found["least"] == pytest.approx(values[0], rel=0.02, abs=1e-6)
    for steps in (2, 6, 20, 60):
        early = hessian(networks[name], steps=steps, probes=0, **EXACT).numbers()
        assert len([n for n in early if n.startswith("eigenvalue_")]) == min(5, steps)
        for place in range(1, min(5, steps) + 1):
            near = np.abs(values - early[f"eigenvalue_{place}"]).min()
            assert near <= early[f"residual_{place}"] + 1e-9
        assert np.abs(values - early["least"]).min() <= early["residual_least"] + 1e-9
    assert early["residual_1"] < 1e-6 < hessian(networks[name], steps=2, probes=0, **EXACT).numbers()["residual_1"]
    assert found["trace"] == pytest.approx(trace, abs=4 * found["trace_error"])
    assert 0 < found["trace_error"] < 0.3 * abs(trace) and found["mean"] == pytest.approx(found["trace"] / len(values))


def test_with_as_many_steps_as_directions_it_finds_all(networks: dict[str, Trained]):
    values, _ = spectrum(networks["sparse resnet"])
    found = hessian(networks["sparse resnet"], steps=10_000, top=10_000, **EXACT)
    ritz = np.sort([row["value"] for row in found.tables["ritz"]])
    for end in (slice(None, 10), slice(-30, None)):
        assert ritz[end] == pytest.approx(values[end], rel=1e-5, abs=1e-9)
    assert sum(row["share"] for row in found.tables["ritz"]) == pytest.approx(1)


def test_the_density_is_that_of_the_eigenvalues(networks: dict[str, Trained]):
    """Over some starts, the share below a value is how many eigenvalues lie there."""
    values, _ = spectrum(networks["mlp"])
    found = hessian(networks["mlp"], steps=80, starts=20, probes=0, **EXACT)
    ritz = [(row["value"], row["share"]) for row in found.tables["ritz"]]
    for bound in (0.05, 0.2):
        assert sum(s for v, s in ritz if v < bound) == pytest.approx((values < bound).mean(), abs=0.03)
    grid = [(row["eigenvalue"], row["density"]) for row in found.tables["density"]]
    assert np.trapezoid(*np.array(grid).T[::-1]) == pytest.approx(1, abs=0.01)
    assert found.numbers()["negative_share"] == pytest.approx(sum(s for v, s in ritz if v < -1e-6))
    assert "trace" not in found.numbers()


def test_what_is_flat_is_neither_above_nor_below(networks: dict[str, Trained]):
    """Pixels that are never lit, units that never fire: their shares are those of the whole matrix, in any numbers."""
    one = networks["sparse mlp"]
    values, _ = spectrum(one)
    largest, told = np.abs(values).max(), list[dict[str, float]]()
    for exact in ("float32", "float64"):
        given = {**EXACT, "exact": exact, "steps": len(values), "starts": 2, "probes": 0, "at_once": 80}
        told.append(hessian(one, **given).numbers())
        flat = 1e-10 if exact == "float64" else 10 * np.finfo(np.float32).eps
        wanted = {
            "negative_share": (values < -flat * largest).mean(),
            "flat_share": (abs(values) <= flat * largest).mean(),
        }
        assert wanted["flat_share"] > 0.1
        for name, share in wanted.items():
            assert told[-1][name] == pytest.approx(share, abs=0.1)
    assert told[0]["negative_share"] == pytest.approx(told[1]["negative_share"], abs=0.01)


def test_a_quadratic_in_closed_form():
    (one,) = ends(QUADRATIC, [[[0.3, -0.2, 1.0]]])
    values = np.linalg.eigvalsh(X.T @ X / len(X))
    found = hessian(one, steps=3, examples=0, at_once=2, exact="float64").numbers()
    assert [found[f"eigenvalue_{n}"] for n in (1, 2, 3)] == pytest.approx(values[::-1]) and found["least"] > 0
    assert found["trace"] == pytest.approx(values.sum(), abs=4 * found["trace_error"] + 1e-9)
    assert found["sharpness_by_rate"] == pytest.approx(values[-1] * one.recipe.rate(0)) and found["examples"] == 7


def test_single_precision_is_near(networks: dict[str, Trained]):
    given = {**EXACT, "steps": 30, "probes": 5}
    exact, near = (hessian(networks["mlp"], **{**given, "exact": e}).numbers() for e in ("float64", "float32"))
    for name in ("eigenvalue_1", "eigenvalue_2", "trace"):
        assert near[name] == pytest.approx(exact[name], rel=1e-3)


def test_what_is_told_does_not_hang_on_the_parts(networks: dict[str, Trained]):
    first, second = (hessian(networks["resnet"], steps=10, **{**EXACT, "at_once": n}).numbers() for n in (80, 33))
    assert first == pytest.approx(second, rel=1e-6)


def test_too_large_for_memory(networks: dict[str, Trained], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_free", lambda device: 300_000)
    message = r"100 vectors of 385 living weights take 0\.0 GiB, and 0\.0 GiB are free on cpu. Lower steps"
    with pytest.raises(Refused, match=message):
        hessian(networks["mlp"], exact="float64", steps=100)
    hessian(networks["mlp"], exact="float64", steps=90, probes=0, examples=20)  # 277,200 bytes.


def test_memory_that_caches_hold_can_be_had(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MEMORY", tmp_path / "meminfo")
    assert module._free(torch.device("cpu")) > 10**6  # Where the system has no such file.
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\nMemFree:        1 kB\nMemAvailable:   6 kB\n")
    assert module._free(torch.device("cpu")) == 6 * 1024
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\n")
    assert module._free(torch.device("cpu")) > 10**6


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"exact": "half"}, "exact is 'half'. It is float32 or float64"),
        ({"steps": 0}, "steps is 0. It is 1 or more"),
        ({"probes": -1}, "probes is -1"),
    ],
)
def test_what_is_refused(networks: dict[str, Trained], more: dict[str, Any], message: str):
    with pytest.raises(Refused, match=message):
        hessian(networks["mlp"], **more)


def test_another_task_is_refused(networks: dict[str, Trained]):
    task = Digits(size=16)
    with pytest.raises(Refused, match="is a network for"):
        hessian(networks["mlp"], task)
