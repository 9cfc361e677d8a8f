"""Groups of a set's examples: read from a column, kept with the decoded copy, passed on by the tasks around it."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from tombola.core.errors import Refused, UnknownName
from tombola.core.task import Grouped, Holdout
from tombola.core.text import parse
from tombola.tasks import arrays as plain
from tombola.tasks import decoded, sources, subsets

TRAIN, TEST = 24, 12


@pytest.fixture
def write(alone: Path, png):
    """Write a set whose picture i has all pixels i, label i % 3, and a group of the given values."""

    def written(name: str, values: dict[str, list], feature) -> str:
        (alone / "data" / name).mkdir()
        for split, number, first in (("train", TRAIN, 0), ("test", TEST, 100)):
            columns = {
                "image": [{"bytes": png(np.full((4, 4), i + first, np.uint8)), "path": None} for i in range(number)],
                "label": [i % 3 for i in range(number)],
                "domain": values[split],
            }
            kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list("abc")), "domain": feature}
            part = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
            part.to_parquet(str(alone / "data" / name / f"{split}-00000-of-00001.parquet"))
        return name

    return written


def turns(names: list, number: int) -> list:
    return [names[i % len(names)] for i in range(number)]


TEXT = datasets.Value("string")
WORDS = {"train": turns(["rain", "fair", "snow", "fair"], TRAIN), "test": turns(["snow", "fair"], TEST)}


def task(name: str, more: str = ""):
    return parse("task", f"hub(id='{name}', channels=1, normalise='none', group='domain'{more})")


def levels(batches) -> list[int]:
    return torch.cat([x[:, 0, 0, 0] for x, _ in batches]).mul(255).round().int().tolist()


def test_texts_are_numbered_in_their_order(write):
    set_ = task(write("words", WORDS, TEXT))
    assert isinstance(set_, Grouped)
    for split in ("train", "test"):
        numbers, names = set_.groups(split)
        assert names == ("fair", "rain", "snow")
        assert [names[n] for n in numbers] == WORDS[split] and numbers.dtype == np.int64


def test_whole_numbers_are_sorted_as_numbers(write):
    values = {"train": turns([10, 9, 2], TRAIN), "test": turns([9, 100], TEST)}
    numbers, names = task(write("counts", values, datasets.Value("int32"))).groups("test")
    assert names == ("2", "9", "10", "100") and [names[n] for n in numbers] == turns(["9", "100"], TEST)


def test_class_labels_keep_their_order(write):
    kinds = datasets.ClassLabel(names=["zoo", "art", "sea"])
    values = {"train": turns([1, 0], TRAIN), "test": turns([0, 1, 1], TEST)}
    numbers, names = task(write("kinds", values, kinds)).groups("test")
    assert names == ("zoo", "art") and [names[n] for n in numbers] == turns(["zoo", "art", "art"], TEST)


def test_groups_follow_the_holdout_and_the_few(write):
    name, holdout = write("words", WORDS, TEXT), Holdout(0.25, 1)
    for more in ("", ", few=6"):
        set_ = task(name, more)
        for split in ("train", "validation"):
            numbers, names = set_.groups(split, holdout=holdout)
            seen = levels(set_.evaluation(split, holdout=holdout))
            assert [names[n] for n in numbers] == [WORDS["train"][i] for i in seen]
            assert len(numbers) == (6 if split == "validation" or more else 18)
    assert subsets.divided(TRAIN, holdout)[1].tolist() == levels(task(name).evaluation("validation", holdout=holdout))


@pytest.mark.parametrize(
    "around",
    ["rotated(task={}, degrees=90)", "corrupted(task={}, kind='contrast', of='test')", "reweighted(task={}, seed=1)"],
)
def test_tasks_around_pass_groups_on(write, around: str):
    inner = task(write("words", WORDS, TEXT))
    outer = parse("task", around.format(inner))
    for split in ("train", "test"):
        numbers, names = outer.groups(split)
        pairs = {(level, name) for level, name in zip(levels(inner.evaluation(split)), WORDS[split], strict=True)}
        assert names == ("fair", "rain", "snow")
        seen = levels(outer.evaluation(split))
        assert {(level, names[n]) for level, n in zip(seen, numbers, strict=True)} <= pairs
        assert len(numbers) == len(seen) and (len(seen) < len(pairs)) == around.startswith("reweighted")


@pytest.mark.parametrize("text", ["digits", "hub"])
def test_a_set_without_groups(write, text: str):
    if text == "hub":
        text = f"hub(id='{write('words', WORDS, TEXT)}', channels=1)"
        with pytest.raises(Refused, match="has no groups"):
            parse("task", text).groups("test")
    with pytest.raises(Refused, match=r"has no groups\. Groups are a column of a set: hub\("):
        parse("task", f"rotated(task={text})").groups("test")


def test_the_decoded_copy_has_the_groups_and_the_digest_covers_them(write, monkeypatch: pytest.MonkeyPatch):
    from tombola.tasks import hubfiles

    set_ = task(write("words", WORDS, TEXT))
    first, digest = sources.load(set_.source())
    monkeypatch.setattr(hubfiles, "read_set", lambda *_, **__: pytest.fail("was read again"))
    again, same = sources.load(set_.source())
    assert same == digest and again.group_names == first.group_names == ("fair", "rain", "snow")
    assert all((a == b).all() for a, b in zip(again.groups, first.groups, strict=True))
    without = first._replace(groups=None, group_names=())
    moved = first._replace(groups=(first.groups[0][::-1], first.groups[1]))
    renamed = first._replace(group_names=("fair", "rain", "hail"))
    assert len({plain.digest(a) for a in (first, without, moved, renamed)}) == 4
    assert decoded.write("spoiled", moved, digest) and decoded.read("spoiled") is None


def test_one_domain_of_many(write):
    name = write("words", WORDS, TEXT)
    for only in (("fair",), ("snow", "fair")):
        set_, whole = task(name, f", only={only!r}"), task(name)
        for split in ("train", "test"):
            rows = [i for i, word in enumerate(WORDS[split]) if word in only]
            everything = levels(whole.evaluation(split))
            assert levels(set_.evaluation(split)) == [everything[i] for i in rows]
            labels = torch.cat([y for _, y in set_.evaluation(split)]).tolist()
            assert labels == [i % 3 for i in rows]
            numbers, names = set_.groups(split)
            assert names == tuple(sorted(only)) and [names[n] for n in numbers] == [WORDS[split][i] for i in rows]
        assert set_.io == whole.io and set_.train_size() == sum(word in only for word in WORDS["train"])
        assert set_.__identity__() != whole.__identity__()


def test_classes_are_those_of_the_whole_set(write, caplog: pytest.LogCaptureFixture):
    """A domain in which the highest class is missing still fits a network of all classes, and one is told."""
    values = {"train": ["low" if i % 3 < 2 else "high" for i in range(TRAIN)], "test": ["low", "low", "high"] * 4}
    assert task(write("parts", values, TEXT), ", only=('low',)").io.classes == 3
    assert "(only low): no training example is of class 2, of the classes 0 to 2." in caplog.text


def test_groups_that_are_not_there(write):
    name = write("words", WORDS, TEXT)
    with pytest.raises(UnknownName, match=r"no group of hub\(id='words'\) called 'fare'\. Did you mean 'fair'\?"):
        task(name, ", only=('fare',)").train_size()
    with pytest.raises(Refused, match="group 'rain' has no example in split 'test', whose groups are: fair, snow"):
        task(name, ", only=('rain',)").train_size()
    with pytest.raises(UnknownName, match="no column of .* called 'place'"):
        parse("task", f"hub(id='{name}', group='place')").train_size()
    with pytest.raises(Refused, match=r"column 'image' holds .*, not groups .* Columns of groups .*: label, domain\."):
        parse("task", f"hub(id='{name}', group='image')").train_size()


@pytest.mark.parametrize(
    ("values", "feature"),
    [({"train": [None, *WORDS["train"][1:]], "test": WORDS["test"]}, TEXT)],
)
def test_an_example_without_a_group(write, values: dict, feature):
    with pytest.raises(Refused, match="split 'train' has examples without a group"):
        task(write("holes", values, feature)).train_size()


def test_fields_that_make_no_sense_together():
    with pytest.raises(Refused, match="no column has them"):
        parse("task", "hub(id='a/b', only=('x',))")
    with pytest.raises(Refused, match="names a group twice"):
        parse("task", "hub(id='a/b', group='g', only=('x', 'x'))")
