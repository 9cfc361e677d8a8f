"""What is kept of a run, and what happens when it is asked for again?

python examples/05_store.py
"""

from collections import Counter
from typing import Any

import tombola as tb
from tombola.archs.mlp import Mlp
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart


def main() -> None:
    heard: Counter[str] = Counter()

    def listen(happening: str, call: Any, **facts: Any) -> None:
        if happening in ("start", "loaded"):
            heard[f"{'ran' if happening == 'start' else 'loaded'} {call.function}"] += 1

    runs = tb.Store("runs", listen=listen)
    ask = {"arch": Mlp(), "task": Digits(), "recipe": Quickstart(steps="5ep"), "keep": 0.5, "call": runs}

    for title, levels in (("two levels", 2), ("the same again", 2), ("one level more", 3)):
        heard.clear()
        *_, ticket = tb.find(**ask, levels=levels)
        print(f"{title}: {dict(heard)}")

    # Every result has a key, every key a folder, and every folder the call that made it.
    record = runs.record(ticket.key)
    print(f"{ticket.key} is in {runs.folder}/{ticket.key.replace(':', '/')}, made by {record['call']}")
    print(f"on {record['provenance']['torch']}, finished {record['provenance']['finished']}")
    print(f"its input: {record['inputs']}")

    again = runs.load(ticket.key, tb.Ticket)
    print(f"loaded: {again}, the same bits: {again.digest == ticket.digest}")


if __name__ == "__main__":
    main()
