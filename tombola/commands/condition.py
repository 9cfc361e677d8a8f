"""`tombola data` and `tombola doctor`: what is here and what works."""

import dataclasses

from rich.console import Console
from rich.table import Table

from tombola import doctor as health
from tombola.commands.shared import PLAIN, print_json
from tombola.core.errors import Damaged, Failed, Refused
from tombola.tasks import status
from tombola.words.condition import Data, Doctor


def data(asked: Data) -> int:
    """`tombola data`: where the sets are; the named ones are fetched and checked."""
    failed = 0
    found: list[status.Status] = []
    if asked.names:
        for name in asked.names:
            try:
                found.append(status.fetch(name))
            except (Damaged, Failed, Refused) as error:
                failed += 1
                Console(stderr=True, soft_wrap=True, highlight=False).print(f"tombola: {error}", markup=False)
    else:
        found = status.statuses()
    if asked.json:
        print_json({"data": [dataclasses.asdict(one) for one in found]})
    elif found:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for heading in ("data set", "where", "checked", "train", "test", "hub id"):
            table.add_column(heading)
        for one in found:
            sizes = [f"{n:,}" if n is not None else "?" for n in (one.train, one.test)]
            where = {"hub": "hub (not here)" if one.hub_id else "not here"}.get(one.where, one.where)
            table.add_row(one.task, where, "yes" if one.checked else "no", *sizes, one.hub_id or "-")
        PLAIN.print(table)
        if not asked.names:
            PLAIN.print("To fetch and check: tombola data NAME. TOMBOLA_DATA names a folder of sets; see docs/data.md.")
    return 1 if failed else 0


def doctor(asked: Doctor) -> int:
    """`tombola doctor`: what works here and what does not."""
    findings = health.examine(store=asked.store)
    if asked.json:
        print_json({"ok": all(f.ok for f in findings), "findings": [f.to_json() for f in findings]})
    else:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
        for one in findings:
            table.add_row("ok" if one.ok else ("FAILED" if one.needed else "-"), one.name, one.detail)
        PLAIN.print(table)
    return 0 if all(one.ok or not one.needed for one in findings) else 1
