"""How do I know that a ticket is what it says?

python examples/04_verify.py
"""

import tombola as tb
from tombola.archs.mlp import Mlp
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart


def told(title: str, verdict: tb.Verdict) -> None:
    print(f"{title}: {'sound' if verdict.ok else 'NOT sound'}")
    for check in verdict.checks:
        print(f"  {'ok' if check.ok else 'FAILED':6} {check.name}: {check.detail}")


def main() -> None:
    task, recipe, runs = Digits(), Quickstart(steps="5ep"), tb.Store("runs")
    *_, ticket = tb.find(Mlp(), task, recipe, levels=2, keep=0.5, call=runs)
    ticket.save("honest.ticket")

    told("the file alone", tb.verify("honest.ticket"))
    told("with the store that has its parents", tb.verify("honest.ticket", store=runs))
    told("by running every call of its lineage again", tb.verify("honest.ticket", replay=True))

    # Someone trains the ticket and passes the trained weights off as the rewound ones.
    trained = tb.train(ticket=ticket, task=task, recipe=recipe)
    ticket.rebuilt(weights=trained.weights).save("forged.ticket")
    told("a forgery", tb.verify("forged.ticket"))


if __name__ == "__main__":
    main()
