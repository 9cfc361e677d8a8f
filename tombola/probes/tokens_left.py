"""Which subwords a mask leaves in an embedding: by how often they occur, and by name."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from tombola.core.errors import Refused
from tombola.core.measurement import Measurement
from tombola.core.task import Split, Task
from tombola.core.ticket import Ticket
from tombola.probes.predictions import Whole, in_split, network_of
from tombola.probes.shift import token_counts
from tombola.study.step import Context, step
from tombola.train.trained import Trained

SHOWN = 50


@runtime_checkable
class Spelled(Protocol):
    """A token task that can tell what its numbers stand for."""

    def piece(self, number: int, /) -> str:
        """The text of a token."""
        ...


@step("tokens_left", prepare=in_split)
def tokens_left(
    ticket: Ticket | Trained, task: Task, split: Split = "train", *, context: Context = Context()
) -> Measurement:
    """How many weights of each token's row live in the embedding, against how often the token occurs in a task's text.

    The embedding is the masked tensor in the stem with a row for each token. Padding, token 0, is no token here.
    `tokens_alive` is the share with any living weight, `mean_living` the living weights a token, `..._seen` and
    `..._unseen` those of tokens that occur in the text and that do not; `rank_correlation` is Spearman's, of living
    weights and occurrences (left out where either is the same for all). The table "deciles" has the tokens in ten parts
    from the most to the least frequent, with their share of the text; "most_pruned" and "most_kept" the 50 tokens at
    either end, frequent ones first among equals, with their text where the task can tell it.

    With coupled L2 and Adam the rows of tokens that never occur shrink towards 0 and go first; with decoupled decay
    they stay as they were drawn. So a mask found on one domain may be a record of its vocabulary.

    Args:
        task: Whose text is counted: that of the ticket, or another one with the same vocabulary.
        split: Of the text; nothing is held out of "train".

    Raises:
        Refused: If the network takes no tokens, its embedding is not masked, or the vocabularies differ.
    """
    network = network_of(ticket)
    if not network.io.tokens or (task.io.tokens, task.io.vocabulary) != (network.io.tokens, network.io.vocabulary):
        raise Refused(
            f"tokens_left: {network!r} is a network for {network.io} and {task} has {task.io}. Give a network for "
            "tokens, and a task with the same vocabulary."
        )
    name = _embedding(network, ticket.mask.shapes)
    living = ticket.mask[name].flatten(1).sum(1).numpy()[1:]
    counts = token_counts(task, split, torch.device(context.machine.device))[1:]
    width, seen = ticket.mask[name][0].numel(), counts > 0
    numbers = {
        "tokens": len(living),
        "tokens_alive": float((living > 0).mean()),
        "mean_living": float(living.mean()),
        "density": float(living.mean() / width),
        "tokens_seen": float(seen.mean()),
        **{
            f"mean_living_{word}": float(living[which].mean())
            for word, which in (("seen", seen), ("unseen", ~seen))
            if which.any()
        },
        **{
            f"tokens_alive_{word}": float((living[which] > 0).mean())
            for word, which in (("seen", seen), ("unseen", ~seen))
            if which.any()
        },
        **_correlation(living, counts),
    }
    tables = {
        "deciles": _deciles(living, counts, width),
        "most_pruned": _shown(task, living, counts, np.lexsort((-counts, living))),
        "most_kept": _shown(task, living, counts, np.lexsort((-counts, -living))),
    }
    return Measurement(numbers, tables=tables)


def _embedding(network: Ticket, shapes: dict[str, tuple[int, ...]]) -> str:
    """The masked tensor in the stem whose rows are tokens."""
    stem = tuple(f"{part}." for part in network.arch.layout().stem)
    found = [
        n for n, shape in shapes.items() if n.startswith(stem) and len(shape) > 1 and shape[0] == network.io.tokens
    ]
    if len(found) != 1:
        raise Refused(
            f"tokens_left: {len(found)} tensors of the mask of {network!r} lie in its stem and have a row for each of "
            f"its {network.io.tokens:,} tokens. One is needed: cut in a scope that takes the embedding in."
        )
    return found[0]


def _correlation(living: Whole, counts: Whole) -> dict[str, float]:
    from scipy.stats import spearmanr

    if len(set(living.tolist())) < 2 or len(set(counts.tolist())) < 2:
        return {}
    return {"rank_correlation": float(spearmanr(living, counts).statistic)}  # type: ignore[attr-defined]


def _deciles(living: Whole, counts: Whole, width: int) -> tuple[dict[str, Any], ...]:
    order = np.argsort(-counts, kind="stable")
    return tuple(
        {
            "decile": number,
            "tokens": len(part),
            "least": int(counts[part].min()),
            "most": int(counts[part].max()),
            "share_of_text": float(counts[part].sum() / max(counts.sum(), 1)),
            "tokens_alive": float((living[part] > 0).mean()),
            "mean_living": float(living[part].mean()),
            "density": float(living[part].mean() / width),
        }
        for number, part in enumerate(np.array_split(order, 10), start=1)
        if len(part)
    )


def _shown(task: Task, living: Whole, counts: Whole, order: np.ndarray) -> tuple[dict[str, Any], ...]:
    spell = task.piece if isinstance(task, Spelled) else None
    return tuple(
        {
            "token": int(place) + 1,
            **({} if spell is None else {"piece": spell(int(place) + 1)}),
            "living": int(living[place]),
            "count": int(counts[place]),
        }
        for place in order[:SHOWN]
    )
