"""The studies of distribution shift: what they run, that claims find their rows, and a run from end to end."""

import collections
from typing import Any, ClassVar

import pytest
import torch

from tests.studies.pretence import Pretence, assert_shown, claimed, done
from tombola.archs.resnet import ResNet
from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Refused
from tombola.core.layout import blank
from tombola.core.plugin import plugin
from tombola.moves.transplant import Transplant
from tombola.report.claims import Beyond
from tombola.report.findings import Findings
from tombola.report.judge import judge
from tombola.report.match import rows_of
from tombola.studies import _shift, shift_images, shift_reviews
from tombola.studies._shift import KEEP
from tombola.studies._shift_plan import pairs_of
from tombola.study.graph import graph_of
from tombola.study.module import open_study
from tombola.tasks.digits import Digits
from tombola.tasks.rotated import Rotated
from tombola.train.recipe import Recipe

REVIEWS = "shift_reviews(seeds=(7,), sources=('books',), targets=('dvd',), rounds=8)"
IMAGES = "shift_images(seeds=(7,), rounds=8)"
BORROWED = "shift_images(on=turned, seeds=(7,), rounds=4, parts=('borrowed',))"
OBJECTS = "shift_images(on=objects, seeds=(7,), rounds=4)"
EXACT = {"MASKS-RESET", "MASKS-RANDOM", "TICKET-RESET", "TICKET-RANDOM", "TICKET-TARGET", "fine-tuned", "signs"}
EXACT |= {"not aligned", "shuffled", "magnitude at init", "SNIP"}


@pytest.mark.parametrize("text", [REVIEWS, IMAGES, OBJECTS])
def test_every_ticket_can_be_carried_and_trained_and_has_as_many_weights_as_it_says(text: str):
    pretend, counted = Pretence(), collections.Counter[str]()
    bench = reviewed(7) if text == REVIEWS else seen(7, 8, "mnist", on="digits")
    if text == OBJECTS:
        bench = seen(7, 4, "cifar10", on="objects")
    names = [name for name, _ in blank(bench.arch(), bench.task(bench.first).io).named_parameters()]
    for goal in open_study(text).goals():
        name, number = goal.labels.get("name"), int(str(goal.labels.get("round", 0)))
        if goal.of.function.name != "train" or name == "aligned":
            continue
        said = goal.of.call.arguments
        ticket, recipe = pretend(goal.of), said["recipe"].in_steps(said["task"])
        assert ticket.io == said["task"].io and ticket.step < recipe.steps
        domain = str(goal.labels.get("target", goal.labels.get("domain")))
        counts = bench.counts(number, domain)
        assert 0.98 < sum(counts.values()) / (KEEP**number * sum(bench.counts(0, domain).values())) < 1.1
        if name == "small dense":
            size = sum(value.numel() for value in blank(ticket.arch, ticket.io).parameters())
            assert abs(size - sum(counts.values())) <= 0.05 * sum(counts.values()), (goal.labels, size)
        elif name == "embedding dense":
            counts["stem.weight"] = ticket.mask["stem.weight"].numel()
            assert {n: ticket.mask.kept_in(n) for n in names} == counts
        elif name == "SNIP":
            assert ticket.mask.kept == pytest.approx(sum(counts.values()), abs=0)
        elif name in EXACT:
            assert {n: ticket.mask.kept_in(n) for n in names if n in ticket.mask} == counts, goal.labels
        counted[str(name)] += 1
    expected = {*EXACT, "FULL-MODEL", "small dense"} | ({"embedding dense"} if text == REVIEWS else set())
    assert set(counted) == expected - ({"not aligned"} if text == OBJECTS else set())


def seen(seed: int, rounds: int, first: str, *, on: shift_images.On) -> shift_images.Seen:
    return shift_images.Seen(seed, rounds, first, shift_images.Album(on))


def reviewed(seed: int, **options: Any) -> shift_reviews.Reviewed:
    corpus = shift_reviews.Corpus("fdu", "", "", ("books",), ("dvd",))
    return shift_reviews.Reviewed(seed, 8, "books", corpus, "small", **options)


@pytest.mark.parametrize(
    "text",
    [
        "shift_reviews(seeds=(0, 1))",
        "shift_reviews(sources=('dvd',), targets=('books', 'music'), rounds=8, controlled=('dvd',), seeds=(0, 1))",
        "shift_reviews(on=own, id=fdu_mtl, group=domain, sources=('MR',), targets=('imdb', 'baby'), seeds=(0, 1))",
        *("shift_reviews(parts=(), seeds=(0, 1))", "shift_images(seeds=(0, 1))"),
        *("shift_images(on=objects, seeds=(0, 1))", "shift_images(on=weather, seeds=(0, 1), rounds=8)"),
        "shift_images(on=turned, seeds=(0, 1), transfer=(1, 4, 7, 20), parts=('few', 'borrowed'))",
        "shift_images(on=priors, seeds=(0, 1), rounds=8)",
    ],
)
def test_every_claim_finds_its_rows(text: str):
    for claim, test, where, found in claimed(text):
        runs = {row.labels.get(test.by[0]) for row in found}
        assert len(runs) > 1 and None not in runs, (claim.sentence, where)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "shift_images(seeds=(0,))",
            "shift_images(seeds=(0, 1), parts=())",
            "shift_images(on=weather, seeds=(0, 1), rounds=4)",
        ),
        *("shift_images(on=turned, seeds=(0, 1), rounds=5)", "shift_images(on=priors, seeds=(0, 1), rounds=4)"),
        *("shift_reviews(seeds=(0, 1), rounds=5)", "shift_reviews(seeds=(0,), rounds=8, parts=('masks',))"),
    ],
)
def test_every_figure_and_table_finds_its_rows(text: str):
    assert_shown(open_study(text))


def test_the_paper_s_claims_are_all_there():
    claims = open_study("shift_reviews").declared("claims")
    said = {claim.sentence for claim in claims}
    assert {claim.family for claim in claims} >= {f"R{number}" for number in range(1, 14)}
    (beats,) = [claim for claim in claims if claim.family == "R7"]
    assert beats.sentence == "R7: masks of music beat TICKET-TARGET on every target, rounds 1 to 13"
    assert {test.where["pair"] for test in beats.tests} == {f"music to {name}" for name in pairs_of_music()}
    assert not [s for s in said if s.startswith("R7") and "books" in s or s.startswith("R8") and "music" in s]
    assert len([s for s in said if s.startswith("R8")]) == 8
    assert "R8: MASKS-RANDOM of electronics loses 3 to 5 points to TICKET-SOURCE, rounds 1 to 5" in said
    (alike,) = [claim for claim in claims if claim.sentence.startswith("R3: ")]
    assert {test.where["domain"] for test in alike.tests} == set(shift_reviews.DOMAINS["fdu"])
    (best,) = [claim for claim in claims if claim.family == "R1"]
    assert [test.where["domain"] for test in best.tests] == list(shift_reviews.DOMAINS["fdu"])
    band, other = [c for c in claims if c.sentence.startswith("R8: MASKS-RESET of books")]
    assert {test.where["comparison"] for test in other.tests} == {"MASKS-RESET against TICKET-SOURCE"}
    assert [(test.value, test.higher) for test in band.tests if isinstance(test, Beyond)] == [(-5, True), (-3, False)]


def pairs_of_music() -> list[str]:
    return [name for name in shift_reviews.DOMAINS["fdu"] if name != "music"]


def test_spans_rest_on_rounds_that_lie_in_them():
    said = " ".join(claim.sentence for claim in open_study("shift_reviews(transfer=(1, 20))").declared("claims"))
    assert not any(word in said for word in ("R7", "R8", "R9", "R11"))
    families = {c.family for c in open_study("shift_reviews(rounds=13, seeds=(0, 1))").declared("claims")}
    assert "R4" not in families and "R3" in families
    assert "R4" in {c.family for c in open_study("shift_reviews(seeds=(0, 1))").declared("claims")}


def test_a_dense_network_is_claimed_of_where_one_is_near():
    bench = reviewed(0)
    assert bench.narrow(12) is None and bench.narrow(8) is not None  # 8,000 tokens have a number each at least.
    said = {claim.sentence for claim in open_study("shift_reviews(seeds=(0,))").declared("claims")}
    assert "masks of books beat small dense at round 8" in said
    assert "masks of books beat small dense at round 12" not in said


def test_first_values_are_shared_over_domains_and_seeds_are_not():
    """What the comparison of MASKS-RESET and TICKET-TARGET rests on: they differ in their mask alone."""
    from tombola.find import draw

    first, other = (reviewed(seed, vocabulary=1000) for seed in (0, 1))
    drawn = {
        (bench.seed, domain): draw(**bench.chain(domain)[0].call.arguments).weights["head.weight"]
        for bench in (first, other)
        for domain in ("books", "dvd")
    }
    assert drawn[0, "books"].equal(drawn[0, "dvd"]) and not drawn[0, "books"].equal(drawn[1, "books"])


def test_claims_are_made_on_rounds_that_are_there():
    def families(text: str) -> set[str]:
        claims = open_study(text).declared("claims")
        assert claims
        return {claim.family for claim in claims}

    assert not families("shift_reviews(rounds=8)") & {"R1", "R4", "R5", "R7", "R9", "R10", "R11"}
    assert {"R2", "R3", "R8"} <= families("shift_reviews(rounds=8)")
    some = families("shift_reviews(transfer=(8, 12), sources=('books', 'dvd'))")
    assert {"R1", "R3", "R5"} <= some and not some & {"R8", "R9", "R10"}
    said = {claim.sentence for claim in open_study("shift_reviews(sources=('dvd',))").declared("claims")}
    assert not [sentence for sentence in said if sentence.startswith(("R7", "R8", "R10", "R11"))]
    assert "R9: MASKS-RESET of dvd is flat at rounds 1 to 5 and falls faster afterwards" in said


@pytest.mark.parametrize(
    ("text", "rounds"),
    [
        ("shift_images(rounds=3, seeds=(0,))", {3}),
        ("shift_images(transfer=(2, 5), rounds=5, seeds=(0,))", {5}),
        ("shift_reviews(rounds=9, seeds=(0,))", {4, 8}),
    ],
)
def test_controls_are_made_at_the_last_round_carried_where_the_usual_ones_are_not(text: str, rounds: set[int]):
    study = open_study(text)
    made = [goal.labels for goal in study.goals() if goal.labels.get("figure") == "controls"]
    assert {labels["round"] for labels in made if labels["round"]} == rounds
    assert {
        labels["round"] for labels in (goal.labels for goal in study.goals()) if labels.get("figure") == "few labels"
    }


def test_the_table_of_controls_has_what_they_are_held_against():
    goals = [goal for goal in open_study("shift_images(seeds=(0,), rounds=4)").goals() if "figure" in goal.labels]
    masks = [goal for goal in goals if goal.labels.get("name") == "MASKS-RESET"]
    carried, beside = (
        {goal.of.key for goal in masks if goal.labels["figure"] == figure and goal.labels["round"] == 4}
        for figure in ("4", "controls")
    )
    assert carried == beside and len(carried) == 2


def test_a_chain_has_a_round_at_least():
    with pytest.raises(Refused, match=r"rounds=0\. A chain has one round of pruning or more\."):
        list(open_study("shift_images(rounds=0)").goals())


def test_domains_named_twice_are_one():
    assert pairs_of(("a", "a"), ("a", "b", "b")) == (("a", "b"),)


@pytest.mark.parametrize(
    "text",
    [
        "shift_images(on=weather, rounds=4, seeds=(0,))",
        "shift_reviews(rounds=4, seeds=(0,), controlled=('books', 'music'))",
    ],
)
def test_no_row_stands_twice(text: str):
    rows = [(goal.of.key, *sorted(goal.labels.items())) for goal in open_study(text).goals()]
    assert len(set(rows)) == len(rows)
    found = [row[0] for row in rows if any(label == ("figure", "controls") for label in row[1:])]
    assert len(set(found)) == len(found)


def test_seeds_of_fresh_heads_are_those_of_the_run():
    bench = seen(3, 4, "cifar10", on="objects")
    for name in ("MASKS-RESET", "MASKS-RANDOM", "signs", "fine-tuned"):
        by = bench.ticket(name, "cifar10", "cifar100_subset", 4).call.arguments["by"]
        assert (by.head, by.seed) == ("fresh", 3)


@pytest.mark.parametrize(("on", "questions"), [("weather", "shared"), ("digits", "of each task")])
def test_pictures_in_two_guises_are_one_test_set(on: str, questions: str):
    goals = open_study(f"shift_images(on={on}, rounds=4, seeds=(0,), parts=())").goals()
    named = [goal for goal in goals if goal.of.function.name == "contrast"]
    home = [goal for goal in named if str(goal.labels["comparison"]).endswith("TICKET-SOURCE")]
    assert home and {goal.of.call.arguments["questions"] for goal in home} == {"of two tasks"}
    held = [goal.of.call.arguments for goal in named if goal not in home]
    assert held and {said.get("questions", "of each task") for said in held} == {questions}


def test_the_same_ticket_stands_behind_the_strategies():
    bench = reviewed(3)
    own = bench.chain("books")[4]
    moves = {
        name: bench.ticket(name, "books", "dvd", 4).call.arguments
        for name in ("MASKS-RESET", "MASKS-RANDOM", "signs", "embedding dense", "not aligned")
    }
    assert {said["ticket"].key for said in moves.values()} == {own.key}
    by = {name: said["by"] for name, said in moves.items()}
    assert by["MASKS-RESET"] == Transplant(to=bench.task("dvd"))
    assert (by["MASKS-RANDOM"].weights, by["MASKS-RANDOM"].draw, by["MASKS-RANDOM"].seed) == ("reinit", "fresh", 3)
    assert (by["not aligned"].weights, by["not aligned"].seed) == ("init", 1003)
    onto = bench.ticket("aligned", "books", "dvd", 4).call.arguments["onto"]
    assert onto.call.arguments["seeds"].stream("init") == 1003
    tuned = bench.ticket("fine-tuned", "books", "dvd", 4).call.arguments["ticket"]
    assert tuned.call.arguments["trained"].key == bench.trained(bench.chain("books")[3], "books").key
    assert tuned.call.arguments["restart"] == "rate"


def test_borrowed_masks_are_those_of_ticket_reset_with_values_that_are_new_in_every_round():
    study, pretend, bench = open_study(BORROWED), Pretence(), seen(7, 4, "upright", on="turned")
    goals = [goal for goal in study.goals() if goal.labels.get("name") == _shift.BORROWED]
    assert [(goal.labels["domain"], goal.labels["round"]) for goal in goals[:2]] == [("upright", 1), ("upright", 2)]
    found = [pretend(goal.of) for goal in goals[:4]]
    for number, ticket in enumerate(found, start=1):
        reset = pretend(bench.chain("upright")[number])
        assert ticket.mask == reset.mask
        alive = ticket.mask["head.weight"]
        assert not torch.isin(ticket.weights["head.weight"][alive], reset.weights["head.weight"]).any()
    both = found[1].mask["head.weight"] & found[2].mask["head.weight"]
    assert not found[1].weights["head.weight"][both].eq(found[2].weights["head.weight"][both]).any()
    goals = open_study("shift_reviews(seeds=(0,), transfer=(2, 9), parts=('borrowed',))").goals()
    assert {goal.labels["round"] for goal in goals if goal.labels.get("name") == _shift.BORROWED} == {2, 9}


def test_domains_of_turned_pictures_and_of_other_shares_are_what_they_say():
    turned, priors = (shift_images.DOMAINS[on] for on in ("turned", "priors"))
    assert [getattr(task, "degrees", 0) for task in turned.values()] == [0, 30, 60]
    few = seen(0, 4, "upright", on="turned").task("by_30", 50)
    assert few.train_size() == 50 and few.degrees == 30
    shares = {name: getattr(task, "priors", (0.1,) * 10) for name, task in priors.items()}
    assert shares["first"] == shares["last"][::-1] and sum(shares["first"]) == pytest.approx(1)
    goals = open_study("shift_images(on=priors, seeds=(0,), rounds=4)").goals()
    assert not [goal for goal in goals if "labels" in goal.labels]  # They are as many of each class.
    assert [goal for goal in goals if goal.labels.get("kind") == "zero-shot"]


def test_the_curve_of_labels_ends_with_all_of_them():
    goals = open_study("shift_images(seeds=(0,), rounds=4, transfer=(4,), parts=('few',))").goals()
    curves = [goal for goal in goals if goal.labels.get("probe") == "learning curve"]
    said = curves[0].of.call.arguments
    assert len(curves) == 4 and said["labels"] == (50, 200, 1000, 6683)  # Of usps a twelfth is held out.
    assert [one.call.arguments["task"].few for one in said["here"]] == [50, 200, 1000, 0]
    assert {goal.labels["pair"] for goal in curves} == {"mnist to usps", "usps to mnist"}


def test_features_are_those_of_the_source():
    goals = open_study("shift_images(seeds=(0,), rounds=4, parts=('shift',))").goals()
    found = [goal for goal in goals if goal.labels.get("probe") == "shift of features"]
    assert len(found) == 2
    for goal in found:
        said, domain = goal.of.call.arguments, shift_images.DOMAINS["digits"]
        source, target = (domain[str(goal.labels[name])] for name in ("source", "target"))
        assert (said["a"], said["b"], said["through"].call.arguments["task"]) == (source, target, source)


def test_few_labels_are_trained_for_as_many_steps():
    bench = seen(0, 8, "mnist", on="digits")
    few = bench.for_few("mnist", 50).in_steps(bench.task("mnist", 50))
    assert few.steps == few.evaluate == 12 * 917  # 55,000 pictures in batches of 60
    assert bench.for_few("usps", 50).steps == 12 * 112  # 6,683 of them.
    assert (few.batch, few.select, bench.task("usps", 50).few) == (50, "last", 50)
    drawn = [seen(seed, 8, "mnist", on="digits").for_few("usps", 50).holdout for seed in (0, 1)]
    assert drawn[0] != drawn[1]  # Other seeds have other labels.


def test_what_it_runs():
    kinds = collections.Counter(key.partition(":")[0] for key in graph_of(open_study("shift_images").goals()).calls)
    # Two domains: a dense network and two chains of 20; two transfers of 20 rounds with two strategies.
    trainings = 2 * 41 + 2 * 20 * 2
    # At rounds 4, 8, 12 on each transfer: four ways of carrying, with one more dense training, and four controls of
    # the target, a small dense network among them, none at round 12; at three numbers of labels three networks.
    controls = 2 * (4 * 3 + 1 + 3 * 3 + 2) + 2 * 3 * 3
    assert kinds["train"] == 5 * (trainings + controls)


def test_settings_that_mean_nothing():
    for text, message in (
        ("shift_reviews(parts=('control',))", "there is no 'control'"),
        ("shift_reviews(sources=('bookshelves',))", "sources: there is no 'bookshelves'"),
        ("shift_reviews(sources=('books',), targets=('books',))", "there is no transfer"),
        ("shift_reviews(controlled=('dvd',))", "controlled: there is no 'dvd'"),
        ("shift_reviews(on=own, id='x')", "on=own needs id, group, sources and targets"),
        ("shift_reviews(id='x')", "id and group are of your own reviews"),
        ("shift_images(on=own, id='x', sources=('a',), targets=('b',))", "on=own needs id, group, sources and targets"),
        ("shift_images(group='x')", "id and group are of your own images, and on=digits has its own"),
        ("shift_images(channels=1)", "size and channels are of your own images"),
        ("shift_images(sources=('svhn',))", "sources: there is no 'svhn'. There are: mnist, usps"),
        ("shift_images(sources=('usps',), targets=('usps',))", "there is no transfer"),
        ("shift_reviews(rounds=3, transfer=(4, 5))", "has none of the rounds 1 to 3"),
        ("shift_images(few=(200, 50))", r"few=\(200, 50\): numbers of labels ascend"),
        ("shift_images(few=(0, 50))", "numbers of labels ascend"),
        (
            "shift_images(few=(50, 7000))",
            r"^shift_images: few=\(50, 7000\): 'usps' has 6,683 examples to train on, which end the curve\. Name",
        ),
        ("shift_images(rounds=3, transfer=(4, 5))", "has none of the rounds 1 to 3"),
    ):
        with pytest.raises(Refused, match=message):
            open_study(text).goals()


@plugin("task", "toy_coarse_digits")
class CoarseDigits(Digits):
    """Five classes."""

    classes: ClassVar[int] = 5

    def arrays(self) -> Any:
        arrays = super().arrays()
        return arrays._replace(train_labels=arrays.train_labels // 2, test_labels=arrays.test_labels // 2)


FEW_PICTURES: dict[str, dict[str, Any]] = {
    "digits": {"mnist": Digits(), "usps": Digits(normalise="none")},
    "objects": {"cifar10": Digits(channels=3), "cifar100_subset": CoarseDigits(channels=3)},
    "turned": {"upright": Digits(), "by_30": Rotated(degrees=30), "by_60": Rotated(degrees=60)},
}
"""In the places of larger sets: what they hold does not matter here."""
TWO_STEPS: dict[str, Any] = {"steps": 2, "evaluate": 2, "validation": 0.125, "select": "best"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "bench"),
    [
        ("shift_images(on=digits, seeds=(0, 1), rounds=5, transfer=(1, 4, 5), few=(50,))", shift_images.Seen),
        (
            "shift_images(on=turned, seeds=(0, 1), rounds=7, transfer=(1, 4, 7), few=(50, 90), "
            "parts=('borrowed', 'few', 'shift'))",
            shift_images.Seen,
        ),
        ("shift_images(on=objects, seeds=(0, 1), rounds=5, transfer=(1, 4, 5), few=(50,))", shift_images.Seen),
        (
            "shift_reviews(seeds=(0, 1), rounds=5, transfer=(1, 4, 5), few=(50,), sources=('music',), "
            "targets=('books', 'music'), controlled=('music',))",
            shift_reviews.Reviewed,
        ),
    ],
)
def test_a_whole_study_in_small_steps(text: str, bench: type[_shift.Bench], monkeypatch: pytest.MonkeyPatch):
    """Everything that it asks for is run, with two steps a training, and every claim is measured."""
    monkeypatch.setattr(bench, "recipe", property(lambda self: Recipe(batch=20, **TWO_STEPS)))
    small: Any = ResNet(depth=8, width=3) if "objects" in text else TextCnn(width=12, channels=6, hidden=6)
    if "digits" not in text and "turned" not in text:
        monkeypatch.setattr(bench, "arch", lambda self: small)
    monkeypatch.setattr(shift_reviews, "VOCABULARIES", (1000, 8000))
    monkeypatch.setattr(shift_images, "SEVERITIES", (1,))
    monkeypatch.setattr(shift_images, "DOMAINS", FEW_PICTURES)
    strange = {
        name: dict.fromkeys(tasks, Digits(flip="no", channels=next(iter(tasks.values())).channels, crop=1))
        for name, tasks in FEW_PICTURES.items()
    }
    monkeypatch.setattr(shift_images, "STRANGE", strange)
    study = open_study(text)
    rows = done(study)
    found = Findings(title="", question="", study="", command="", rows=tuple(rows), claims=study.declared("claims"))
    judged = judge(found)
    for one in judged:
        assert one.outcome != "not measured", (one.claim.sentence, one.reasons)
        assert not any("density" in reason for reason in one.reasons), (one.claim.sentence, one.reasons)
    for pivot in study.declared("tables"):
        shown = [row for row in rows if all(row.labels.get(n) == v for n, v in pivot.where.items())]
        assert pivot.of == "transition_round" or any(
            pivot.of in row.numbers and pivot.lines in row.labels for row in shown
        ), pivot.title
    for curve in study.declared("figures"):
        assert rows_of(rows, curve.where) and rows_of(rows, curve.baseline or {}), curve.title
