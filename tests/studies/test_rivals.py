"""The leaderboard: what it runs, that its claims find their rows, and that all that was tried can be tried."""

import math

import pytest

from tombola.core import catalogue
from tombola.core.errors import Refused
from tombola.core.text import parse
from tombola.report.findings import Missing
from tombola.report.match import check, rows_of
from tombola.studies import rivals
from tombola.studies._rivals import RIVALS, SMALLEST_CUT, TEN, rungs
from tombola.study.graph import graph_of
from tombola.study.module import open_study

KINDS = {"before": "criterion", "after": "criterion", "level by level": "criterion"}
EXEMPT = {"rewire": {"static"}, "criterion": set[str]()}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, rival in RIVALS.items() for text in rival.tried])
def test_every_try_is_a_plugin(name: str, text: str):
    rival = RIVALS[name]
    plugin = parse(KINDS.get(rival.moment, "rewire"), text.format(density=0.1, seed=3))
    if "{density}" in text:
        assert plugin.density == 0.1
    if "{seed}" in text:
        assert plugin.seed == 3
    parse("scope", rival.scope)
    assert 1 <= len(rival.tried) <= 4 and all(0 <= best < len(rival.tried) for best in rival.best)


@pytest.mark.parametrize("kind", ["criterion", "rewire"])
def test_no_method_of_the_catalogue_is_left_out(kind: str):
    compared = {text.partition("(")[0] for rival in RIVALS.values() for text in rival.tried}
    shipped = {entry.name for entry in catalogue.entries(kind) if entry.module.startswith("tombola.")}
    assert shipped - EXEMPT[kind] <= compared


def test_rungs_pass_through_what_is_wanted_and_never_cut_too_much():
    wanted = (0.5, 0.2, 0.1, 0.05, 0.02)
    found = rungs(wanted)
    assert set(wanted) <= set(found) and list(found) == sorted(found, reverse=True)
    ratios = [low / high for high, low in zip((1.0, *found), found, strict=False)]
    assert min(ratios) > SMALLEST_CUT - 1e-4
    assert len(found) == sum(math.ceil(math.log(r) / math.log(0.7)) for r in (0.5, 0.4, 0.5, 0.5, 0.4))
    assert rungs((0.1,))[-1] == 0.1 and rungs((0.7,)) == (0.7,)


def test_what_it_runs():
    study = open_study("rivals(densities=(0.1,), seeds=(7,), methods=('SNIP', 'LAMP', 'IMP', 'gradual', 'RigL'))")
    goals = study.goals()
    found = [g for g in goals if g.labels.get("arm") == "found"]
    assert [g.labels["name"] for g in found] == ["dense", "SNIP", "LAMP", "IMP", "gradual", "RigL"]
    assert {g.labels["seed"] for g in goals} == {7}
    kinds = [key.partition(":")[0] for key in graph_of(goals).calls]
    levels = len(rungs((0.1,)))
    trainings = 1 + 1 + 1 + levels + 1 + 1  # The dense one serves LAMP and IMP.
    controls = 2 * 2 + 2  # Shuffled and reinitialised SNIP and IMP; SNIP and RigL longer.
    assert kinds.count("train") == trainings + controls
    assert kinds.count("cut") == 1 + levels and kinds.count("cut_early") == 2 and kinds.count("draw") == 1
    assert kinds.count("connectivity") == 5 and kinds.count("price") == 5 + 2  # Of the longer ones too.


def test_the_ladder_is_priced_with_all_that_is_behind_it():
    study = open_study("rivals(densities=(0.5, 0.1), seeds=(7,), methods=('IMP',), arms=())")
    prices = [goal.of for goal in study.goals() if goal.labels.get("probe") == "price"]
    numbers = [len(price.call.arguments["behind"]) for price in prices]
    assert numbers == [len(rungs((0.5,))), len(rungs((0.5, 0.1)))]


def test_longer_trainings_take_the_operations_of_a_dense_one_at_most():
    study = open_study("rivals(densities=(0.5, 0.02), seeds=(7,), methods=('SET',), arms=('longer',))")
    steps = {
        (g.labels["arm"], g.labels["at"]): g.of.call.arguments["recipe"].steps
        for g in study.goals()
        if "arm" in g.labels
    }
    base = steps["found", 0.5]
    assert steps["longer", 0.5] == 2 * base and steps["longer", 0.02] == rivals.MOST_LONGER * base


@pytest.mark.parametrize("text", ["rivals", "rivals(on='cifar10')", "rivals(methods=('SNIP', 'IMP'), seeds=(0,))"])
def test_every_claim_finds_its_rows(text: str):
    study = open_study(text)
    rows = [Missing(labels=goal.labels, key=goal.of.key) for goal in study.goals()]
    claims = study.declared("claims")
    check(claims, rows)
    seeds = len({row.labels["seed"] for row in rows})
    for claim in claims:
        for test in claim.tests:
            assert len(rows_of(rows, test.where)) == len(rows_of(rows, test.than)) == seeds
    assert claims or "IMP" not in text


def test_all_on_one_task_and_ten_on_the_other():
    named = {str(goal.labels["name"]) for goal in open_study("rivals(on='cifar10', seeds=(0,))").goals()}
    assert named == {"dense", *TEN} and len(TEN) == 10
    assert {str(g.labels["name"]) for g in open_study("rivals(seeds=(0,), densities=(0.5,))").goals()} == {
        "dense",
        *RIVALS,
    }


def test_tries_have_a_budget_and_seeds_of_their_own():
    goals = open_study("rivals(tune='yes')").goals()
    assert {goal.labels["seed"] for goal in goals} == set(rivals.TRIED_WITH)
    counts = {str(goal.labels["name"]): 0 for goal in goals}
    for goal in goals:
        counts[str(goal.labels["name"])] += 1
    assert max(counts.values()) == 4 * len(rivals.TRIED_WITH)
    assert set(counts) == {name for name, rival in RIVALS.items() if len(rival.tried) > 1}
    assert not open_study("rivals(tune='yes')").declared("claims")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("methods=('snip',)", "methods: there is no 'snip'. There are: random, random ERK"),
        ("arms=('shuffle',)", "arms: there is no 'shuffle'. There are: shuffled, reinitialised, longer."),
        ("densities=(2.0,)", "a density of 2.0 is asked for. It is a fraction"),
    ],
)
def test_settings_that_mean_nothing(settings: str, message: str):
    with pytest.raises(Refused, match=message):
        open_study(f"rivals({settings})").goals()
