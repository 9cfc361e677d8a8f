"""Made-up findings that look like real ones. Their numbers were measured nowhere and prove nothing."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tombola.report.claims import winning
from tombola.report.findings import Findings, Measured, Picture, StepFacts

LAYERS = {"stem.weight": 784 * 100, "stages.0.0.weight": 100 * 100, "head.weight": 100 * 10}
CHECKS = ("dead weights are zero", "mask is nested", "survivors were rewound")


def synthetic(
    *,
    seeds: Sequence[int] = (0, 1, 2),
    levels: int = 10,
    keep: float = 0.65,
    arms: Sequence[str] = ("ticket", "reinit", "shuffle"),
    **more: Any,
) -> Findings:
    """A ladder with plausible accuracies: the ticket holds, the controls fall."""
    draw = random.Random("a stable seed")
    size = sum(LAYERS.values())
    rows: list[Measured] = []
    steps: dict[str, StepFacts] = {}
    for seed in seeds:
        luck = draw.gauss(0, 0.003)
        parent = ""
        for level in range(levels + 1):
            kept = math.ceil(size * keep**level)
            for name in arms if level else ("ticket",):
                fall = {"ticket": 0.0, "reinit": 0.012, "shuffle": 0.016}.get(name, 0.02) * level
                accuracy = min(1.0, 0.9512 - fall * level / 10 + luck + draw.gauss(0, 0.0008))
                made = f"{'cut' if level else 'draw'}:{draw.getrandbits(64):016x}"
                key = f"train:{draw.getrandbits(64):016x}"
                call = f"cut(trained={parent})" if parent else "draw(arch=mlp())"
                versions = {"torch": "2.13.0"}
                steps[made] = StepFacts(key=made, call=call, inputs=(parent,) if parent else (), seconds=0.1)
                steps[key] = StepFacts(
                    key=key, call=f"train(ticket={made}, task=digits())", inputs=(made,), seconds=8.2,
                    finished="2026-01-02T03:04:05Z", versions=versions,
                )  # fmt: skip
                rows.append(_row(seed, name, level, kept, size, accuracy, key, draw))
                if name == "ticket":
                    parent = key
    found: dict[str, Any] = {
        "title": "Lottery tickets on digits",
        "question": "Does a sparse part learn as well as the whole?",
        "study": "quickstart(levels=10)",
        "command": "tombola run quickstart",
        "claims": tuple(winning(level) for level in range(1, levels + 1)),
        "about": {"arch": "mlp(hidden=(100, 100))", "task": "digits()"},
        "machine": "2 CPU cores, no GPU",
        "provenance": {"commit": "0123abc (clean)", "torch": "2.13.0"},
        "steps": steps,
        "rows": tuple(rows),
    }
    return Findings(**{**found, **more})


def _row(
    seed: int, name: str, level: int, kept: int, size: int, accuracy: float, key: str, draw: random.Random
) -> Measured:
    layers = tuple(
        {"layer": layer, "density": kept / size, "kept": math.ceil(weights * kept / size), "size": weights}
        for layer, weights in LAYERS.items()
    )
    numbers = {
        "test_accuracy": accuracy,
        "test_loss": 1.2 * (1 - accuracy) + 0.05,
        "density": kept / size,
        "kept": kept,
        "size": size,
        "seconds": 8.2 + draw.gauss(0, 0.15),
        "steps": 3000,
        "peak_memory": 312 * 1024**2,
        "flops_dense": 6.0 * size * 3000 * 60,
        "flops_sparse": 6.0 * kept * 3000 * 60,
    }
    values = tuple(tuple(min(1.0, kept / size * (1 + x * y / 64)) for x in range(8)) for y in range(8))
    picture = Picture(name="First layer", caption="Share of living connections of each input pixel", values=values)
    return Measured(
        labels={"seed": seed, "name": name, "level": level},
        numbers=numbers,
        checks=dict.fromkeys(CHECKS, True),
        key=key,
        tables={"layers": layers} if name == "ticket" else {},
        pictures=(picture,) if name == "ticket" and seed == 0 else (),
    )


def plain(found: Mapping[tuple[str, int], Sequence[float]], *, number: str = "test_accuracy", **more: Any) -> Findings:
    """Rows with these numbers by (name, level) and seed, and nothing else."""
    rows = [
        Measured(
            labels={"name": name, "level": level, "seed": seed}, numbers={number: value}, key=f"{name}:{level}{seed}"
        )
        for (name, level), values in found.items()
        for seed, value in enumerate(values)
    ]
    return Findings(**{"title": "t", "question": "", "study": "", "command": "", "rows": tuple(rows), **more})


@pytest.fixture
def make_synthetic() -> Callable[..., Findings]:
    """The factory of made-up findings."""
    return synthetic


@pytest.fixture
def make_plain() -> Callable[..., Findings]:
    """The factory of findings with numbers chosen by hand."""
    return plain
