"""`tombola find`, `show`, `verify`, `train`: what is done with tickets."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from tombola.checks import check_search, check_word
from tombola.commands.shared import PLAIN, check_not_lost, chosen_machine, print_json, quoted
from tombola.core.errors import Damaged, Refused
from tombola.core.files import check_writable
from tombola.core.layout import Arch, dense_mask
from tombola.core.rewire import Rewire, Static
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.text import parse
from tombola.core.ticket import RESTARTS, Ticket
from tombola.find import cut, further, training
from tombola.find import find as find_tickets
from tombola.prune.layers import CUT_OFF, weak_layers
from tombola.report.card import densities_table, level_line, levels_table, lineage_table
from tombola.report.live import Live
from tombola.study.store import Store
from tombola.train.loop import train as train_ticket
from tombola.train.recipe import Recipe
from tombola.train.trained import Trained
from tombola.verify import Verdict, opened
from tombola.verify import verify as verify_subject
from tombola.words.tickets import Find, Show, Train, Verify

ARCH, TASK, LEVELS = "mlp", "digits", 10
"""What is found where nobody says what, and in how many cuts."""


def find(asked: Find) -> int:
    """`tombola find`: a line for each level as it is reached, the sparsest ticket to a file."""
    start = Ticket.load(asked.start) if asked.start else None
    check_not_lost(asked.out, asked.start, asked.use)
    arch, task = _network(asked, start), parse("task", asked.task or (start.task if start else "") or TASK)
    recipe = parse("recipe", asked.recipe or (start.recipe if start else "") or task.default_recipe)
    seeds, then = Seeds(asked.seed), parse("move", asked.then) if asked.then else None
    if asked.levels is not None and asked.densities:
        raise Refused("--levels and --densities are both given. Each density is a cut by itself: leave --levels out.")
    if asked.levels is not None and asked.levels < 0:
        raise Refused(f"--levels is {asked.levels}. It is the number of cuts, 0 or more.")
    levels = len(asked.densities) or (LEVELS if asked.levels is None else asked.levels)
    machine = chosen_machine(asked.machine)
    how: dict[str, Any] = {
        "criterion": parse("criterion", asked.criterion),
        "scope": parse("scope", asked.scope),
        "keep": asked.keep,
        "densities": asked.densities,
        "levels": levels,
    }
    check_word("--restart", asked.restart, RESTARTS)
    check_word("--moment", asked.moment, ("", "before", "after"))
    begun = start.mask if start else dense_mask(arch, task.io)
    check_search(begun, arch, task.io, recipe, **how, restart=asked.restart, moment=asked.moment)
    _check_rewiring(recipe.rewire, asked, levels, begun.density)
    if asked.out:
        check_writable(asked.out)
    found: list[dict[str, Any]] = []
    ticket: Ticket | None = None
    started = time.monotonic()
    with Live(total=levels + 1, title=f"{arch} on {task}") as live:
        call = Store(asked.store, machine=machine, listen=live.listen)
        how |= {"restart": asked.restart, "moment": asked.moment, "then": then, "seeds": seeds, "call": call}
        first = find_tickets(arch, task, recipe, **how) if start is None else _from(start, task, recipe, **how)
        for ticket in first:
            to = training(recipe, ticket)
            trained: Trained = call(train_ticket, ticket=ticket, task=task, recipe=to, seeds=seeds)
            if trained.rewired is not None:
                # With the mask that came out of the training.
                ticket = call(cut, trained=trained, keep=1.0, restart=asked.restart)
            assert ticket is not None
            found.append(_level(ticket, trained, found))
            if not asked.json:
                live.console.print(level_line(found[-1]), highlight=False)
    assert ticket is not None
    if asked.out:
        (ticket.alive() if asked.alive else ticket).save(asked.out)
    if asked.json:
        print_json({"tickets": found, "out": asked.out})
        return 0
    PLAIN.print(levels_table(found))
    for warning in weak_layers(ticket.mask, most=CUT_OFF):
        PLAIN.print(f"warning: level {len(found) - 1}: {warning}")
    PLAIN.print(f"{time.monotonic() - started:.0f} s. Everything is kept in {asked.store}; a second call loads it.")
    if asked.out:
        PLAIN.print(f"{asked.out}: {ticket!r}, {pathlib.Path(asked.out).stat().st_size:,} bytes")
    return 0


def _network(asked: Find, start: Ticket | None) -> Arch:
    """The network that is named, or the one of the ticket that the search goes on from."""
    if start is None:
        return parse("arch", asked.arch or ARCH)
    if asked.arch and parse("arch", asked.arch) != start.arch:
        raise Refused(
            f"--start {asked.start} is a ticket of {start.arch}, and {asked.arch} is asked for. Leave it out."
        )
    return start.arch


def _from(start: Ticket, task: Task, recipe: Recipe, **how: Any) -> Iterator[Ticket]:
    yield start
    yield from further(start, task, recipe, **how)


def _check_rewiring(rewire: Rewire, asked: Find, levels: int, begun: float) -> None:
    """Whether levels are asked for where the method needs them, and none where it prunes by itself."""
    prunes = "density" in {field.name for field in dataclasses.fields(rewire)}  # type: ignore[arg-type]
    if rewire.begins == "sparse" and not levels and begun == 1:
        raise Refused(
            f"{rewire} moves the weights of sparse tickets, and no level is asked for. Add one that is cut at random "
            "before training, say: --criterion random --moment before --scope erk --densities 0.1"
        )
    if prunes and levels and (rewire.begins == "dense" or not asked.densities):
        raise Refused(f"{rewire} prunes inside the training: ask for no further level, --levels 0.")


def _level(ticket: Ticket, trained: Trained, before: list[dict[str, Any]]) -> dict[str, Any]:
    level, mask = trained.ticket.level, trained.mask
    dense = trained.test_accuracy if mask.density == 1 else None
    return {
        "level": level,
        "density": mask.density,
        "kept": mask.kept,
        "size": mask.size,
        "test_accuracy": trained.test_accuracy,
        "dense_test_accuracy": before[0]["dense_test_accuracy"] if before else dense,
        "test_loss": trained.scores["test_loss"],
        "validation_accuracy": trained.scores.get("validation_accuracy"),
        **trained.cost.numbers(),
        "checks": dict(trained.checks),
        "ticket": ticket.key,
        "trained": trained.key,
    }


def show(asked: Show) -> int:
    """`tombola show`: the card of a ticket or of a trained network."""
    value = opened(asked.file)
    ticket, mask = value.ticket if isinstance(value, Trained) else value, value.mask
    layers = [
        {
            "name": n,
            "shape": list(m.shape),
            "kept": mask.kept_in(n),
            "size": m.numel(),
            "density": mask.kept_in(n) / m.numel(),
        }
        for n, m in mask.items()
    ]
    card = {
        "arch": str(ticket.arch),
        "task": ticket.task,
        "recipe": ticket.recipe,
        "data": ticket.data,
        "density": mask.density,
        "kept": mask.kept,
        "size": mask.size,
        "level": ticket.level,
        "step": ticket.step,
        "restart": ticket.restart,
        "weights": ticket.holding,
        "key": value.key,
        "warnings": weak_layers(mask),
        "lineage": [{"call": event.call, "key": event.key} for event in value.lineage],
        "layers": layers,
    }
    if isinstance(value, Trained):
        card |= {"scores": dict(value.scores), "checks": dict(value.checks), "seeds": str(value.seeds)}
        if value.rewired is not None:
            rewiring = {"rewire": str(value.recipe.rewire), "explored": value.history[-1]["explored"]}
            card |= {**rewiring, "changes": len(value.history), "started from density": ticket.density}
    if asked.json:
        print_json(card)
        return 0
    PLAIN.print(f"{value!r}")
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("arch", "task", "recipe", "step", "restart", "weights", "key", "rewire", "changes", "explored"):
        if name in card:
            facts.add_row(name, str(card[name]))
    facts.add_row("kept", f"{card['kept']:,} of {card['size']:,} weights, density {mask.density:.4g}")
    for name, score in value.scores.items() if isinstance(value, Trained) else ():
        facts.add_row(name.replace("_", " "), f"{score:.4f}")
    PLAIN.print(facts)
    PLAIN.print()
    PLAIN.print(densities_table(mask))
    for warning in card["warnings"]:
        PLAIN.print(f"warning: {warning}")
    PLAIN.print("\nlineage")
    PLAIN.print(lineage_table(value.lineage))
    PLAIN.print(f"\nTo make it again and compare: tombola verify {quoted(str(asked.file))} --replay")
    return 0


def verify(asked: Verify) -> int:
    """`tombola verify`: every check of every file; the files are each other's parents."""
    store = Store(asked.store) if (pathlib.Path(asked.store) / "store.json").exists() else None
    verdicts: dict[str, Verdict] = {}
    there: dict[pathlib.Path, Ticket | Trained] = {}
    for path in asked.files:
        if not path.is_file():
            raise Refused(f"there is no file {path} to verify.")
        with contextlib.suppress(Damaged):  # What is damaged fails on its own account, and is nobody's parent.
            there[path] = opened(path)
    for path in asked.files:
        parents = [value for other, value in there.items() if other != path]
        verdicts[str(path)] = verify_subject(path, parents=parents, store=store, replay=asked.replay)
    ok = all(verdict.ok for verdict in verdicts.values())
    if asked.json:
        checks = [
            {**check, "file": path} for path, verdict in verdicts.items() for check in verdict.to_json()["checks"]
        ]
        print_json({"ok": ok, "checks": checks})
    else:
        for path, verdict in verdicts.items():
            PLAIN.print(f"{path}: {'sound' if verdict.ok else 'NOT sound'}")
            table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
            for check in verdict.checks:
                table.add_row("ok" if check.ok else "FAILED", check.name, check.detail)
            PLAIN.print(table)
    return 0 if ok else 1


def train(asked: Train) -> int:
    """`tombola train`: a ticket trained to the end."""
    ticket = Ticket.load(asked.file)
    check_not_lost(asked.out, asked.file, asked.use)
    if not (asked.task or ticket.task) or not (asked.recipe or ticket.recipe):
        raise Refused(f"{asked.file} does not say on what and how to train: give --task and --recipe.")
    task, recipe = parse("task", asked.task or ticket.task), parse("recipe", asked.recipe or ticket.recipe)
    if not asked.recipe and recipe.rewire.begins == "dense" and ticket.density < 1:
        recipe = dataclasses.replace(recipe, rewire=Static())  # It has the mask that the method found.
    machine = chosen_machine(asked.machine)
    if asked.out:
        check_writable(asked.out)
    with Live(total=1, title=f"{ticket.arch} on {task}") as live:
        call = Store(asked.store, machine=machine, listen=live.listen)
        trained: Trained = call(train_ticket, ticket=ticket, task=task, recipe=recipe, seeds=Seeds(asked.seed))
    if asked.out:
        trained.save(asked.out)
    result = {
        **trained.scores,
        "density": trained.mask.density,
        **trained.cost.numbers(),
        "checks": dict(trained.checks),
        "key": trained.key,
        "out": asked.out,
    }
    if asked.json:
        print_json(result)
        return 0
    PLAIN.print(f"{trained!r}, {trained.cost.seconds:.1f} s")
    PLAIN.print(f"{sum(trained.checks.values())} of {len(trained.checks)} checks passed: {', '.join(trained.checks)}")
    if asked.out:
        PLAIN.print(f"{asked.out} written")
    return 0
