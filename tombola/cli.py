"""The command line: `tombola find`, `show`, `verify`, `carry`, `train`, `plan`, `run`, `report`, `store`, `list`, ...

Thin on purpose. Help, lists and mistakes answer at once: what imports torch is imported only when a command runs that
needs it. Exit codes: 0 done, 1 a check or a run failed, 2 the call was wrong, 130 stopped by Ctrl-C.
"""

import dataclasses
import importlib.metadata
import itertools
import json
import logging
import os
import re
import sys
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

from tombola.core import catalogue, text
from tombola.core.errors import Damaged, Failed, Refused, unknown
from tombola.probes import known
from tombola.study import shipped
from tombola.words import condition, moves, probes, store, studies, tickets
from tombola.words.condition import List
from tombola.words.shared import Shared
from tombola.words.tickets import Verify

COMMANDS = {
    "tickets": (tickets.Find, tickets.Show, tickets.Verify, tickets.Train),
    "moves": (moves.Carry, moves.PlanMove),
    "probes": (probes.Probe,),
    "studies": (studies.Plan, studies.Run, studies.Report, studies.Mirror),
    "store": (store.Store,),
    "condition": (condition.List, condition.Data, condition.Doctor),
}
"""The words of every command, by the module of `tombola.commands` that does it."""
INTERNAL = {"interface", "seeds"}
LISTED = {"study": shipped.entries, "probe": known.entries}
"""What is no plug-in, and is listed like one."""
DESCRIPTION = """Find, carry and judge winning lottery tickets.

Networks, data sets and the rest are named in text: mlp, "resnet(depth=20)", mnist, "shuffle(seed=1)". What there is,
with all fields, is told by: tombola list. The version, for a report of a mistake: tombola --version."""


def main(said: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    if (sys.argv[1:] if said is None else said) == ["--version"]:
        print(f"tombola {importlib.metadata.version('tombola')}")
        sys.exit(0)
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    union: Any = None
    for cls in itertools.chain.from_iterable(COMMANDS.values()):
        choice = Annotated[cls, subcommand(re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower())]
        union = choice if union is None else union | choice
    whole = FlagCreatePairsOff[OmitSubcommandPrefixes[OmitArgPrefixes[union]]]
    try:
        asked: Any = tyro.cli(whole, args=said, prog="tombola", description=DESCRIPTION)
        code = guarded(asked)
        sys.stdout.flush()
    except BrokenPipeError:  # Whoever reads standard output has had enough; nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def guarded(asked: Shared | store.Store) -> int:
    """Run a command; what users did wrong or could not have comes as one message, never as a traceback."""
    try:
        for path in asked.use:
            use(path)
        for kind, named in asked.named:
            if named:
                text.check(kind, named)
        return run(asked)
    except Refused as error:
        print(f"tombola: {error}", file=sys.stderr)
        return 2
    except (Failed, Damaged) as error:
        print(f"tombola: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntombola: stopped. What was finished is kept: give the same command to go on.", file=sys.stderr)
        return 130


def use(path: str) -> None:
    """Take plug-ins from a file; what goes wrong while it runs is its own affair, and keeps its traceback."""
    if not path.endswith(".py"):
        raise Refused(f"--use takes a Python file: {path} is none by its name.")
    try:
        catalogue.load_file(path)
    except SyntaxError as error:
        raise Refused(f"{path}, line {error.lineno}: {error.msg}. --use takes a Python file.") from error


def run(asked: Shared | store.Store) -> int:
    """Run one command."""
    if isinstance(asked, List):
        return listed(asked)
    if isinstance(asked, Verify) and not asked.files:
        raise Refused("verify needs a file: tombola verify winner.ticket")
    home = next(home for home, words in COMMANDS.items() if type(asked) in words)
    module = importlib.import_module(f"tombola.commands.{home}")  # Late: it imports torch.
    return getattr(module, type(asked).__name__.lower())(asked)


def listed(asked: List) -> int:
    """`tombola list`: the names of all plug-ins, probes and shipped studies, all of one kind with their fields, or one.

    Nothing is imported for it.
    """
    kinds = sorted({*catalogue.kinds(), *LISTED} - INTERNAL)
    if asked.kind and asked.kind not in kinds:
        raise unknown("kind of plug-in", asked.kind, kinds)
    chosen = {
        kind: LISTED[kind]() if kind in LISTED else catalogue.entries(kind)
        for kind in ([asked.kind] if asked.kind else kinds)
    }
    if asked.name:
        every = chosen[asked.kind]
        chosen = {asked.kind: [one for one in every if one.name == asked.name]}
        if not chosen[asked.kind]:
            raise unknown(asked.kind, asked.name, [one.name for one in every])
    if asked.json:
        print(json.dumps({kind: [dataclasses.asdict(entry) for entry in found] for kind, found in chosen.items()}))
        return 0
    console = Console(highlight=False, markup=False, emoji=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style="dim" if asked.kind else "")
    if asked.name:
        (entry,) = chosen[asked.kind]
        console.print("\n\n".join(filter(None, (entry.summary, entry.text))), soft_wrap=True)
        for name, default in entry.fields:
            table.add_row(name, default or "must be given")
        if entry.fields:
            console.print(f"\n{entry.name} with its settings and their defaults:", style="dim")
            console.print(table)
        return 0
    for kind, found in chosen.items():
        if not asked.kind:
            table.add_row(kind, ", ".join(entry.name for entry in found))
            continue
        for entry in found:
            table.add_row(str(entry), entry.summary)
    console.print(table)
    more = "All that is said of one" if asked.kind else "With fields and their defaults"
    console.print(f"{more}: tombola list {f'{asked.kind} NAME' if asked.kind else 'KIND'}", style="dim")
    return 0
