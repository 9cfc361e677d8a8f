"""What a reader must know before believing a study: dead layers, cells that mix runs, figures that show nothing."""

from collections.abc import Iterable, Sequence

from tombola.core.counted import number_of
from tombola.report.curves import drawn
from tombola.report.declared import Curve, Pivot
from tombola.report.environments import beneath, environments
from tombola.report.findings import Findings, Measured, Missing
from tombola.report.gather import value_of, varying
from tombola.report.judge import judge
from tombola.report.match import rows_of, why_no_number, why_none
from tombola.report.pivots import lay_out
from tombola.report.wording import labels_text

MOST_NAMED = 3


def cautions(findings: Findings) -> tuple[str, ...]:
    """Sentences, the gravest first; none where there is nothing to be careful of.

    Example:
        >>> cautions(Findings(title="", question="", study="", command="", rows=()))
        ()
    """
    return tuple([*_dead(findings.rows), *_across(findings), *_mixed(findings), *_empty(findings)])


def _dead(rows: Sequence[Measured]) -> Iterable[str]:
    dead = [row for row in rows if row.numbers.get("dead_layers")]
    if dead:
        named = "; ".join(labels_text(row.labels) for row in dead[:MOST_NAMED])
        more = f" and {len(dead) - MOST_NAMED:,} more" if len(dead) > MOST_NAMED else ""
        count = number_of(len(dead), "row is", "rows are")
        yield (
            f"Layer collapse: {count} of networks with a layer in which no weight is left ({named}{more}). What they "
            "reach says little; keep more, or use another scope."
        )


def _across(findings: Findings) -> Iterable[str]:
    """Results of several environments, side by side or one upon the other."""
    found = environments(findings.rows)
    if len(found) > 1:
        named = "; ".join(f"{n:,} from {text}" for text, n in list(found.items())[:MOST_NAMED])
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        mixed = sum(tested.mixed for judged in judge(findings) for tested in judged.tested)
        pairs = f" Paired comparisons mix them in {number_of(mixed, 'pair')}." if mixed else ""
        yield (
            f"Rows come from {len(found)} environments: {named}{more}. Results of different environments differ by "
            f"rounding, and their times cannot be compared.{pairs}"
        )
    if others := beneath(findings):
        named = "; ".join(f"{n:,} in {text}" for text, n in list(others.items())[:MOST_NAMED])
        count = sum(others.values())
        steps = number_of(count, "step behind the rows was", "steps behind the rows were")
        yield f"{steps} made in another environment than any row: {named}."


def _mixed(findings: Findings) -> Iterable[str]:
    for pivot in findings.tables:
        if mixed := lay_out(findings, pivot, ()).mixed:
            yield (
                f"The table of {pivot.of} puts rows together that differ in {' and '.join(mixed)}, and counts them as "
                "n; say where={...}, or declare a table for each."
            )
    for curve in findings.figures:
        points = drawn(findings, curve).points
        lines: dict[str, list[Measured]] = {}
        for point in points:
            lines.setdefault(str([point.rows[0].labels.get(name) for name in curve.arms]), []).extend(point.rows)
        same = (*curve.arms, *curve.over, curve.x)
        mixed = sorted({name for rows in lines.values() for name in _apart(rows, curve, same)})
        if mixed:
            yield f"A line of the figure of {curve.y} joins rows that differ in {' and '.join(mixed)}; add it to by."


def _apart(rows: Sequence[Measured], curve: Curve, same: Sequence[str]) -> list[str]:
    """The labels that differ between rows of one line although they are at the same x, in two digits."""
    found: set[str] = set()
    places: dict[object, list[Measured]] = {}
    for row in rows:
        x = value_of(row, curve.x)
        level = None if curve.table else row.labels.get("level")
        places.setdefault((level, x if x is None else f"{x:.2g}"), []).append(row)
    for inside in places.values():
        found.update(varying(inside, without=same))
    return sorted(found)


def _empty(findings: Findings) -> Iterable[str]:
    """Figures and tables without a number; those whose rows are still to come are no more than counted."""
    figures = [curve for curve in findings.figures if findings.rows and not drawn(findings, curve).points]
    tables = [pivot for pivot in findings.tables if findings.rows and not lay_out(findings, pivot, ()).lines]
    shown = [*figures, *tables]
    waiting = [one for one in shown if _able(findings.missing, one) and not _able(findings.rows, one)]
    for one in shown:
        if one not in waiting:
            why = _no_point(findings.rows, one) if isinstance(one, Curve) else _no_cell(findings.rows, one)
            yield f"{_spoken(one)} shows nothing: {why}."
    if waiting:
        of = len(findings.figures) + len(findings.tables)
        yield f"{len(waiting)} of {of} figures and tables are empty until their rows are there: run the study on."


def _able(rows: Sequence[Measured | Missing], one: Curve | Pivot) -> bool:
    """Whether a row has all the labels that a figure or a table wants."""
    wanted = {name for name in ((one.lines, one.columns) if isinstance(one, Pivot) else one.arms) if name}
    return any(wanted <= row.labels.keys() for row in rows_of(rows, one.where))


def _spoken(one: Curve | Pivot) -> str:
    named = f" '{one.title}'" if one.title else ""
    if isinstance(one, Pivot):
        return f"The table{named} of {one.of}"
    return f"The figure{named} of {one.y}" if one.table else f"The figure{named} of {one.y} against {one.x}"


def _no_cell(rows: Sequence[Measured], pivot: Pivot) -> str:
    """Why a table has no cell."""
    inside = rows_of(rows, pivot.where)
    lacking = inside and not any(pivot.of in row.numbers for row in inside)
    return why_no_number(inside, pivot.of) if lacking else why_none(rows, pivot.where)


def _no_point(rows: Sequence[Measured], curve: Curve) -> str:
    """Why a figure has no point."""
    if curve.table:
        return _no_table(rows, curve)
    inside = rows_of(rows, curve.where)
    lacking = [name for name in (curve.x, curve.y) if inside and not any(_has(row, name) for row in inside)]
    return why_no_number(inside, lacking[0]) if lacking else why_none(rows, curve.where)


def _no_table(rows: Sequence[Measured], curve: Curve) -> str:
    """Why no line of a table can be drawn."""
    inside = rows_of(rows, curve.where)
    if not inside:
        return why_none(rows, curve.where)
    tables = dict.fromkeys(name for row in inside for name in row.tables)
    if curve.table not in tables:
        return f"no row has a table {curve.table!r}; there is {', '.join(tables) or 'none'}"
    known = dict.fromkeys(name for row in inside for line in row.tables.get(curve.table, ()) for name in line)
    return f"the table {curve.table!r} has no numbers {curve.x!r} and {curve.y!r}; it has {', '.join(known)}"


def _has(row: Measured, name: str) -> bool:
    return name in row.numbers or name in row.labels


def misnamed(shown: Iterable[Curve | Pivot], rows: Sequence[Measured | Missing]) -> list[str]:
    """Labels that figures and tables speak of and no row has; found out before anything runs."""
    known = {name for row in rows for name in row.labels}
    said: list[str] = []
    for one in shown:
        names = [*one.where, *((one.lines, one.columns) if isinstance(one, Pivot) else one.arms)]
        for name in names:
            if name and name not in known:
                kind = "table" if isinstance(one, Pivot) else "figure"
                number = one.of if isinstance(one, Pivot) else one.y
                said.append(f"the {kind} of {number}: {why_none(rows, {name: ''})}.")
    return list(dict.fromkeys(said))
