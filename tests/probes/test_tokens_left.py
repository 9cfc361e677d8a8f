"""Living weights of tokens, on an embedding of six rows."""

import math

import pytest
import torch
from scipy.stats import pearsonr, rankdata

from tests.probes.given import Bag, Given, SpelledWords, Words, passing, trained
from tombola.core.errors import Refused
from tombola.core.ticket import Ticket
from tombola.probes.tokens_left import tokens_left
from tombola.train.trained import Trained

TEXTS = ((1, 2, 2, 1), (1, 5), (1, 2))
ALIVE = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 0, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0]]).bool()
"""Row 0 is padding; 1 occurs four times, 2 three times, 5 once, 3 and 4 never."""


def network(task: Words, alive: torch.Tensor = ALIVE) -> Trained:
    weights = {"stem.weight": torch.ones(alive.shape), "head.weight": torch.ones(2, 3), "head.bias": torch.zeros(2)}
    return trained(Bag(), task, weights, mask={"stem.weight": alive})


def test_by_hand():
    task = Words(texts=TEXTS)
    found = tokens_left(network(task), task)
    assert found.numbers() == pytest.approx(
        {
            "tokens": 5,
            "tokens_alive": 3 / 5,
            "mean_living": 6 / 5,
            "density": 6 / 15,
            "tokens_seen": 3 / 5,
            "mean_living_seen": 5 / 3,
            "mean_living_unseen": 1 / 2,
            "tokens_alive_seen": 2 / 3,
            "tokens_alive_unseen": 1 / 2,
            "rank_correlation": pearsonr(rankdata([3, 2, 0, 1, 0]), rankdata([4, 3, 0, 0, 1])).statistic,
        }
    )
    assert isinstance(network(task).ticket, Ticket)
    assert tokens_left(network(task).ticket, task).numbers() == found.numbers()


def test_from_the_most_to_the_least_frequent():
    task = Words(texts=TEXTS)
    lines = tokens_left(network(task), task).tables["deciles"]
    assert [(line["decile"], line["tokens"], line["most"], line["mean_living"]) for line in lines] == [
        *((1, 1, 4, 3.0), (2, 1, 3, 2.0), (3, 1, 1, 0.0), (4, 1, 0, 0.0), (5, 1, 0, 1.0)),
    ]
    assert [line["share_of_text"] for line in lines] == pytest.approx([4 / 8, 3 / 8, 1 / 8, 0, 0])
    assert lines[1]["density"] == pytest.approx(2 / 3) and lines[4]["tokens_alive"] == 1


def test_ten_parts_of_many_tokens():
    """Thirty tokens, of which number t occurs t times: three to a part, the last ones first."""
    task = Words(texts=tuple((t,) * 4 for t in range(1, 31) for _ in range(t)), tokens=31)
    alive = torch.arange(31)[:, None] > torch.tensor([0, 10, 20])
    lines = tokens_left(network(task, alive), task).tables["deciles"]
    assert [(line["least"], line["most"]) for line in lines] == [(4 * (k - 2), 4 * k) for k in range(30, 0, -3)]
    assert [line["mean_living"] for line in lines] == pytest.approx([3, 3, 3, 7 / 3, 2, 2, 5 / 3, 1, 1, 1])
    assert math.fsum(line["share_of_text"] for line in lines) == pytest.approx(1)


def test_by_name():
    task = SpelledWords(texts=TEXTS)
    tables = tokens_left(network(task), task).tables
    assert tables["most_pruned"] == (
        {"token": 5, "piece": "e", "living": 0, "count": 1},
        {"token": 3, "piece": "c", "living": 0, "count": 0},
        {"token": 4, "piece": "d", "living": 1, "count": 0},
        {"token": 2, "piece": "b", "living": 2, "count": 3},
        {"token": 1, "piece": "a", "living": 3, "count": 4},
    )
    assert [line["piece"] for line in tables["most_kept"]] == ["a", "b", "d", "e", "c"]
    assert "piece" not in tokens_left(network(Words(texts=TEXTS)), Words(texts=TEXTS)).tables["most_kept"][0]


def test_a_dense_embedding_has_no_correlation():
    task = Words(texts=TEXTS)
    assert "rank_correlation" not in tokens_left(network(task, torch.ones_like(ALIVE)), task).numbers()


def test_another_domain_of_the_same_vocabulary():
    found = tokens_left(network(Words(texts=TEXTS)), Words(texts=((3, 4),))).numbers()
    assert (found["mean_living_seen"], found["tokens_seen"]) == (0.5, 0.4)


def test_what_is_refused():
    task = Words(texts=TEXTS)
    for other in (Words(texts=TEXTS, tokens=7), Words(texts=TEXTS, vocabulary="another"), Given(rows=((1.0, 0.0),))):
        with pytest.raises(Refused, match="the same vocabulary"):
            tokens_left(network(task), other)
    given = Given(rows=((1.0, 0.0),), labels=(0,))
    with pytest.raises(Refused, match="the same vocabulary"):
        tokens_left(passing(given), given)
    dense = network(task)
    mask = {name: alive for name, alive in dense.mask.items() if name != "stem.weight"}
    with pytest.raises(Refused, match="0 tensors of the mask"):
        tokens_left(dense.ticket.rebuilt(mask=type(dense.mask)(mask)), task)
