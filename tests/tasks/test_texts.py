"""Texts as batches of token numbers: what is read, cleaned, encoded, held out, ordered; and what is refused."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tasks.written import reviews, write
from tombola.core.errors import Damaged, Refused, UnknownName
from tombola.core.seeds import Seeds
from tombola.core.task import Grouped, Holdout, Task
from tombola.core.text import parse
from tombola.tasks import corpora, encoded, texts, vocabulary
from tombola.tasks.corpora import Corpus, Texts, cleaned
from tombola.tasks.encoded import Encoded
from tombola.tasks.reviews import AmazonReviews, OwnTexts, Reviews
from tombola.tasks.vocabulary import PAD, UNKNOWN, Options, learned

HELD = Holdout(0.2, 1)


def forget() -> None:
    for cached in (encoded.prepared, texts.divided, texts.way, corpora.read):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TOMBOLA_CACHE", str(tmp_path / "cache"))
    forget()
    yield
    forget()


def a_task(folder: Path, **fields: Any) -> OwnTexts:
    given: dict[str, Any] = {"domain": "books", "group": "domain", "vocabulary": 80, "longest": 12, "pool": 4}
    return OwnTexts(id=str(folder), **{**given, "shared": ("books", "tools"), **fields})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "mine", train=reviews(60), test=reviews(20, seed=1))


def test_it_is_a_task_with_groups(folder: Path):
    task = a_task(folder)
    assert isinstance(task, Task) and isinstance(task, Grouped) and parse("task", str(task)) == task
    assert (task.io.inputs, task.io.classes, task.io.tokens) == ((12,), 2, 80)
    assert task.train_size() == 60 and task.train_size(HELD) == 48
    other = a_task(folder, domain="tools")
    assert other.io == task.io and other.__identity__() != task.__identity__()
    assert a_task(folder, domain="books+tools").train_size() == 120


def test_batches_are_a_function_of_the_step(folder: Path):
    task = a_task(folder)
    steps = [task.batch(step, seeds=Seeds(3), size=7, holdout=HELD) for step in range(14)]
    for step in (13, 2, 8):
        again = task.batch(step, seeds=Seeds(3), size=7, holdout=HELD)
        assert torch.equal(again[0], steps[step][0]) and torch.equal(again[1], steps[step][1])
    other = task.batch(0, seeds=Seeds(4), size=7, holdout=HELD)
    assert not (other[0].shape == steps[0][0].shape and torch.equal(other[0], steps[0][0]))
    assert [len(y) for _, y in steps[:7]] == [7] * 6 + [6]


def rows_of(batches: Any) -> list[tuple[tuple[int, ...], int]]:
    """The texts of batches without their padding, sorted."""
    return sorted(
        (tuple(t for t in row.tolist() if t != PAD), int(label))
        for x, y in batches
        for row, label in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("pool", [1, 3, 50])
def test_an_epoch_visits_each_text_once(folder: Path, pool: int):
    task = a_task(folder, pool=pool)
    whole = rows_of(task.evaluation("train", holdout=HELD))
    for epoch in (0, 1):
        steps = range(epoch * 10, (epoch + 1) * 10)
        assert rows_of(task.batch(step, seeds=Seeds(0), size=5, holdout=HELD) for step in steps) == whole


def test_buckets_hold_texts_of_a_length(folder: Path):
    def batches(task: OwnTexts) -> list[torch.Tensor]:
        return [task.batch(step, seeds=Seeds(0), size=8)[0] for step in range(15)]

    def padding(pool: int) -> float:
        shown = batches(a_task(folder, pool=pool, longest=40, domain="books+tools"))
        return sum(int((x == PAD).sum()) for x in shown) / sum(x.numel() for x in shown)

    assert padding(15) < 0.5 * padding(1)
    longest = [x.shape[1] for x in batches(a_task(folder, pool=15, longest=40, domain="books+tools"))]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))  # Short texts do not all come first.
    shown = a_task(folder, pad="longest", longest=40).batch(0, seeds=Seeds(0), size=8)[0]
    assert shown.shape == (8, 40)


def test_the_same_share_of_each_class_is_held_out(folder: Path):
    task = a_task(folder)
    parts = {
        split: torch.cat([y for _, y in task.evaluation(split, holdout=HELD)]) for split in ("train", "validation")
    }
    assert [parts[split].bincount().tolist() for split in parts] == [[24, 24], [6, 6]]
    assert (
        len(rows_of(task.evaluation("train", holdout=HELD)) + rows_of(task.evaluation("validation", holdout=HELD)))
        == 60
    )
    with pytest.raises(Refused, match="there is no validation part"):
        next(task.evaluation("validation"))


def test_few_labels_are_nested(folder: Path):
    few, more = (rows_of(a_task(folder, few=number).evaluation("train")) for number in (6, 20))
    assert len(few) == 6 and len(more) == 20 and set(few) <= set(more)
    assert sorted(label for _, label in few) == [0, 0, 0, 1, 1, 1]
    assert rows_of(a_task(folder, few=6).evaluation("test")) == rows_of(a_task(folder).evaluation("test"))


def test_evaluation_goes_by_length_within_the_room(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(texts, "ROOM", 60)
    task = a_task(folder, domain="books+tools")
    batches = list(task.evaluation("test"))
    lengths = [int((row != PAD).sum()) for x, _ in batches for row in x]
    assert lengths == sorted(lengths) and len(lengths) == 40
    assert all(x.numel() <= 60 for x, _ in batches) and len(batches) > 5
    groups, names = task.groups("test")
    assert names == ("books", "tools") and len(groups) == 40
    for row, group in zip((row for x, _ in batches for row in x), groups, strict=True):
        words = {task.piece(int(t)).strip("▁") for t in row}
        assert not words & ({"hammer", "drill", "saw"} if group == 0 else {"novel", "page", "story"})


def test_the_first_two_tokens_have_names(folder: Path):
    task = a_task(folder)
    assert task.piece(PAD) == "<pad>" and task.piece(UNKNOWN) == "<unk>"


def test_numbers_say_the_text_again(folder: Path):
    task = a_task(folder, longest=100, vocabulary=120)
    said = texts.part_of(task, "test")
    known = {
        "".join(task.piece(t) for t in tokens).replace("▁", " ").strip()
        for tokens, _ in rows_of(task.evaluation("test"))
    }
    assert known == set(said.texts) and set(said.domains) == {"books"}


def test_long_texts_lose_their_end(folder: Path):
    whole, cut = (rows_of(a_task(folder, longest=longest).evaluation("test")) for longest in (60, 5))
    assert sorted((tokens[:5], label) for tokens, label in whole) == cut


def test_prepared_texts_are_kept_and_made_again_when_damaged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = a_task(folder).__identity__()
    forget()
    monkeypatch.setattr(corpora, "read", lambda *_: pytest.fail("read again"))
    assert a_task(folder).__identity__() == first
    monkeypatch.undo()
    monkeypatch.setenv("TOMBOLA_CACHE", str(tmp_path / "cache"))
    for file in (tmp_path / "cache").iterdir():
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    forget()
    assert a_task(folder).__identity__() == first
    monkeypatch.setenv("TOMBOLA_CACHE", "/dev/null/nowhere")
    forget()
    assert a_task(folder).__identity__() == first


def test_other_texts_have_another_identity(folder: Path):
    first = a_task(folder)
    identity, io = first.__identity__(), first.io
    changed = reviews(60)
    changed["text"] = [f"indeed {text}" for text in changed["text"]]
    write(folder, train=changed)
    forget()
    assert a_task(folder).__identity__() != identity
    assert a_task(folder, vocabulary=90).io.vocabulary != io.vocabulary
    assert a_task(folder, shared=("books",)).io.vocabulary != io.vocabulary


def test_cleaning():
    train = Texts(("a b", "", "c", "a  b", "d", " "), np.array([0, 0, 1, 0, 1, 1]), ("x",) * 6)
    test = Texts(("d", "e", "e"), np.array([1, 0, 0]), ("y",) * 3)
    found = cleaned(Corpus(train, test, 2))
    assert found.train.texts == ("a b", "c") and found.train.labels.tolist() == [0, 1]
    assert found.test.texts == ("d", "e") and found.test.domains == ("y", "y")


def test_a_training_text_that_is_tested_anywhere_is_taken_out(tmp_path: Path):
    train, test = reviews(60), reviews(20, seed=1)
    tested = next(text for text, domain in zip(test["text"], test["domain"], strict=True) if domain == "tools")
    at = train["domain"].index("books")
    train["text"][at] = f" {tested} "
    folder = write(tmp_path / "mine", train=train, test=test)
    assert a_task(folder).train_size() == 59


def test_a_vocabulary_of_test_text_is_refused():
    options = Options(size=30, coverage=1.0, case="kept")
    train = ["good story", "bad page", "a drill", "the saw"] * 3
    assert vocabulary.pieces(learned(train, options, tested=["good saw"]))
    with pytest.raises(
        Refused, match="learned from test text: 'bad  page' is among its 12 texts. Learn it from training"
    ):
        learned(train, options, tested=["good saw", "bad  page"])


def test_long_lines_are_learned_from_too():
    """SentencePiece skips lines of more than 4,192 bytes unless it is told not to."""
    texts = ["short words only"] * 5 + ["zebra " * 1000]
    pieces = vocabulary.pieces(learned(texts, Options(size=40, coverage=1.0, case="kept")))
    assert any("z" in piece for piece in pieces)


def test_case_and_coverage():
    texts = ["Good Story", "good story", "Bad PAGE", "bad page"] * 3
    kept, lower = (
        vocabulary.pieces(learned(texts, Options(size=30, coverage=1.0, case=case))) for case in ("kept", "lower")
    )
    assert any(piece.lower() != piece for piece in kept[2:]) and all(piece.lower() == piece for piece in lower)
    rare = ["abcd" * 50] * 10 + ["é"]
    assert not any(
        "é" in piece for piece in vocabulary.pieces(learned(rare, Options(size=8, coverage=0.99, case="kept")))
    )


def test_too_large_a_vocabulary(folder: Path):
    with pytest.raises(
        Refused,
        match="120 texts do not make a vocabulary of 9,000 subwords.*Use vocabulary=[0-9]+ or less, or more texts",
    ):
        _ = a_task(folder, vocabulary=9000).io


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"domain": "toys"}, "no domain of texts.* called 'toys'. .*books, tools"),
        ({"domain": "books+"}, "a domain without a name"),
        ({"vocabulary": 2}, "field 'vocabulary' is 2. It is 3 or more"),
        ({"longest": 0}, "field 'longest' is 0"),
        ({"coverage": 0.9}, "field 'coverage' is 0.9. .* 0.98 to 1"),
        ({"test": "train"}, "train and test are both 'train'"),
        ({"group": ""}, "domain 'books' of a set without domains. Name their column"),
        ({"text": "body"}, "no column of texts.* called 'body'"),
        ({"label": "text"}, "column 'text' holds [0-9]+ different texts in 160 rows.* no classes. Name the column of"),
        ({"few": 1000}, r"few=1,000 asks for more labelled examples than the 60 .*few=0 for all"),
        ({"train": "dev"}, "no split of texts.* called 'dev'"),
    ],
)
def test_bad_input(folder: Path, fields: dict[str, Any], message: str):
    with pytest.raises((Refused, UnknownName), match=message):
        task = a_task(folder, **fields)
        task.batch(0, seeds=Seeds(), size=4)


def test_an_empty_domain_is_refused(tmp_path: Path):
    train, test = reviews(20), reviews(20, seed=1)
    train["text"] = [
        text if domain == "books" else " " for text, domain in zip(train["text"], train["domain"], strict=True)
    ]
    folder = write(tmp_path / "mine", train=train, test=test)
    with pytest.raises(Refused, match="domain 'tools' has no training text left"):
        _ = a_task(folder, domain="tools", vocabulary=60).io


def test_a_domain_with_a_plus_in_its_name(tmp_path: Path):
    columns = reviews(20)
    columns["domain"] = ["x+y" if domain == "books" else domain for domain in columns["domain"]]
    folder = write(tmp_path / "mine", train=columns, test=reviews(20, seed=1))
    with pytest.raises(Refused, match=r"domain 'x\+y' has a '\+' in its name.* Rename it in column 'domain'"):
        _ = a_task(folder, domain="x+y", vocabulary=60).io


def test_a_row_without_a_domain(tmp_path: Path):
    columns = reviews(20)
    columns["domain"][3] = None
    folder = write(tmp_path / "mine", train=columns, test=reviews(20, seed=1))
    with pytest.raises(Refused, match="column 'domain' has a row without a domain"):
        _ = a_task(folder, vocabulary=60).io


def test_labels_that_are_all_alike(tmp_path: Path):
    columns = [reviews(20, seed=seed) for seed in (0, 1)]
    for one in columns:
        one["label"] = [0] * len(one["label"])
    folder = write(tmp_path / "mine", train=columns[0], test=columns[1])
    with pytest.raises(Refused, match="all labels in column 'label' are alike"):
        _ = a_task(folder, vocabulary=60).io


@pytest.mark.parametrize("label", [float("nan"), float("inf")])
def test_labels_that_are_not_finite(tmp_path: Path, label: float):
    columns = reviews(20)
    columns["label"] = [float(one) for one in columns["label"]]  # type: ignore[arg-type]
    columns["label"][3] = label
    folder = write(tmp_path / "mine", train=columns, test=reviews(20, seed=1))
    with pytest.raises(Refused, match="column 'label' holds (nan|inf|None), no whole number"):
        _ = a_task(folder, vocabulary=60).io


def test_a_text_of_no_token_has_one_place():
    part = Encoded(np.array([5, 7], dtype=np.int32), np.array([0, 2]), np.array([0, 1]), np.array([0, 0]))
    assert part.padded(np.array([0])).tolist() == [[PAD]]
    assert part.padded(np.array([0, 1])).tolist() == [[PAD, PAD], [5, 7]]


def test_bytes_that_are_no_text(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    for split in ("train", "test"):
        (tmp_path / "mine" / f"{split}.csv").write_bytes(b"text,label\ngood \xff\xfe story,1\nbad page,0\n")
    with pytest.raises((Damaged, Refused), match="UTF-8|utf-8"):
        _ = OwnTexts(id=str(tmp_path / "mine"), vocabulary=30).io


def test_a_set_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path))
    with pytest.raises(Refused, match="fdu_mtl is not on this machine. Tried: folder"):
        _ = Reviews().io


def stars(folder: Path, name: str, *, number: int, seed: int = 0) -> None:
    """A category as lines of JSON, in the layout of the dumps; with threes, repeats and an empty text."""
    random, columns = np.random.default_rng(seed), reviews(number, seed=seed, domains=("books",))
    rows = [
        {"rating": float(random.choice((4, 5) if label else (1, 2))), "text": text}
        for text, label in zip(columns["text"], columns["label"], strict=True)
    ]
    rows += [{"rating": 3.0, "text": "so so"}, {"rating": 5.0, "text": ""}, dict(rows[0])]
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    (folder / "raw" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def amazon(folder: Path, **fields: Any) -> AmazonReviews:
    given = {"file": "raw/{domain}.jsonl", "vocabulary": 60, "longest": 20, "shared": ("Books", "Music")}
    return AmazonReviews(id=str(folder), **{**given, "train": 24, "test": 8, **fields})


def test_the_dumps_are_balanced_and_divided(tmp_path: Path):
    for seed, name in enumerate(("Books", "Music")):
        stars(tmp_path, name, number=40, seed=seed)
    task = amazon(tmp_path)
    train, test = (torch.cat([y for _, y in task.evaluation(split)]) for split in ("train", "test"))
    assert train.bincount().tolist() == [12, 12] and test.bincount().tolist() == [4, 4]
    parts = [set(texts.part_of(task, split).texts) for split in ("train", "test")]
    assert len(parts[0]) == 24 and len(parts[1]) == 8 and not parts[0] & parts[1] and "so so" not in parts[0] | parts[1]
    assert amazon(tmp_path, domain="Music").io == task.io
    third = task.train_size(Holdout(1 / 3))
    assert third == 16


def test_the_order_of_a_dump_does_not_matter(tmp_path: Path):
    for seed, name in enumerate(("Books", "Music")):
        stars(tmp_path, name, number=40, seed=seed)
    first = amazon(tmp_path).__identity__()
    file = tmp_path / "raw" / "Books.jsonl"
    file.write_text("".join(f"{line}\n" for line in reversed(file.read_text().splitlines())))
    forget()
    assert amazon(tmp_path).__identity__() == first


def test_too_few_reviews_and_stars_that_are_none(tmp_path: Path):
    for seed, name in enumerate(("Books", "Music")):
        stars(tmp_path, name, number=40, seed=seed)
    with pytest.raises(Refused, match="has 20 different texts of class 0 .* 30 for training and 4 for testing"):
        _ = amazon(tmp_path, train=60).io
    with pytest.raises(Refused, match="has [56] different texts of class . "):
        _ = amazon(tmp_path, scan=10).io
    with pytest.raises(Refused, match="does not name a category"):
        amazon(tmp_path, file="raw/Books.jsonl")
    with pytest.raises(Refused, match="Both classes have half of it"):
        amazon(tmp_path, train=7)
    file = tmp_path / "raw" / "Books.jsonl"
    file.write_text(file.read_text() + json.dumps({"rating": 9.0, "text": "much too good"}) + "\n")
    forget()
    with pytest.raises(Damaged, match="column 'rating' holds 9. Stars are 1 to 5"):
        _ = amazon(tmp_path).io
    file.write_text('{"rating": NaN, "text": "what now"}\n')
    forget()
    with pytest.raises(Refused, match="column 'rating' holds (nan|None), no whole number"):
        _ = amazon(tmp_path).io
    file.write_text("")
    forget()
    with pytest.raises(Refused, match="domain 'Books' has no row in raw/Books.jsonl"):
        _ = amazon(tmp_path).io


def test_a_file_may_have_braces_in_its_name(tmp_path: Path):
    for seed, name in enumerate(("Books", "Music")):
        stars(tmp_path, name, number=40, seed=seed)
    (tmp_path / "raw").rename(tmp_path / "{x}")
    assert amazon(tmp_path, file="{x}/{domain}.jsonl").io.classes == 2


def test_reviews_of_the_study():
    """Counts worked out from the files: 1,600 a domain, less what is tested or stands twice."""
    task = Reviews(vocabulary=1000)
    assert (task.train_size(), len(task.prepared.test.labels)) == (1582, 400)
    assert task.io.tokens == 1000 and task.io == dataclasses.replace(task, domain="music").io
    with pytest.raises(UnknownName, match="no domain of reviews called 'bookss'. Did you mean 'books'"):
        Reviews(domain="bookss")


def test_a_text_of_two_domains_belongs_to_the_first(tmp_path: Path):
    for seed, name in enumerate(("Books", "Music")):
        stars(tmp_path, name, number=40, seed=seed)
    books, music = (tmp_path / "raw" / f"{name}.jsonl" for name in ("Books", "Music"))
    music.write_text(music.read_text() + "\n".join(books.read_text().splitlines()[:20]) + "\n")
    parts = {name: set(texts.part_of(amazon(tmp_path, domain=name), "train").texts) for name in ("Music", "Books")}
    assert len(parts["Books"]) == 24 and 12 < len(parts["Music"]) < 24 and not parts["Books"] & parts["Music"]


def test_a_domain_whose_test_texts_could_be_learned_is_refused(tmp_path: Path):
    """Where domains are read one by one, a vocabulary would depend on who asks first."""
    for name in ("Books", "Music", "Toys"):
        stars(tmp_path, name, number=40)
    with pytest.raises(Refused, match="'Toys' is not in shared=.* Add it: shared=\\('Books', 'Music', 'Toys'\\)"):
        _ = amazon(tmp_path, domain="Toys").io


def test_a_domain_without_one_of_the_classes_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = reviews(60)
    kept = [n for n, domain in enumerate(rows["domain"]) if domain == "books" or rows["label"][n]]
    lame = write(tmp_path / "mine", train={name: [rows[name][n] for n in kept] for name in rows}, test=reviews(9))
    caplog.clear()
    _ = a_task(lame).io
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.endswith(", 'tools': no training example is of class 0, of the classes 0 to 1.")


def test_names_of_classes_are_numbered_in_their_order(folder: Path, tmp_path: Path):
    names = ("awful", "superb")
    named = [
        {**part, "label": [names[int(str(label))] for label in part["label"]]}
        for part in (reviews(60), reviews(20, seed=1))
    ]
    other = a_task(write(tmp_path / "named", train=named[0], test=named[1]))
    assert other.io == a_task(folder).io
    for split in ("train", "test"):
        assert rows_of(other.evaluation(split)) == rows_of(a_task(folder).evaluation(split))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, "good", "bad", "bad"] * 4, "holds numbers and names, such as 'bad'"),
        ([None, "good"] * 8, "holds None, no whole"),
    ],
)
def test_labels_of_two_kinds_are_refused(tmp_path: Path, labels: list[Any], message: str):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for split in ("train", "test"):
        lines = [json.dumps({"text": f"fine {n}", "label": label, "domain": "books"}) for n, label in enumerate(labels)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    with pytest.raises((Refused, Damaged), match=message):
        _ = a_task(folder, shared=("books",)).io


def test_a_domain_that_a_known_set_has_not():
    for field in ("domain=dvds", "shared=('books', 'dvds')"):
        with pytest.raises(UnknownName, match="no domain of blitzer_reviews called 'dvds'. Did you mean 'dvd'"):
            parse("task", f"blitzer_reviews({field})")


def test_a_folder_that_is_here_and_is_not_named_as_a_path(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(Refused, match="Write id='./mine' for the folder mine here"):
        _ = OwnTexts(id="mine").io
