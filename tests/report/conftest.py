"""A made-up summary that looks like a real one. Its numbers were measured nowhere and prove nothing."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from tombola.report.summary import LayerDensity, Picture, Row, Summary

LAYERS = {"stem.weight": 784 * 100, "stages.0.0.weight": 100 * 100, "head.weight": 100 * 10}
CHECKS = ("dead weights are zero", "mask is nested", "survivors were rewound")


def synthetic(
    *,
    seeds: Sequence[int] = (0, 1, 2),
    levels: int = 10,
    keep: float = 0.65,
    arms: Sequence[str] = ("ticket", "reinit", "shuffle"),
    loses: bool = False,
) -> Summary:
    """Plausible accuracies: the ticket holds, the controls fall; with `loses` the ticket falls as well."""
    draw = random.Random("a stable seed")
    size = sum(LAYERS.values())
    rows: list[Row] = []
    for seed in seeds:
        luck = draw.gauss(0, 0.003)
        for level in range(levels + 1):
            kept = math.ceil(size * keep**level)
            for name in arms if level else ("ticket",):
                fall = {"ticket": 0.02 if loses else 0.0, "reinit": 0.012, "shuffle": 0.016}.get(name, 0.02) * level
                rise = 0.0012 * math.sin(math.pi * level / 10) if name == "ticket" and not loses else 0.0
                accuracy = min(1.0, 0.9512 + rise - fall * level / 10 + luck + draw.gauss(0, 0.0008))
                rows.append(_row(seed, name, level, kept, size, accuracy, draw))
    chosen = range(levels + 1)
    return Summary(
        title="Lottery tickets on digits",
        question="Does a sparse subnetwork, rewound to its early weights, train as well as the whole network?",
        arch="mlp(hidden=(100, 100))",
        task="digits()",
        recipe="recipe(steps=3000, batch=60, optimiser=adam(rate=0.0012), rewind=0)",
        command='tombola find "mlp(hidden=(100, 100))" digits --levels 10 --keep 0.65 --seed 0',
        rows=tuple(rows),
        pictures=tuple(_picture(seed, level, keep**level, draw) for seed in seeds for level in chosen),
        layers=tuple(
            LayerDensity(seed=seed, level=level, layer=layer, density=kept / weights, kept=kept, size=weights)
            for seed in seeds
            for level in chosen
            for layer, weights in LAYERS.items()
            for kept in [math.ceil(weights * keep ** (level * {"head.weight": 0.4}.get(layer, 1.0)))]
        ),
        machine="2 CPU cores, no GPU",
        provenance={"commit": "0123abc (clean)", "python": "3.11", "torch": "2.13.0", "tombola": "0.1.0"},
    )


def _row(seed: int, name: str, level: int, kept: int, size: int, accuracy: float, draw: random.Random) -> Row:
    return Row(
        seed=seed,
        name=name,
        level=level,
        density=kept / size,
        kept=kept,
        size=size,
        test_accuracy=accuracy,
        test_loss=1.2 * (1 - accuracy) + 0.05,
        validation_accuracy=accuracy - 0.002,
        seconds=8.2 + draw.gauss(0, 0.15),
        steps=3000,
        peak_memory=312 * 1024**2,
        flops_dense=6.0 * size * 3000 * 60,
        flops_sparse=6.0 * kept * 3000 * 60,
        key=f"{draw.getrandbits(64):016x}",
        call=f"train(ticket=cut:{draw.getrandbits(64):016x}, task=digits(), seeds=seeds({seed}))",
        checks=dict.fromkeys(CHECKS, True),
    )


def _picture(seed: int, level: int, density: float, draw: random.Random) -> Picture:
    """A digit-like blob: the middle of the image keeps more."""

    def share(x: int, y: int) -> float:
        centre = math.exp(-((x - 13.5) ** 2 + (y - 13.5) ** 2) / 60)
        return min(1.0, max(0.0, density ** (1.15 - 0.55 * centre) * (1 + 0.35 * draw.gauss(0, 1) * (1 - density))))

    values = tuple(tuple(share(x, y) for x in range(28)) for y in range(28))
    caption = "Share of living connections of each input pixel"
    return Picture(seed=seed, name="ticket", level=level, density=density, values=values, caption=caption)


@pytest.fixture
def make_synthetic() -> Callable[..., Summary]:
    """The factory of made-up summaries."""
    return synthetic
