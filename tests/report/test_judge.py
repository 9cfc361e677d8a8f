"""Claims judged from rows whose numbers are chosen by hand."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from scipy import stats

from tombola.core.errors import Refused
from tombola.report.claim_words import basis_text, evidence_text, outcome_text, published_of, statement_text, tally
from tombola.report.claims import Agrees, Better, Beyond, Claim, NotWorse, Published, winning
from tombola.report.findings import Findings, Measured, Missing
from tombola.report.judge import Judged, judge, one_more

Make = Callable[..., Findings]
DENSE = (0.95, 0.94, 0.96)
WIN = {("ticket", 0): DENSE, ("ticket", 1): DENSE, ("reinit", 1): (0.9, 0.9, 0.9), ("shuffle", 1): (0.8, 0.9, 0.9)}


def only(findings: Findings) -> Judged:
    (found,) = judge(findings)
    return found


def test_a_clear_win(make_plain: Make):
    found = only(make_plain(WIN, claims=(winning(1),)))
    assert (found.outcome, found.basis, found.n, found.needed) == ("confirmed", "clear", 3, None)
    assert [tested.outcome for tested in found.tested] == ["holds", "holds", "holds"]
    assert (outcome_text(found), basis_text(found)) == (
        "confirmed",
        "clear: every seed agrees beyond the margin, n = 3",
    )
    assert evidence_text(found.tested[1]) == (
        "95.00 ± 1.00 % against 90.00 ± 0.00 %: +5.00 points, 95 % interval +2.52 to +7.48 points, n = 3"
    )


def test_seeds_are_paired(make_plain: Make):
    """Each seed is below its own dense network by 0.1 points, though the seeds differ by two points."""
    near = {**WIN, ("ticket", 1): tuple(value - 0.001 for value in DENSE)}
    assert only(make_plain(near, claims=(winning(1),))).outcome == "confirmed"
    mixed = {**WIN, ("ticket", 1): (0.94, 0.96, 0.95)}
    found = only(make_plain(mixed, claims=(winning(1),)))
    assert found.outcome == "undecided"
    assert basis_text(found).startswith("open: not worse than level 0 by more than 0.2 points; about ")


def test_the_margin_decides(make_plain: Make):
    lower = {**WIN, ("ticket", 1): tuple(value - 0.004 for value in DENSE)}
    assert only(make_plain(lower, claims=(winning(1),))).outcome == "contradicted"
    assert only(make_plain(lower, claims=(winning(1, margin=0.01),))).outcome == "confirmed"


def test_losing_to_one_control_is_losing(make_plain: Make):
    found = only(make_plain({**WIN, ("reinit", 1): (0.97, 0.97, 0.97)}, claims=(winning(1),)))
    assert found.outcome == "contradicted"
    assert basis_text(found) == "fails: better than reinit; clear: every seed agrees beyond the margin, n = 3"


def test_without_a_control_nothing_is_won(make_plain: Make):
    rows = {place: values for place, values in WIN.items() if place[0] != "shuffle"}
    found = only(make_plain(rows, claims=(winning(1),)))
    assert (found.outcome, found.needed) == ("undecided", None)
    assert found.reasons == ("no row has name shuffle; known: ticket, reinit",)
    lost = only(make_plain({**rows, ("reinit", 1): (0.97, 0.97, 0.97)}, claims=(winning(1),)))
    assert lost.outcome == "contradicted"  # One test that fails is enough.


def test_one_seed_is_never_a_verdict(make_plain: Make):
    found = only(make_plain({place: values[:1] for place, values in WIN.items()}, claims=(winning(1),)))
    assert (found.outcome, found.n, found.needed) == ("undecided", 1, 5)
    assert outcome_text(found) == "undecided at n = 1"


def test_rows_at_another_density_are_not_compared(make_plain: Make):
    made = make_plain({("a", 1): (0.9, 0.9), ("b", 1): (0.8, 0.8)})

    def judged(percent: float, **more: object) -> Judged:
        density = {"a": 0.5, "b": 0.5 * (1 - percent / 100)}
        rows = tuple(replace(r, numbers={**r.numbers, "density": density[str(r.labels["name"])]}) for r in made.rows)
        test = Better(where={"name": "a"}, than={"name": "b"}, **more)  # type: ignore[arg-type]
        return only(replace(made, rows=rows, claims=(Claim("c", tests=(test,)),)))

    assert judged(0.9).outcome == "confirmed"
    refused = judged(1.1)
    assert refused.outcome == "undecided"
    assert refused.reasons == ("not at equal density: 50 % and 49.5 % (seed 0)",)
    assert judged(1.1, equal_density="any").outcome == "confirmed"


def test_a_dense_network_is_called_by_name(make_plain: Make):
    made = make_plain({("ticket", 0): DENSE, ("ticket", 1): DENSE})
    rows = tuple(replace(r, numbers={**r.numbers, "density": 0.8 ** int(r.labels["level"])}) for r in made.rows)
    found = only(replace(made, rows=rows, claims=(winning(1, controls=()),)))
    assert statement_text(found.tested[0]) == "not worse than the dense network by more than 0.2 points"


UNIT = (-math.sqrt(2), 0.0, 0.0, 0.0, math.sqrt(2))  # Squares sum to 4, so the sd of five is 1.


def five(make_plain: Make, *leads: float) -> Findings:
    """Arm 0 stands at 0; arm k leads it by these means, each with an sd of 1."""
    rows = {
        ("none", 0): (0.0,) * 5,
        **{(f"arm{at}", 0): tuple(u + lead for u in UNIT) for at, lead in enumerate(leads)},
    }
    return make_plain(rows, number="score")


def ahead(at: int, **more: object) -> Claim:
    test = Better(where={"name": f"arm{at}"}, than={"name": "none"}, of="score")
    return Claim(f"arm {at} is ahead", tests=(test,), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lead", "outcome"), [(1.25, "confirmed"), (1.23, "undecided"), (-1.25, "contradicted"), (-1.23, "undecided")]
)
def test_from_five_pairs_the_interval_decides(make_plain: Make, lead: float, outcome: str):
    """The half width is 2.776 / sqrt(5) = 1.2416."""
    found = only(replace(five(make_plain, lead), claims=(ahead(0),)))
    assert (found.outcome, found.basis, found.n) == (outcome, "interval", 5)
    low, high = found.tested[0].between or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(2.7764 / math.sqrt(5), rel=1e-4)
    ours = [u + lead for u in UNIT]
    assert found.p == pytest.approx(float(stats.ttest_rel(ours, [0.0] * 5).pvalue))


def test_a_family_is_corrected_and_families_are_apart(make_plain: Make):
    """p just below 0.05 decides alone, but not beside another one: 2 * p is above 0.05."""
    made = five(make_plain, 1.25, 1.25)
    together = judge(replace(made, claims=(ahead(0), ahead(1))))
    assert [found.outcome for found in together] == ["undecided", "undecided"]
    assert together[0].p == pytest.approx(2 * float(stats.ttest_1samp([u + 1.25 for u in UNIT], 0).pvalue))
    apart = judge(replace(made, claims=(ahead(0, family="a"), ahead(1, family="b"))))
    assert [found.outcome for found in apart] == ["confirmed", "confirmed"]
    unmeasured = judge(replace(made, claims=(ahead(0), ahead(7))))
    assert [found.outcome for found in unmeasured] == ["confirmed", "not measured"]


def test_the_n_that_would_decide_is_stated(make_plain: Make):
    """sd 1, mean 1: t / sqrt(n) < 1 first at n = 7 (2.447 / 2.646)."""
    rows = {("a", 0): (0.0, 1.0, 2.0), ("b", 0): (0.0, 0.0, 0.0)}
    claim = Claim("c", tests=(Better(where={"name": "a"}, than={"name": "b"}, of="score"),))
    found = only(make_plain(rows, number="score", claims=(claim,)))
    assert (found.outcome, found.needed) == ("undecided", 7)
    assert basis_text(found) == "about 7 seeds would decide"


def test_lower_is_better_where_the_claim_says_so(make_plain: Make):
    rows = {("a", 0): (1.0, 1.1), ("b", 0): (2.0, 2.2)}
    less = Better(where={"name": "a"}, than={"name": "b"}, of="loss", higher=False)
    found = only(make_plain(rows, number="loss", claims=(Claim("c", tests=(less,)),)))
    assert found.outcome == "confirmed"
    assert found.tested[0].lead and found.tested[0].lead.differences == pytest.approx((1.0, 1.1))
    assert evidence_text(found.tested[0]).startswith("1.05 ± 0.07 against 2.1 ± 0.1, lower is better: +1.05, 95 %")
    more = replace(less, higher=True)
    assert only(make_plain(rows, number="loss", claims=(Claim("c", tests=(more,)),))).outcome == "contradicted"
    slack = NotWorse(where={"name": "b"}, than={"name": "a"}, of="loss", higher=False, margin=1.2)
    assert only(make_plain(rows, number="loss", claims=(Claim("c", tests=(slack,)),))).outcome == "confirmed"


def test_by_how_much_must_be_beyond_the_margin(make_plain: Make):
    rows = {("a", 0): (0.95, 0.951), ("b", 0): (0.9, 0.9)}
    for margin, outcome in [(0.04, "confirmed"), (0.049, "undecided"), (0.06, "contradicted")]:
        test = Better(where={"name": "a"}, than={"name": "b"}, margin=margin)
        assert only(make_plain(rows, claims=(Claim("c", tests=(test,)),))).outcome == outcome


OURS = (0.9822, 0.9837, 0.9851)


def published(value: float, reading: float = 0.0) -> Agrees:
    return Agrees(where={"name": "ticket", "level": 15}, published=Published(value=value, source="x", reading=reading))


def test_a_published_run_is_held_against_one_more_of_ours(make_plain: Make):
    """n = 3, t = 4.3027: mean ± 4.3027 * sd * sqrt(4/3)."""
    mean, sd = sum(OURS) / 3, 0.00145029
    reach = 4.30265 * sd * math.sqrt(4 / 3)
    assert one_more(OURS) == pytest.approx((mean - reach, mean + reach), abs=1e-7)
    made = make_plain({("ticket", 15): OURS})
    for value, reading, outcome, needed in [
        (mean + 0.00199, 0.0, "confirmed", None),
        (mean - 0.00399, 0.002, "confirmed", None),
        (mean + 0.00201, 0.0, "undecided", None),  # With ever so many seeds one more run lies within 0.00284.
        (mean + reach - 1e-5, 0.0, "undecided", 4),  # 3.18245 * sd * sqrt(5/4) = 0.00516 < 0.00720.
        (mean - 0.0040, 0.0, "undecided", 7),  # n = 6: 2.57058 * sd * sqrt(7/6) = 0.00403; n = 7: 0.00379.
        (mean + reach + 1e-5, 0.0, "contradicted", None),
        (mean + reach + 1e-5, 0.002, "undecided", 4),
        (mean - reach - 0.0021, 0.002, "contradicted", None),
    ]:
        claim = Claim("as published", tests=(published(value, reading),))
        found = only(replace(made, claims=(claim,)))
        assert (found.outcome, found.needed) == (outcome, needed), value


def test_one_run_cannot_agree_or_disagree(make_plain: Make):
    found = only(make_plain({("ticket", 15): OURS[:1]}, claims=(Claim("c", tests=(published(0.9835),)),)))
    assert (found.outcome, found.n, found.needed) == ("undecided", 1, 2)


def test_a_published_figure_stands_beside_ours(make_plain: Make):
    paper = Published(value=0.9835, source="a paper")
    claim = Claim("c", tests=(Better(where={"name": "ticket"}, than={"name": "reinit"}),), published=paper)
    found = only(make_plain({("ticket", 15): OURS, ("reinit", 15): OURS}, claims=(claim,)))
    assert published_of(found) == (("test_accuracy", paper, "98.37 ± 0.15 %"),)


def test_differences_and_published_figures_must_all_hold(make_plain: Make):
    better = Better(where={"name": "ticket"}, than={"name": "reinit"})
    rows = {("ticket", 15): OURS, ("reinit", 15): (0.9, 0.9, 0.9)}
    for figure, outcome in [(0.9835, "confirmed"), (0.5, "contradicted")]:
        claim = Claim("c", tests=(better, published(figure)))
        assert only(make_plain(rows, claims=(claim,))).outcome == outcome


def test_what_is_not_there_is_not_measured_and_says_why(make_plain: Make):
    made = make_plain({("ticket", 0): DENSE, ("ticket", 1): DENSE})
    found = only(replace(made, claims=(winning(7),)))
    assert (found.outcome, found.n) == ("not measured", 0)
    assert basis_text(found) == "no row has level 7; the nearest is 1"
    other = Claim("c", tests=(Better(where={"level": 1}, than={"level": 0}, of="test_acuracy"),))
    assert "has the number 'test_acuracy'; the nearest is 'test_accuracy'" in basis_text(
        only(replace(made, claims=(other,)))
    )
    waiting = (Missing(labels={"name": "ticket", "level": 7, "seed": 0}, key="k", why="the disk was full"),)
    assert "1 row is missing (the disk was full)" in basis_text(
        only(replace(made, claims=(winning(7),), missing=waiting))
    )


def test_seeds_on_one_side_only_are_left_out_and_counted(make_plain: Make):
    rows = {("a", 1): (0.9, 0.91, 0.92), ("b", 1): (0.8, 0.81)}
    found = only(make_plain(rows, claims=(Claim("c", tests=(Better(where={"name": "a"}, than={"name": "b"}),)),)))
    assert (found.outcome, found.n) == ("confirmed", 2)
    assert evidence_text(found.tested[0]).endswith("n = 2; 1 row without a counterpart left out")


def test_pairs_of_one_seed_are_one_piece_of_evidence(make_plain: Make):
    """Two seeds at three levels are two runs, not six: their means lead by 0.02 and 0.03."""
    levels = {("a", 1): (0.91, 0.92), ("a", 2): (0.92, 0.93), ("a", 3): (0.93, 0.94)}
    rows = {**levels, ("b", 1): (0.9, 0.9), ("b", 2): (0.9, 0.9), ("b", 3): (0.9, 0.9)}
    test = Better(where={"name": "a"}, than={"name": "b"}, by=("seed", "level"))
    found = only(make_plain(rows, claims=(Claim("c", tests=(test,)),)))
    assert (found.outcome, found.n) == ("confirmed", 2)
    assert found.tested[0].lead and found.tested[0].lead.differences == pytest.approx((0.02, 0.03))
    assert found.tested[0].here and found.tested[0].here.n == 2


@pytest.mark.parametrize("by", [("seed", "level"), ("level", "seed")])
def test_seeds_are_the_runs_wherever_they_are_named(make_plain: Make, by: tuple[str, ...]):
    levels = {("a", 1): (0.91, 0.92), ("a", 2): (0.92, 0.93), ("a", 3): (0.93, 0.94)}
    rows = {**levels, ("b", 1): (0.9, 0.9), ("b", 2): (0.9, 0.9), ("b", 3): (0.9, 0.9)}
    test = Better(where={"name": "a"}, than={"name": "b"}, by=by)
    found = only(make_plain(rows, claims=(Claim("c", tests=(test,)),)))
    assert (found.outcome, found.n) == ("confirmed", 2)
    assert found.tested[0].lead and found.tested[0].lead.differences == pytest.approx((0.02, 0.03))
    one = only(make_plain({place: values[:1] for place, values in rows.items()}, claims=(Claim("c", tests=(test,)),)))
    assert basis_text(one).startswith("one seed has no spread") or "seeds would decide" in basis_text(one)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("error", math.nan), ("error", math.inf), ("apart", math.nan), ("apart", math.inf), ("density", math.nan)],
)
def test_what_is_not_finite_makes_no_verdict(name: str, wrong: float):
    def rows(value: float) -> tuple[Measured, ...]:
        numbers = [{"lead": 0.1 * (arm == "a"), "e": 0.001, "d": 0.0, "density": 0.5} for arm in "ab" for _ in range(3)]
        numbers[1] |= {{"error": "e", "apart": "d", "density": "density"}[name]: value}
        labels = [{"name": arm, "seed": seed} for arm in "ab" for seed in range(3)]
        return tuple(
            Measured(labels=label, numbers=one, key=f"toy:{place}")
            for place, (label, one) in enumerate(zip(labels, numbers, strict=True))
        )

    alone = Beyond(where={"name": "a"}, of="lead", value=0.0, error="e", apart="d")
    paired = Better(where={"name": "a"}, than={"name": "b"}, of="lead", error="e")
    for test in [alone] if name == "apart" else [paired] if name == "density" else [alone, paired]:
        claims = (Claim("c", tests=(test,)),)
        sound, found = (
            only(Findings(title="t", question="", study="", command="", rows=rows(value), claims=claims))
            for value in ({"error": 0.001, "apart": 0.0, "density": 0.5}[name], wrong)
        )
        assert sound.tested[0].outcome == "holds" and found.tested[0].outcome == "not measured"
        assert found.outcome != "confirmed" and found.tested[0].why


def test_nothing_in_common_cannot_be_paired():
    rows = tuple(
        Measured(labels={"name": name, "seed": seed}, numbers={"test_accuracy": 0.9}, key=f"{name}{seed}")
        for name, seed in (("a", 0), ("b", 1))
    )
    claim = Claim("c", tests=(Better(where={"name": "a"}, than={"name": "b"}),))
    found = only(Findings(title="", question="", study="", command="", rows=rows, claims=(claim,)))
    assert (found.outcome, found.reasons) == (
        "undecided",
        ("no seed is on both sides, so nothing can be paired",),
    )


def test_a_diverged_training_is_no_evidence(make_plain: Make):
    rows = {("a", 0): (0.5, math.nan), ("b", 0): (0.1, 0.1)}
    claim = Claim("c", tests=(Better(where={"name": "a"}, than={"name": "b"}, of="loss"),))
    found = only(make_plain(rows, number="loss", claims=(claim,)))
    assert found.outcome == "undecided"
    assert found.reasons == ("loss is not finite in every row (a training diverged)",)
    figure = Agrees(where={"name": "a"}, of="loss", published=Published(value=1.0, source="x"))
    assert only(make_plain(rows, number="loss", claims=(Claim("c", tests=(figure,)),))).outcome == "not measured"


def test_an_ambiguous_claim_is_refused(make_plain: Make):
    claim = Claim("tickets win", tests=(Better(where={"name": "ticket"}, than={"name": "reinit"}),))
    with pytest.raises(Refused, match="'tickets win': .* picks two rows for seed 0: .* They differ in level"):
        judge(make_plain(WIN, claims=(claim,)))


def test_rows_without_the_number_are_not_picked(make_plain: Make):
    """A probe may be measured under the labels of a training: it has other numbers."""
    made = make_plain(WIN, claims=(winning(1),))
    probes = tuple(
        Measured(labels={**row.labels, "probe": "travel"}, numbers={"travel": 1.0}, key=f"probe:{n:016x}")
        for n, row in enumerate(made.rows)
    )
    assert only(replace(made, rows=(*probes, *made.rows))).outcome == only(made).outcome == "confirmed"


def test_the_tally_counts_every_outcome(make_plain: Make):
    found = judge(make_plain(WIN, claims=(winning(1), winning(9))))
    assert tally(found) == "1 of 2 claims is confirmed, 1 is not measured."
    assert tally(found[:1]) == "1 of 1 claim is confirmed."
    assert tally([]) == ""


def measured(numbers: dict[str, tuple[float, ...]], **labels: str) -> tuple[Measured, ...]:
    n = len(next(iter(numbers.values())))
    each = [{name: values[seed] for name, values in numbers.items()} for seed in range(n)]
    name = "".join(labels.values())
    return tuple(Measured(labels={**labels, "seed": s}, numbers=each[s], key=f"{name}{s}") for s in range(n))


def findings(rows: tuple[Measured, ...], *tests: Better | NotWorse | Beyond | Agrees) -> Findings:
    return Findings(title="", question="", study="", command="", rows=rows, claims=(Claim("c", tests=tests),))


@pytest.mark.parametrize(
    ("value", "outcome", "turned"),
    [
        (0.87, "confirmed", "contradicted"),
        (0.89, "undecided", "undecided"),
        (1.11, "undecided", "undecided"),
        (1.13, "contradicted", "confirmed"),
    ],
)
def test_a_number_is_held_against_a_value(value: float, outcome: str, turned: str):
    """Mean 1, standard deviation 0.1: with five runs the interval of 95 % ends 0.124 from the mean."""
    rows = measured({"lead": tuple(1 + 0.1 * u for u in UNIT)}, name="a")
    above = Beyond(where={"name": "a"}, of="lead", value=value)
    assert only(findings(rows, above)).outcome == outcome
    assert only(findings(rows, replace(above, higher=False))).outcome == turned


def test_a_number_against_a_value_is_told_in_its_unit():
    rows = measured({"lead_points": (-2.0, -1.0, -1.5)}, name="a")
    low = Beyond(where={"name": "a"}, of="lead_points", value=-3.0)
    high = replace(low, value=-1.0, higher=False)
    above, below = only(findings(rows, low, high)).tested
    assert statement_text(above) == "lead points above −3.00 points"
    assert statement_text(below) == "lead points below −1.00 points"
    assert evidence_text(above).startswith("-1.5 ± 0.5, 95 % interval −2.74 points and −0.26 points, n = 3")
    assert (above.outcome, below.outcome) == ("holds", "undecided")  # One run is no lower than -1.


def test_a_test_set_may_be_too_small_for_what_all_seeds_agree_on():
    """A lead of 2 points; at a standard error of 1 point another test set moves it by 1.96, at 1.1 by 2.156."""
    leads = tuple(2 + 0.1 * u for u in UNIT)
    test = Beyond(where={"name": "a"}, of="lead", error="lead_error")
    for error, outcome in ((1.0, "confirmed"), (1.1, "undecided")):
        rows = measured({"lead": leads, "lead_error": (error,) * 5, "examples": (400.0,) * 5}, name="a")
        assert only(findings(rows, test)).outcome == outcome
    found = only(findings(rows, test))
    assert found.needed is None
    assert basis_text(found) == "400 test examples are too few, about 470 would decide"  # 400 (2.156 / 2) ** 2 = 464.8
    assert evidence_text(found.tested[0]).endswith("another test set of 400 examples might move it by 2.16")
    assert only(findings(rows, replace(test, error=""))).outcome == "confirmed"
    against = only(findings(rows, replace(test, value=5.0)))
    assert against.outcome == "contradicted"


def test_errors_of_two_sides_add_in_squares_and_seeds_do_not_shrink_them():
    """0.03 and 0.04 make 0.05: 9.8 points. A lead of 10 points stands, one of 9 does not."""
    for ahead, outcome in ((0.10, "confirmed"), (0.09, "undecided")):
        first = measured({"accuracy": tuple(0.7 + ahead + 1e-4 * u for u in UNIT), "error": (0.03,) * 5}, name="a")
        second = measured({"accuracy": (0.7,) * 5, "error": (0.04,) * 5}, name="b")
        test = Better(where={"name": "a"}, than={"name": "b"}, of="accuracy", error="error")
        found = only(findings((*first, *second), test))
        assert found.outcome == outcome
        assert found.tested[0].test_set == pytest.approx(1.95996 * 0.05, rel=1e-4)
    assert basis_text(found) == "the test set is too small"


def test_one_sure_failure_is_enough_and_all_must_surely_hold():
    sure = measured({"lead": tuple(-2 + 0.1 * u for u in UNIT), "e": (0.1,) * 5, "examples": (400.0,) * 5}, name="a")
    unsure = measured({"lead": tuple(-1 + 0.1 * u for u in UNIT), "e": (1.0,) * 5}, name="b")
    tests = [Beyond(where={"name": name}, of="lead", error="e") for name in "ab"]
    assert only(findings((*sure, *unsure), *tests)).outcome == "contradicted"
    assert only(findings((*sure, *unsure), tests[1])).outcome == "undecided"
    both = [replace(test, higher=False) for test in tests]
    assert only(findings((*sure, *unsure), both[0])).outcome == "confirmed"
    assert only(findings((*sure, *unsure), *both)).outcome == "undecided"  # For that all must hold.


def test_an_error_that_the_rows_do_not_have_is_named():
    rows = measured({"lead": (1.0, 1.1), "lead_error": (0.1, 0.1)}, name="a")
    found = only(findings(rows, Beyond(where={"name": "a"}, of="lead", error="lead_eror")))
    assert found.outcome == "not measured"
    assert found.reasons == ("none of its 2 rows has the number 'lead_eror'; the nearest is 'lead_error'",)


def test_what_the_test_set_leaves_open_contradicts_nothing():
    """The one fails on every seed by less than its test set may turn, the other is not sure over seeds."""
    open_one = measured(
        {"lead": tuple(-0.1 + 1e-4 * u for u in UNIT), "e": (1.0,) * 5, "examples": (400.0,) * 5}, name="a"
    )
    unsure = measured({"lead": tuple(-0.5 + u for u in UNIT), "e": (0.01,) * 5, "examples": (400.0,) * 5}, name="b")
    tests = [Beyond(where={"name": name}, of="lead", error="e") for name in "ab"]
    found = only(findings((*open_one, *unsure), *tests))
    assert (found.outcome, [test.outcome for test in found.tested]) == ("undecided", ["undecided", "undecided"])


def test_runs_are_called_what_they_are():
    rows = [Measured(labels={"vocabulary": v}, numbers={"lead": 1.0 + v / 10}, key=str(v)) for v in (1, 2, 3)]
    test = Beyond(where={}, of="lead", by=("vocabulary",))
    assert basis_text(only(findings(tuple(rows), test))) == "clear: every vocabulary agrees beyond the margin, n = 3"
    split = replace(test, value=1.2)
    assert basis_text(only(findings(tuple(rows), split))) == "no number of vocabularies in reach would decide"


def test_leads_between_unequal_numbers_of_weights_are_no_evidence():
    test = Beyond(where={"name": "a"}, of="lead", apart="weights_apart")
    for apart, outcome in ((0.01, "confirmed"), (0.02, "undecided")):
        rows = measured({"lead": (1.0, 1.1), "weights_apart": (0.0, apart)}, name="a")
        found = only(findings(rows, test))
        assert found.outcome == outcome
    assert found.reasons == ("not at equal density: 0.02 apart (seed 1)",)
    assert only(findings(rows, replace(test, apart=""))).outcome == "confirmed"
    assert "the number 'apart'" in only(findings(rows, replace(test, apart="apart"))).reasons[0]
