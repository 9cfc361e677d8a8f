"""The studies of stability: what they run, that claims find their rows, and a run from end to end."""

import collections
import dataclasses
from typing import Any

import pytest

from tests.studies.pretence import assert_shown, claimed, done
from tombola.archs.resnet import ResNet
from tombola.core.errors import Refused
from tombola.report.curves import drawn
from tombola.report.findings import Findings
from tombola.report.judge import judge
from tombola.report.match import rows_of
from tombola.studies import stability_conv4, stability_lenet, stability_resnet20
from tombola.studies._stability import Bench
from tombola.studies._stability_extras import EXTRAS
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.train.optimizers import Sgd
from tombola.train.recipes import ResNet20

STUDIES = ("stability_lenet", "stability_conv4", "stability_resnet20")
SMALL = "stability_lenet(size=small, rounds=4, seeds=(0, 1))"


@pytest.mark.parametrize(
    "text",
    [
        *("stability_lenet(seeds=(0, 1))", SMALL, "stability_lenet(arms=('IMP', 'reinit'))"),
        *("stability_resnet20(seeds=(0, 1))", "stability_resnet20(size=full, seeds=(0, 1))"),
        *("stability_conv4(seeds=(0, 1))", "stability_conv4(size=full, seeds=(0, 1))"),
        *("stability_resnet20(seeds=(0, 1), rounds=5)", "stability_resnet20(seeds=(0, 1), regimes=('1024',))"),
        *(f"{name}(seeds=(0, 1), rounds=6, arms=('shuffle', 'IMP'))" for name in STUDIES[1:]),
        *(f"{name}(seeds=(0, 1), rounds=5, parts={EXTRAS})" for name in STUDIES),
    ],
)
def test_every_claim_finds_its_rows(text: str):
    for claim, test, where, found in claimed(text):
        runs = {row.labels.get(test.by[0]) for row in found}
        assert len(runs) > 1 and None not in runs, (claim.sentence, where)


@pytest.mark.parametrize(
    "text",
    [
        *("stability_resnet20(rounds=11)", "stability_resnet20(size=full, rounds=5)", "stability_conv4(rounds=11)"),
        *("stability_resnet20(regimes=('1024',), rounds=5)", "stability_resnet20(parts=('rewound', 'functions'))"),
        *("stability_conv4(size=full, parts=('weights',))", "stability_lenet(rounds=11)"),
        *(f"{name}(rounds=5, parts={EXTRAS})" for name in STUDIES),
    ],
)
def test_every_figure_and_table_finds_its_rows(text: str):
    assert_shown(open_study(f"{text[:-1]}, seeds=(0,))"))


@pytest.mark.parametrize(
    "text",
    [
        *("stability_lenet(parts=())", "stability_lenet(arms=('IMP',), parts=('barriers',))"),
        *("stability_conv4(parts=())", "stability_conv4(regimes=('unstable',))"),
        *("stability_resnet20(parts=())", "stability_resnet20(size=full, parts=('twins',), regimes=('128',))"),
    ],
)
def test_parts_that_are_not_asked_for_are_not_claimed(text: str):
    for claim, _, where, found in claimed(text):
        assert found, (claim.sentence, where)


@pytest.mark.parametrize(
    "text", [SMALL, "stability_resnet20(rounds=5)", "stability_resnet20(size=full, rounds=5)", "stability_conv4"]
)
def test_no_row_stands_twice(text: str):
    rows = [tuple(sorted((n, str(v)) for n, v in goal.labels.items())) for goal in open_study(text).goals()]
    assert len(set(rows)) == len(rows)


def test_what_resnet20_runs():
    kinds = collections.Counter(
        key.partition(":")[0] for key in graph_of(open_study("stability_resnet20").goals()).calls
    )
    # Four regimes of 18 rounds with their reinit, and four twins.
    # LR rewinding of the first regime begins with the dense network of IMP.
    # Masks of the smallest and the largest batch change places in three rounds; twins part at three later steps.
    assert kinds["train"] == 3 * (4 * (18 + 18 + 4) + 17 + 2 * 3 + 2 * 3)
    assert kinds["instability"] == 3 * (4 * 4 + 3) * 2 and kinds["disagreement"] == 3 * 4 * 2 * 3
    assert kinds["barrier"] == 3 * 4 * 2 * 2 * (17 + 3)  # To the next round, and from the dense one to 5, 10 and 15.
    full = open_study("stability_resnet20(size=full, seeds=(0,), parts=())")
    repelled = collections.Counter(
        str(goal.labels["regime"]) for goal in full.goals() if goal.of.function.name == "repel"
    )
    assert repelled == {"2048": 48, "128": 48}


def test_dense_twins_part_later_and_later():
    goals = open_study("stability_resnet20(seeds=(3,), regimes=('128',), rounds=1, parts=('rewound',))").goals()
    rows = [goal for goal in goals if goal.labels.get("probe") == "rewound" and goal.labels["stats"] == "recompute"]
    assert [row.labels["k"] for row in rows] == [79, 3 * 79, 10 * 79]  # 10,000 pictures, batches of 128.
    for one in rows:
        ends = [one.of.call.arguments[name].call.arguments for name in "ab"]
        assert ends[0]["ticket"] == ends[1]["ticket"] and ends[0]["ticket"].function.name == "draw"
        assert {end["recipe"].in_steps(end["task"]).rewind for end in ends} == {one.labels["k"]}
        assert [end["seeds"].stream("data") for end in ends] == [3, 1003]
        assert ends[0]["ticket"].call.arguments["recipe"].rewind == ends[0]["recipe"].rewind


def test_masks_of_one_regime_are_trained_in_another():
    found = {
        (str(goal.labels["name"]), str(goal.labels["regime"]), goal.labels["level"]): goal.of.call.arguments
        for goal in open_study("stability_resnet20(seeds=(0,), parts=('crossed',))").goals()
        if "name" in goal.labels
    }
    for one, other in (("128", "1024"), ("1024", "128")):
        for level in (5, 10, 15):
            given = found[f"masks of {one}", other, level]
            assert given["ticket"] == found["IMP", one, level]["ticket"]
            assert given["recipe"] == found["IMP", other, level]["recipe"] != found["IMP", one, level]["recipe"]
    crossed = [name for name, _, _ in found if name.startswith("masks of")]
    assert len(crossed) == 6
    alone = open_study("stability_resnet20(seeds=(0,), regimes=('1024',))").goals()
    assert not [goal for goal in alone if str(goal.labels.get("name", "")).startswith("masks of")]


@pytest.mark.parametrize(("name", "stats"), [("stability_lenet", ""), ("stability_resnet20", "recompute")])
def test_planes_show_the_rounds_of_an_arm(name: str, stats: str):
    rows = [
        one for one in open_study(f"{name}(seeds=(0,), rounds=3)").goals() if one.labels.get("probe") == "landscape"
    ]
    ends = {
        (one.labels["name"], one.labels.get("regime"), one.labels["level"]): one.of
        for one in open_study(f"{name}(seeds=(0,), rounds=3, parts=())").goals()
    }
    assert {one.labels["arm"] for one in rows} == {"IMP", "reinit"}
    for one in rows:
        of = (one.labels["arm"], one.labels.get("regime"))
        given = one.of.call.arguments
        assert given["networks"] == tuple(ends[*of, level] for level in range(4)) and given.get("stats", "") == stats
    few = open_study(f"{name}(seeds=(0,), rounds=1)").goals()
    assert not [one for one in few if one.labels.get("probe") == "landscape"]


def test_what_conv4_runs():
    kinds = collections.Counter(key.partition(":")[0] for key in graph_of(open_study("stability_conv4").goals()).calls)
    assert kinds["train"] == 3 * 3 * (16 + 16 + 4) and kinds["repel"] == 3 * 2 * 15
    full = {name: stability_conv4.bench("full", 3, 0, name) for name in stability_conv4.REGIMES}
    recipes = {name: one.recipe.in_steps(one.task) for name, one in full.items()}
    assert [(one.batch, one.steps) for one in recipes.values()] == [(128, 75 * 391), (16, 75 * 3125), (128, 75 * 391)]
    assert [one.optimizer for one in recipes.values()] == [
        Sgd(lr=0.01, momentum=0.9, decay=decay) for decay in (1e-5, 0.01, 0.01)
    ]
    small = stability_conv4.bench("small", 3, 0, "unstable")
    recipe = small.recipe.in_steps(small.task)
    assert recipe.steps == 20 * 625
    assert [recipe.rate(step) for step in (9374, 9375, 10625)] == pytest.approx([0.01, 1e-3, 1e-4])


def test_regimes_say_how_to_train():
    def of(size: Any, regime: str) -> Bench:
        return stability_resnet20.bench(size, 3, 0, regime)

    short, large = (of("small", regime) for regime in ("128 short", "1024"))
    steps = [one.recipe.in_steps(one.task) for one in (short, large)]
    assert [one.steps for one in steps] == [250, 250] and [one.batch for one in steps] == [128, 1024]
    assert [[one.rate(step) for step in (0, 159, 160, 210, 249)] for one in steps] == [
        pytest.approx([0.1, 0.1, 0.01, 0.001, 0.001])
    ] * 2
    assert of("small", "128").recipe.in_steps(short.task).steps == 25 * 79
    full = of("full", "2048 warm-up").recipe.in_steps(of("full", "2048").task)
    assert (full.batch, full.steps, full.warmup, full.optimizer) == (2048, 85 * 25, 250, ResNet20().optimizer)
    assert of("full", "512 undecayed").recipe.optimizer == Sgd(lr=0.1, momentum=0.9, decay=0.0)
    assert large.arch == ResNet(depth=20, width=8, bn_affine="no") and of("full", "128").arch.width == 16
    assert stability_resnet20.bench("full", 3, 0, "128", "yes").arch == ResNet(depth=20)
    slow, still, fixed, parts = (of("small", f"128 {word}") for word in ("slow", "still", "fixed", "fixed still"))
    usual = of("small", "128")
    assert slow.recipe == dataclasses.replace(
        usual.recipe, optimizer=dataclasses.replace(ResNet20().optimizer, lr=0.0125)
    )
    assert slow.recipe.optimizer.lr / 128 == pytest.approx(large.recipe.optimizer.lr / 1024)
    assert (still.task.crop, still.task.flip, still.task.order, still.recipe) == (0, "no", "new", usual.recipe)
    assert fixed.task == dataclasses.replace(usual.task, order="fixed") and fixed.recipe == usual.recipe
    assert parts.task == dataclasses.replace(still.task, order="fixed")
    many = of("full", "2048 accumulated")
    assert many.recipe == dataclasses.replace(of("full", "2048").recipe, accumulate=16)
    assert [one.changed for one in (usual, slow, parts)] == ["nothing", "slow", "fixed still"]
    for wrong in ("small", "128 long", ""):
        with pytest.raises(Refused, match="Write a batch size"):
            of("small", wrong)


def said(text: str) -> dict[str, list[tuple[Any, ...]]]:
    """The claims of a study by their sentences: of each test the label 'level', the value and the direction."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for claim in open_study(text).declared("claims"):
        found[claim.sentence] = [
            (test.where.get("level"), getattr(test, "value", None), getattr(test, "higher", None))
            for test in claim.tests
        ]
    return found


def test_late_neighbours_are_claimed_as_each_figure_has_them():
    """At 1.2 % of the weights ResNet-20's barrier is 20 points, and that of Conv-4 still about 0."""
    assert said("stability_resnet20(size=full)")[
        "E8: at 1.2% of the weights there are 10 points between a ticket and the next"
    ] == [(20, 10.0, True)]
    conv = {sentence: tests for sentence, tests in said("stability_conv4(size=full)").items() if "at 1.2%" in sentence}
    assert conv["E8: at 1.2% of the weights there is less than 2 points between a ticket and the next"] == [
        (20, 2.0, False)
    ]
    assert not [one for one in conv if "10 points between a ticket" in one]


@pytest.mark.parametrize(
    ("text", "levels"),
    [("(size=full)", [0, 20]), ("(size=full, rounds=9)", [0, 8]), ("", [0, 16]), ("(rounds=1)", [0])],
)
def test_statistics_are_judged_where_there_is_a_barrier(text: str, levels: list[int]):
    """At 10.7 % of the weights there is none, with any statistics."""
    claims = open_study(f"stability_resnet20{text}").declared("claims")
    assert [claim.tests[0].where["level"] for claim in claims if claim.family == "statistics"] == levels


def test_hills_of_weights_are_claimed_at_full_size():
    found = said("stability_resnet20(size=full)")
    assert found["E5: at 10.7% of the weights the weights of tickets of '2048' have a hill on either side of 0"] == [
        (10, 0.5, False)
    ]
    assert found["E5: at 10.7% of the weights the weights of tickets of '128' have one hill, at 0"] == [(10, 0.5, True)]
    assert not [one for one in said("stability_resnet20") if "hill" in one]


@pytest.mark.parametrize("name", STUDIES)
def test_nothing_is_claimed_of_the_curvature_of_a_dense_ticket(name: str):
    claims = open_study(f"{name}(rounds=5, parts=('curvature',))").declared("claims")
    assert {claim.tests[0].where["level"] for claim in claims if claim.family == "curvature"} == {5}


def test_tickets_are_compared_with_dense_networks():
    claims = open_study("stability_resnet20(rounds=10)").declared("claims")
    found = [(c.tests[0].where, c.tests[0].than) for c in claims if c.family == "dense networks"]  # type: ignore[union-attr]
    ticket, own, best = ({"name": "IMP", "regime": r, "level": v} for r, v in (("1024", 10), ("1024", 0), ("128", 0)))
    assert (ticket, own) in found and (best, ticket) in found and len(found) == 4


@pytest.mark.parametrize(("name", "regimes"), [("stability_conv4", 3), ("stability_resnet20", 4)])
def test_a_shuffle_can_be_asked_for(name: str, regimes: int):
    more, usual = (
        [goal for goal in open_study(f"{name}(seeds=(0,), rounds=2, parts=(){arms})").goals()]
        for arms in (", arms=('shuffle',)", "")
    )
    keys = {goal.of.key for goal in usual}
    new = [goal for goal in more if goal.of.key not in keys]
    assert keys <= {goal.of.key for goal in more}
    assert {goal.labels["name"] for goal in new} == {"shuffle"} and len(more) == len(usual) + 3 * regimes
    with pytest.raises(Refused, match="arms: there is no 'mixed'"):
        open_study(f"{name}(arms=('mixed',))").goals()


def test_what_it_runs():
    kinds = collections.Counter(key.partition(":")[0] for key in graph_of(open_study("stability_lenet").goals()).calls)
    # 25 rounds of IMP and of reinit, of which the last ones of the repelled arms' first rounds are one; five twins.
    assert kinds["train"] == 3 * (25 + 25 + 5)
    assert kinds["repel"] == 3 * 3 * 24 - 3 * 1  # The first repelled round of both arms of IMP is the same.
    assert kinds["barrier"] == 3 * 2 * (24 + 23)


def bench() -> Bench:
    return stability_lenet.bench("small", 4, 7)


def test_whom_each_round_is_repelled_from():
    one = bench()
    plain, every, last, reinit = (one.ends(arm) for arm in (
        "IMP", "IMP, repelled", "IMP, repelled from the last", "reinit, repelled"
    ))  # fmt: skip
    assert every[0] is not plain[0] and every[0].key == plain[0].key == last[0].key
    for level in range(1, 5):
        said = [ends[level].call.arguments for ends in (every, last, reinit)]
        assert [len(one["others"]) for one in said] == [level, 1, level]
        for arguments, ends in zip(said, (every, last, reinit), strict=True):
            known = [end.key for end in ends[:level]]
            assert [other.key for other in arguments["others"]] == known[-len(arguments["others"]) :]
        cut = said[0]["ticket"].call.arguments
        assert cut["trained"].key == every[level - 1].key and cut["keep"] == 0.8
        # Reinit has the masks of plain IMP.
        carried = said[2]["ticket"].call.arguments
        assert carried["ticket"].key == plain[level].call.arguments["ticket"].key and carried["by"].seed == 7


def test_ordinary_pruning_keeps_trained_weights():
    plain, ordinary = (bench().ends(arm) for arm in ("IMP", "LR rewinding"))
    assert ordinary[0].key == plain[0].key and ordinary[1].key != plain[1].key
    cuts = [ends[2].call.arguments["ticket"].call.arguments for ends in (plain, ordinary)]
    assert "restart" not in cuts[0] and cuts[1]["restart"] == "rate"
    assert cuts[1]["trained"].key == ordinary[1].key


def test_attraction_is_the_other_sign():
    said = [bench().ends(f"IMP, {arm}")[2].call for arm in ("repelled", "attracted")]
    assert "strength" not in said[0].arguments and said[1].arguments["strength"] == -1.0  # 2 is the default.


def test_twins_differ_in_their_noise_alone():
    one = bench()
    end, twin = one.ends("IMP")[2], one.twin(one.ends("IMP")[2])
    here, there = end.call.arguments, twin.call.arguments
    assert here["ticket"].key == there["ticket"].key and here["recipe"] == there["recipe"]
    streams = [[said["seeds"].stream(name) for name in ("init", "data", "augment")] for said in (here, there)]
    assert streams == [[7, 7, 7], [7, 1007, 1007]]
    away = one.ends("IMP, repelled")[2]
    other = one.twin(away).call
    assert [x.key for x in other.arguments["others"]] == [x.key for x in away.call.arguments["others"]]
    assert other.function == "repel" and other.arguments["seeds"].stream("data") == 1007


@pytest.mark.parametrize(
    ("name", "statistics"), [("stability_lenet", [""]), ("stability_resnet20", ["interpolate", "recompute"])]
)
def test_a_reinit_is_asked_in_every_order_of_its_units(name: str, statistics: list[str]):
    asked = collections.Counter(
        (goal.labels["level"], *(goal.of.call.arguments.get(word, "") for word in ("aligned", "stats")))
        for goal in open_study(f"{name}(seeds=(0,), rounds=5, parts=('order',))").goals()
        if goal.labels.get("probe") == "order" and goal.labels.get("regime", "128") == "128"
    )
    ways = [(word, stats) for word in ("", "weights", "activations") for stats in (*statistics, "repair")]
    assert asked == {(level, *way): 1 for level in (0, 5) for way in ways}


def test_finished_trainings_of_the_first_study_are_those_of_this_one():
    keys = [set(graph_of(open_study(text).goals()).calls) for text in ("stability_lenet", "lenet_mnist")]
    trained = {key for key in keys[1] if key.startswith(("train:", "carry:", "cut:"))}
    assert trained and trained <= keys[0]


def test_words_that_mean_nothing():
    for text, message in (
        ("stability_lenet(arms=('imp',))", "arms: there is no 'imp'"),
        ("stability_lenet(parts=('barrier',))", "parts: there is no 'barrier'"),
        ("stability_conv4(regimes=('stable',))", "regimes: there is no 'stable'"),
    ):
        with pytest.raises(Refused, match=message):
            open_study(text).goals()


@pytest.mark.slow
def test_a_whole_study_of_digits():
    parts = ("weights", "distances", "twins", "barriers", "functions", "planes", *EXTRAS)
    study = open_study(f"stability_lenet(size=small, rounds=3, seeds=(0, 1), parts={parts})")
    rows = done(study)
    found = Findings(title="", question="", study="", command="", rows=tuple(rows), claims=study.declared("claims"))
    assert {one.outcome for one in judge(found)} <= {"confirmed", "undecided", "contradicted"}
    for pivot in study.declared("tables"):
        assert [row for row in rows_of(rows, pivot.where) if pivot.of in row.numbers and pivot.lines in row.labels]
    for curve in study.declared("figures"):
        assert drawn(found, curve).points, curve.title
    region = {row.labels["arm"]: row.numbers for row in rows if row.labels.get("probe") == "distance"}
    assert region["IMP"]["angle_mean"] < 0.2 < 0.7 < region["IMP, repelled"]["angle_mean"]
    last = region["IMP, repelled from the last"]
    assert last["angle_second_mean"] < 0.5 < 0.8 < last["angle_next_mean"]
