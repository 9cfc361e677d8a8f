"""Is it the ticket, or would any network of that size learn as well?

python examples/02_controls.py
"""

import statistics

import tombola as tb
from tombola.archs.mlp import Mlp
from tombola.moves.controls import RandomMask, Reinit, Shuffle
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart

SEEDS = (0, 1, 2)


def main() -> None:
    task, recipe, runs = Digits(), Quickstart(steps="10ep"), tb.Store("runs")
    found: dict[str, list[float]] = {}

    for seed in SEEDS:
        seeds = tb.Seeds(seed)
        dense, *_, ticket = tb.find(Mlp(), task, recipe, levels=4, keep=0.4, seeds=seeds, call=runs)
        arms = {
            "dense": dense,
            "ticket": ticket,
            "reinit": ticket | Reinit(seed=seed),  # The same mask on other initial weights.
            "shuffle": ticket | Shuffle(seed=seed),  # The same weights a layer, in other places of it.
            "random_mask": ticket | RandomMask(seed=seed),  # As many weights in each layer, drawn at random.
        }
        for name, start in arms.items():
            assert name == "dense" or start.mask.kept == ticket.mask.kept  # Equal density, or no comparison.
            trained = runs(tb.train, ticket=start, task=task, recipe=recipe, seeds=seeds)
            found.setdefault(name, []).append(100 * trained.test_accuracy)

    print(f"test accuracy in %, mean and standard deviation of {len(SEEDS)} seeds; density {ticket.density:.4f}")
    for name, values in found.items():
        print(f"{name:12} {statistics.mean(values):5.1f} +- {statistics.stdev(values):.1f}")


if __name__ == "__main__":
    main()
