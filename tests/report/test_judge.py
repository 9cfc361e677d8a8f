"""Winning, judged from rows whose accuracies are chosen by hand."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tombola.report.headline import headline
from tombola.report.judge import judge
from tombola.report.summary import Summary


def with_accuracies(summary: Summary, found: Mapping[tuple[str, int], tuple[float, ...]]) -> Summary:
    """The rows named, with these accuracies by seed; all other rows are left out."""
    rows = tuple(
        replace(row, test_accuracy=found[row.name, row.level][row.seed])
        for row in summary.rows
        if (row.name, row.level) in found and row.seed < len(found[row.name, row.level])
    )
    return replace(summary, rows=rows)


DENSE = (0.95, 0.94, 0.96)
WIN = {("ticket", 0): DENSE, ("ticket", 1): DENSE, ("reinit", 1): (0.9, 0.9, 0.9), ("shuffle", 1): (0.8, 0.9, 0.9)}


def test_a_clear_win(make_synthetic: Callable[..., Summary]):
    summary = with_accuracies(make_synthetic(levels=1), WIN)
    (found,) = judge(summary)
    assert (found.outcome, found.verdict.basis, found.verdict.n) == ("wins", "clear", 3)
    said = headline(summary)
    assert said.answer == (
        "At 65 % of the weights the ticket keeps 95.0 ± 1.0 % (n = 3), against 95.0 ± 1.0 % for the whole network: "
        "a clear win."
    )
    assert [(item.name, item.reached) for item in said.evidence] == [
        ("dense", "95.0 ± 1.0 % (n = 3)"),
        ("reinit", "90.0 ± 0.0 % (n = 3)"),
        ("shuffle", "86.7 ± 5.8 % (n = 3)"),
    ]


def test_seeds_are_paired(make_synthetic: Callable[..., Summary]):
    """Each seed is below its own dense network by 0.1 points, though the seeds differ by two points."""
    near = tuple(value - 0.001 for value in DENSE)
    summary = with_accuracies(make_synthetic(levels=1), {**WIN, ("ticket", 1): near})
    assert judge(summary)[0].outcome == "wins"
    mixed = with_accuracies(make_synthetic(levels=1), {**WIN, ("ticket", 1): (0.94, 0.96, 0.95)})
    assert judge(mixed)[0].outcome == "undecided"


def test_the_margin_decides(make_synthetic: Callable[..., Summary]):
    lower = {**WIN, ("ticket", 1): tuple(value - 0.004 for value in DENSE)}
    summary = with_accuracies(make_synthetic(levels=1), lower)
    assert judge(summary)[0].outcome == "loses"
    assert judge(replace(summary, margin=0.01))[0].outcome == "wins"


def test_losing_to_a_control_is_losing(make_synthetic: Callable[..., Summary]):
    summary = with_accuracies(make_synthetic(levels=1), {**WIN, ("reinit", 1): (0.97, 0.97, 0.97)})
    assert judge(summary)[0].outcome == "loses"
    assert headline(summary).answer.startswith("The ticket does not win: at its best, with 65 % of the weights")


def test_without_a_control_nothing_is_won(make_synthetic: Callable[..., Summary]):
    found = {place: values for place, values in WIN.items() if place[0] != "shuffle"}
    summary = with_accuracies(make_synthetic(levels=1), found)
    (judgement,) = judge(summary)
    assert (judgement.outcome, judgement.missing) == ("undecided", ("no shuffle with the same seeds",))
    assert "win." not in headline(summary).answer


def test_one_seed_is_never_a_verdict(make_synthetic: Callable[..., Summary]):
    said = headline(with_accuracies(make_synthetic(levels=1), {place: found[:1] for place, found in WIN.items()}))
    assert said.answer == (
        "No win so far: at 65 % of the weights the ticket reaches 95.0 % (n = 1), against 95.0 % for the whole "
        "network, and that is undecided."
    )
    assert said.open == "Undecided: one seed has no spread, at least 5 are needed."


def test_controls_at_another_density_are_refused(make_synthetic: Callable[..., Summary]):
    summary = with_accuracies(make_synthetic(levels=1), WIN)

    def thinned(percent: float) -> Summary:
        rows = [row for row in summary.rows if row.name != "reinit"]
        for row in summary.rows:
            if row.name == "reinit":
                kept = round(row.kept * (1 - percent / 100))
                rows.append(replace(row, kept=kept, density=kept / row.size))
        return replace(summary, rows=tuple(rows))

    assert judge(thinned(0.9))[0].outcome == "wins"
    refused = judge(thinned(1.1))[0]
    assert refused.outcome == "undecided"
    assert refused.missing == ("reinit is not at equal density (0.6429, the ticket 0.65, seed 0)",)


def test_the_headline_takes_the_sparsest_win(make_synthetic: Callable[..., Summary]):
    assert headline(make_synthetic()).answer.startswith("At 1.35 % of the weights the ticket keeps")


def test_the_headline_is_honest_when_nothing_wins(make_synthetic: Callable[..., Summary]):
    said = headline(make_synthetic(loses=True))
    assert said.answer.startswith("No win so far: at 65 % of the weights the ticket reaches")
    assert said.open.endswith("At 9 of 10 levels the ticket loses.")


def test_five_seeds_are_judged_by_intervals(make_synthetic: Callable[..., Summary]):
    found = judge(make_synthetic(seeds=range(6), levels=8))
    assert {judgement.verdict.basis for judgement in found} == {"interval"}
    assert found[-1].outcome == "wins"
    assert {judgement.outcome for judgement in judge(make_synthetic(seeds=range(6), loses=True))[4:]} == {"loses"}


def test_nothing_and_only_the_dense_network(make_synthetic: Callable[..., Summary]):
    assert headline(make_synthetic(seeds=())).answer.startswith("Nothing was measured yet")
    assert headline(make_synthetic(levels=0)).answer.startswith("Only the whole network was measured: it reaches 95.")
