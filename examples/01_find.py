"""Is there a small part of this network that still learns when it starts from its first weights?

python examples/01_find.py
"""

import tombola as tb
from tombola.archs.mlp import Mlp
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart


def main() -> None:
    arch, task, recipe = Mlp(), Digits(), Quickstart(steps="10ep")
    runs = tb.Store("runs")  # Whatever is finished is kept here; a second run of this file loads it.

    # Level 0 is the whole network. Each cut keeps 40 % of the weights that are left, those that are largest after
    # training, and sets them back to their initial values.
    for ticket in tb.find(arch, task, recipe, levels=4, keep=0.4, call=runs):
        trained = runs(tb.train, ticket=ticket, task=task, recipe=recipe)
        print(
            f"level {ticket.level}: {ticket.mask.kept:6,} weights, density {ticket.density:.4f}, "
            f"test accuracy {trained.test_accuracy:.3f}"
        )

    ticket.save("winner.ticket")
    print(f"{ticket} is in winner.ticket. Look at it with: tombola show winner.ticket")


if __name__ == "__main__":
    main()
