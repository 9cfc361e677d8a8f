"""What the commands on studies share: the study that is named, how it is said again, what is told of its findings."""

import dataclasses
import logging
import pathlib
from typing import Any

from tombola.commands.shared import quoted
from tombola.core.counted import number_of
from tombola.core.errors import Failed, Refused
from tombola.core.text import parse
from tombola.report.cautions import misnamed
from tombola.report.claims import Claim
from tombola.report.collect import UNFIT
from tombola.report.declared import Curve, Pivot
from tombola.report.findings import Findings, Missing
from tombola.report.judge import judge
from tombola.report.match import check
from tombola.study.environment import Reuse
from tombola.study.goals import Goal
from tombola.study.graph import Graph, graph_of
from tombola.study.module import Study, open_study
from tombola.study.plan import Plan
from tombola.study.store import Store
from tombola.words import studies as words

log = logging.getLogger(__name__)
DECLARED = {"claims": Claim, "figures": Curve, "tables": Pivot}
"""What the functions of a study besides `goals` must yield."""


AGAIN = ("store", "workers", "engine", "address", "machine", "reuse")
"""Options that a command is said again with."""
MOST_NAMED = 3
"""Environments that are named in one line."""


def named(asked: words.OfStudy) -> Study:
    """The study that a command names."""
    if not asked.study:
        raise Refused("name a study: a Python file, or a shipped one such as quickstart. See: tombola list study")
    return open_study(asked.study)


def opened(asked: words.OfStudy) -> tuple[Study, Graph]:
    """The study and its graph; what it declares for the report is looked at too, before anything runs."""
    study = named(asked)
    graph = graph_of(study.goals())
    for what, kind in DECLARED.items():
        for number, one in enumerate(study.declared(what)):
            if not isinstance(one, kind):
                raise Refused(
                    f"{study.place}: {what}() yields a {type(one).__name__} (number {number + 1}). It must yield "
                    f"{kind.__name__}(...)."
                )
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in graph.goals]
    shown = (*study.declared("figures"), *study.declared("tables"))
    for said in [*check(study.declared("claims"), rows), *misnamed(shown, rows)]:
        log.warning("%s", said)
    return study, graph


def with_others(graph: Graph, asked: words.Run) -> Graph:
    """The graph, together with those of the studies that run along."""
    if not asked.beside:
        return graph
    others = [(text, goal) for text in asked.beside for goal in open_study(text).goals()]
    return graph_of([*graph.goals, *(Goal(goal.of, {**goal.labels, "study": text}) for text, goal in others)])


def home_of(study: Study, store: str) -> pathlib.Path:
    """Where the log of a study lies, and what its workers print."""
    return pathlib.Path(store) / "studies" / study.label


def looked_at(asked: words.OfResults) -> Store:
    """The store, seen from the environment that a command names; its device need not be here."""
    return Store(asked.store, machine=parse("machine", asked.machine), reuse=asked.reuse)


def elsewhere(found: Plan, *, reuse: Reuse) -> str:
    """What to say of results that another environment made; "" if there are none."""
    total = sum(found.elsewhere.values())
    if not total:
        return ""
    one = total == 1
    named = "; ".join(f"{n:,} from {text}" for text, n in list(found.elsewhere.items())[:MOST_NAMED])
    more = "; ..." if len(found.elsewhere) > MOST_NAMED else ""
    if reuse == "same":
        return (
            f"{total:,} of the steps that are not stored from here {'is' if one else 'are'} there from another "
            f"environment ({named}{more}); --reuse any counts {'it' if one else 'them'} as done."
        )
    return (
        f"{total:,} of the stored steps come{'s' * one} from another environment ({named}{more}); "
        f"{'it counts' if one else 'they count'} as done (--reuse same makes {'it' if one else 'them'} again here)."
    )


def also(asked: words.OfStudy, *names: str) -> str:
    """The options of a command that were given, to say it again."""
    given = ""
    for field in dataclasses.fields(asked):
        value = getattr(asked, field.name)
        if field.name in (names or AGAIN) and value != field.default:
            given += f" --{field.name} {quoted(str(value))}"
    several = {"use": asked.use, **({"beside": asked.beside} if isinstance(asked, words.Run) and not names else {})}
    return given + "".join(f" --{name} {quoted(one)}" for name, all_of in several.items() for one in all_of)


def told(findings: Findings) -> dict[str, Any]:
    """What `--json` prints of findings."""
    claims = [
        {"claim": one.claim.sentence, "verdict": one.outcome, "n": one.n, "needed": one.needed}
        for one in judge(findings)
    ]
    rows = [
        {"labels": dict(one.labels), "numbers": dict(one.numbers), "key": one.key, "environment": one.environment}
        for one in findings.rows
    ]
    missing = [{"labels": dict(one.labels), "key": one.key, "why": one.why} for one in findings.missing]
    return {"study": findings.study, "claims": claims, "rows": rows, "missing": missing}


def trust(findings: Findings) -> None:
    """Refuse to end well where a row cannot be shown or a check did not hold."""
    unfit = [row for row in findings.missing if row.why.startswith(UNFIT)]
    if unfit:
        raise Failed(f"{number_of(len(unfit), 'row')} cannot be shown, the first: {unfit[0].key}: {unfit[0].why}")
    broken = [(row.key, name) for row in findings.rows for name, held in row.checks.items() if not held]
    if broken:
        key, name = broken[0]
        raise Failed(
            f"{number_of(len(broken), 'check')} did not hold, the first: '{name}' of {key}. "
            "Such results are not to be trusted."
        )
