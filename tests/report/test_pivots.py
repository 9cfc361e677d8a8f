"""Pivots, and what is shown of a study that declares nothing."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from tombola.report import pivots
from tombola.report.claims import Claim, NotWorse, winning
from tombola.report.declared import Curve, Pivot
from tombola.report.defaults import figures_of, tables_of
from tombola.report.findings import Findings, Measured
from tombola.report.judge import judge
from tombola.report.pivots import Sheet, lay_out

Make = Callable[..., Findings]


def sheet(findings: Findings, pivot: Pivot = Pivot()) -> Sheet:
    return lay_out(findings, pivot, judge(findings))


def probes(**ranges: tuple[str | int, ...]) -> Findings:
    """A row for every combination of labels, each with a barrier."""
    places: list[dict[str, str | int]] = [{}]
    for name, values in ranges.items():
        places = [{**place, name: value} for place in places for value in values]
    rows = tuple(
        Measured(labels=place, numbers={"barrier": float(at), "seconds": 1.0}, key=f"barrier:{at}")
        for at, place in enumerate(places)
    )
    return Findings(title="t", question="", study="", command="", rows=rows)


def test_a_cell_is_mean_and_spread_over_the_seeds(make_plain: Make):
    found = sheet(make_plain({("a", 0): (0.8, 0.9), ("b", 0): (0.7, 0.7), ("a", 1): (0.5, 0.6)}))
    assert (found.columns, found.n, [line.value for line in found.lines]) == (("a", "b"), 2, [0, 1])
    assert pivots.texts(found) == [["0", "85.0 ± 7.1", "70.0 ± 0.0"], ["1", "55.0 ± 7.1", "–"]]
    assert found.lines[0].cells[0].where == {"level": 0, "name": "a"}


def test_a_number_of_one_row_leads_to_that_row(make_plain: Make):
    found = sheet(make_plain({("a", 0): (0.8,), ("b", 0): (0.7, 0.6)}))
    assert [cell.key for cell in found.lines[0].cells] == ["a:00", ""]
    assert found.n is None
    assert pivots.texts(found) == [["0", "80.0 (n = 1)", "65.0 ± 7.1 (n = 2)"]]


def test_unequal_densities_are_both_shown(make_synthetic: Make):
    made = make_synthetic(levels=1, claims=())
    thin = {"density": 0.5, "kept": 44700}
    rows = tuple(replace(r, numbers={**r.numbers, **thin}) if r.labels["name"] == "shuffle" else r for r in made.rows)
    found = sheet(replace(made, rows=rows))
    assert [cell.density for cell in found.lines[1].cells] == [None, None, 0.5]
    assert found.lines[1].beside == ("65 %",)
    assert pivots.texts(found)[1][-1].endswith(" at 50 %")


def test_verdicts_stand_on_the_line_that_they_speak_of(make_synthetic: Make):
    made = make_synthetic(levels=2)
    found = sheet(made)
    assert [len(line.judged) for line in found.lines] == [0, 1, 1]
    assert pivots.headings(found)[-1] == "verdict"
    assert pivots.texts(found)[2][-1] == "✓ confirmed"
    assert not sheet(made, Pivot(verdicts="hide")).verdicts
    assert not sheet(made, Pivot(of="test_loss")).verdicts
    assert not sheet(made, Pivot(where={"name": "reinit"})).verdicts


def test_several_verdicts_on_a_line_name_their_columns(make_plain: Make):
    rows = {(name, level): (0.9, 0.9) for name in ("a", "b") for level in (0, 1)}
    claims = tuple(
        Claim(f"{name} holds", tests=(NotWorse(where={"name": name, "level": 1}, than={"name": name, "level": 0}),))
        for name in ("a", "b")
    )
    assert pivots.texts(sheet(make_plain(rows, claims=claims)))[1][-1] == "✓ a; ✓ b"


def test_cells_that_mix_say_so():
    found = sheet(probes(depth=(14, 20), level=(1, 2), seed=(0, 1)), Pivot(lines="level", columns="", of="barrier"))
    assert found.mixed == ("depth",)
    assert [line.cells[0].found and line.cells[0].found.n for line in found.lines] == [4, 4]


def test_rows_without_the_column_have_one_of_their_own(make_plain: Make):
    made = make_plain({("a", 0): (0.8,)})
    bare = Measured(labels={"level": 0, "seed": 0}, numbers={"test_accuracy": 0.5}, key="k")
    found = sheet(replace(made, rows=(*made.rows, bare)))
    assert [found.heading(column) for column in found.columns] == ["a", "test accuracy"]
    assert pivots.texts(found) == [["0", "80.0", "50.0"]]


def test_csv_and_markdown_hold_the_same(make_plain: Make):
    found = sheet(make_plain({("a|b", 0): (0.8, 0.9), ("c", 1): (0.5,)}))
    read = list(csv.DictReader(io.StringIO(pivots.to_csv(found))))
    assert [(line["level"], line["name"], line["n"]) for line in read] == [("0", "a|b", "2"), ("1", "c", "1")]
    assert float(read[0]["mean"]) == 0.8500000000000001 and read[1]["sd"] == ""
    assert "| level | a\\|b, % | c, % |" in pivots.to_markdown(found)


def test_a_ladder_that_declares_nothing_gets_its_curve_and_its_table(make_synthetic: Make):
    made = make_synthetic(levels=2)
    (table,) = tables_of(made)
    assert (table.lines, table.columns, table.of) == ("level", "name", "test_accuracy")
    (curve,) = figures_of(made)
    assert (curve.x, curve.arms, curve.baseline) == ("density", ("name",), {"name": "ticket", "level": 0})


def test_few_levels_and_many_names_still_have_levels_in_lines(make_synthetic: Make):
    (table,) = tables_of(make_synthetic(levels=1, arms=("ticket", "reinit", "shuffle"), claims=()))
    assert (table.lines, table.columns) == ("level", "name")


def test_probes_that_declare_nothing_are_laid_out_by_what_varies_most():
    made = probes(depth=(14, 20), level=(1, 2, 3), seed=(0, 1, 2, 3))
    (table,) = tables_of(made)
    assert (table.lines, table.columns, table.of) == ("level", "depth", "barrier")
    (curve,) = figures_of(made)
    assert (curve.x, curve.y, curve.arms, curve.log_x) == ("level", "barrier", ("depth",), False)


def test_a_third_label_gets_tables_of_its_own_not_a_mixture():
    made = probes(depth=(14, 20), level=(1, 2, 3), name=("moved", "shuffled"), seed=(0, 1))
    found = [sheet(made, pivot) for pivot in tables_of(made)]
    assert [table.title for table in found] == ["Barrier by level, moved", "Barrier by level, shuffled"]
    assert {table.mixed for table in found} == {()}


def test_what_a_study_declares_is_taken(make_synthetic: Make):
    made = make_synthetic(levels=1, figures=(Curve(y="test_loss"),), tables=(Pivot(of="test_loss"),))
    assert figures_of(made) == made.figures
    assert tables_of(made) == made.tables


def test_one_row_without_labels_is_no_table():
    row = Measured(labels={}, numbers={"barrier": 1.0}, key="k")
    made = Findings(title="", question="", study="", command="", rows=(row,), claims=(winning(1),))
    assert tables_of(made) == () == figures_of(made)
