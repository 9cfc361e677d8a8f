"""The papers' recipes against the tables of the papers, copied out here once more.

Sources: Maene et al. 2021, Table 1 and experiment E9; Chen et al. 2021, Table 4, completed from its code; Desai et al.
2019, section 5; Frankle et al. 2020; Renda et al. 2020.
"""

from typing import Any

import pytest

from tests.train.toys import Points
from tombola.core.text import parse
from tombola.train.recipe import Recipe

MNIST, CIFAR, IMAGENET = (Points(train=number) for number in (60_000, 50_000, 1_281_167))
SGD, ADAM = "sgd", "adam"

# name, data: epochs (or steps), batch, optimiser, rate, momentum, decay, rate drops, rewind step, warm-up steps
TABLES: list[tuple[str, Points, dict[str, Any]]] = [
    # Maene et al., Table 1
    ("lenet", MNIST, {"epochs": 25, "batch": 60, "of": ADAM, "lr": 12e-4, "decay": 0, "drops": "constant"}),
    ("resnet20", CIFAR, {"epochs": 85, "batch": 128, "of": SGD, "lr": 0.1, "decay": 1e-5, "drops": (56, 71)}),
    ("conv4", CIFAR, {"epochs": 75, "batch": 128, "of": SGD, "lr": 0.01, "decay": 1e-5, "drops": "cosine"}),
    ("resnet50", IMAGENET, {"epochs": 90, "batch": 1024, "of": SGD, "lr": 0.4, "decay": 1e-5, "drops": (30, 60, 80)}),
    ("conv4_unstable", CIFAR, {"epochs": 75, "batch": 16, "of": SGD, "lr": 0.01, "decay": 0.01, "drops": (55, 65)}),
    # Chen et al., Table 4 (drops at 80 and 120 as in its code)
    (
        "elastic_resnet",
        CIFAR,
        {"epochs": 160, "batch": 128, "of": SGD, "lr": 0.1, "decay": 1e-4, "drops": (80, 120), "rewind": 1000},
    ),
    (
        "elastic_vgg",
        CIFAR,
        {"epochs": 160, "batch": 128, "of": SGD, "lr": 0.1, "decay": 1e-4, "drops": (80, 120), "rewind": 200},
    ),
    (
        "elastic_imagenet",
        IMAGENET,
        {
            "epochs": 90,
            "batch": 1024,
            "of": SGD,
            "lr": 0.4,
            "decay": 1e-4,
            "drops": (30, 60, 80),
            "rewind": 5 * 1252,
            "warmup": 5 * 1252,
        },
    ),
    (
        "elastic_mlp",
        MNIST,
        {"epochs": 40, "batch": 128, "of": SGD, "lr": 0.1, "momentum": 0.0, "decay": 0, "drops": "constant"},
    ),
    # Frankle et al. 2020
    ("lmc_lenet", MNIST, {"epochs": 24, "batch": 60, "of": ADAM, "lr": 12e-4, "decay": 0, "drops": "constant"}),
    ("lmc_resnet20", CIFAR, {"epochs": 160, "batch": 128, "of": SGD, "lr": 0.1, "decay": 1e-4, "drops": (80, 120)}),
    # Renda et al. 2020
    ("renda_resnet", CIFAR, {"epochs": 182, "batch": 128, "of": SGD, "lr": 0.1, "decay": 2e-4, "drops": (91, 136)}),
]
STEPS_AN_EPOCH = {("mnist", 60): 1000, ("cifar", 128): 391, ("imagenet", 1024): 1252, ("mnist", 128): 469}


@pytest.mark.parametrize(("name", "task", "table"), TABLES, ids=[name for name, _, _ in TABLES])
def test_a_recipe_has_the_values_of_its_paper(name: str, task: Points, table: dict[str, Any]):
    recipe: Recipe = parse("recipe", name).in_steps(task)
    epoch = -(-task.train // table["batch"])
    assert recipe.steps == table["epochs"] * epoch
    assert recipe.batch == table["batch"]
    kind = str(recipe.optimizer).partition("(")[0]
    assert kind == table["of"]
    assert recipe.optimizer.lr == table["lr"]
    assert recipe.optimizer.decay == table["decay"]  # type: ignore[attr-defined]
    if kind == SGD:
        assert recipe.optimizer.momentum == table.get("momentum", 0.9)  # type: ignore[attr-defined]
        assert recipe.optimizer.coupling == "coupled" and recipe.optimizer.nesterov == "no"  # type: ignore[attr-defined]
    else:
        assert recipe.optimizer.betas == (0.9, 0.999) and recipe.optimizer.eps == 1e-8  # type: ignore[attr-defined]
    assert recipe.rewind == table.get("rewind", 0)
    assert recipe.warmup == table.get("warmup", 0)
    assert (recipe.validation, recipe.select, recipe.patience) == (0.0, "last", 0)
    assert (recipe.smoothing, recipe.clip, recipe.precision) == (0.0, 0.0, "float32")
    if table["drops"] == "cosine":
        assert recipe.rate(0) == table["lr"]
        assert recipe.rate(recipe.steps // 2) == pytest.approx(table["lr"] / 2, rel=1e-3)
        assert recipe.rate(recipe.steps - 1) < 1e-6
    else:
        drops = () if table["drops"] == "constant" else table["drops"]
        start = int(recipe.warmup)
        for number, (begin, end) in enumerate(zip((0, *drops), (*drops, table["epochs"]), strict=True)):
            rate = table["lr"] * 0.1**number
            for step in (max(begin * epoch, start), end * epoch - 1):
                assert recipe.rate(step) == pytest.approx(rate), step


def test_epochs_have_the_papers_number_of_steps():
    tasks = {"mnist": MNIST, "cifar": CIFAR, "imagenet": IMAGENET}
    for (name, batch), steps in STEPS_AN_EPOCH.items():
        assert Recipe(steps="1ep", batch=batch, validation=0.0).in_steps(tasks[name]).steps == steps


def test_imagenet_warms_up_over_five_epochs_in_a_line():
    recipe: Recipe = parse("recipe", "elastic_imagenet").in_steps(IMAGENET)
    assert recipe.rate(0) == pytest.approx(0.4 / 6260)
    assert recipe.rate(3129) == pytest.approx(0.2)
    assert recipe.rate(6259) == recipe.rate(6260) == 0.4


def test_reviews_follow_desai():
    """Adam 1e-3, l2 1e-5 of the coupled kind, batch 32, at most 15 epochs, the best on validation data is kept."""
    recipe: Recipe = parse("recipe", "reviews_cnn")
    assert str(recipe.optimizer) == "adam(decay=1e-05)" and recipe.optimizer.lr == 1e-3
    assert (recipe.steps, recipe.batch, recipe.rewind, recipe.warmup) == ("15ep", 32, 0, 0)
    assert (recipe.select, recipe.patience, recipe.evaluate) == ("best", 0, "1ep")
    whole = recipe.in_steps(Points(train=30_000))  # 20,000 to train on beside 10,000 for validation
    assert whole.steps == 15 * 625
    assert {whole.rate(step) for step in (0, 5000, 9374)} == {1e-3}


def test_stable_and_unstable_variants_are_the_same_recipe_with_one_value_changed():
    """Maene et al.: resnet20 is stable with batch 2048 and ten epochs of warm-up, resnet50 with rate 0.1."""
    stable: Recipe = parse("recipe", "resnet20(batch=2048, warmup='10ep')").in_steps(CIFAR)
    assert (stable.batch, stable.warmup, stable.steps) == (2048, 250, 85 * 25)
    assert stable.rate(249) == stable.optimizer.lr == 0.1
    tamed: Recipe = parse("recipe", "resnet50(optimizer=sgd(lr=0.1, decay=1e-05))")
    assert (tamed.optimizer.lr, tamed.batch) == (0.1, 1024)
    assert parse("recipe", "conv4_unstable(batch=128)").batch == 128
