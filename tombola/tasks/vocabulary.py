"""Subwords: byte-pair encoding by SentencePiece, learned from training texts only (Sennrich et al. 2016; Kudo 2018).

One vocabulary serves all domains that are compared, so that their inputs are of one kind and the mask of an embedding
means the same in each (Desai et al. 2019, section 3). Token 0 pads, token 1 is what the vocabulary does not know.
"""

import functools
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tombola.core.errors import Refused
from tombola.core.layout import PAD, UNKNOWN
from tombola.tasks.corpora import mark, plain

LONGEST_LINE = 1 << 30
"""SentencePiece leaves out lines of more than 4,192 bytes unless told otherwise: the longest reviews, silently."""
Case = Literal["kept", "lower"]
Numbers = NDArray[np.int32]


class Options(NamedTuple):
    """How a vocabulary is made: its size with padding and the unknown, the share of characters that it covers."""

    size: int
    coverage: float
    case: Case


def learned(texts: Sequence[str], options: Options, *, tested: Iterable[str] = ()) -> bytes:
    """The model of a vocabulary, learned from texts in their order.

    Args:
        tested: Texts that must not be among them.

    Raises:
        Refused: If one of them is, or the texts do not have so many subwords.

    Example:
        >>> model = learned(["a low tower", "a lower tower"] * 3, Options(size=12, coverage=1.0, case="kept"))
        >>> pieces(model)[:2]
        ('<pad>', '<unk>')
    """
    import sentencepiece

    known = {mark(text) for text in texts}
    if found := [text for text in tested if mark(text) in known]:
        raise Refused(
            f"a vocabulary was to be learned from test text: {found[0]!r:.80} is among its {len(texts):,} texts. Learn "
            "it from training texts only; what stands in both parts is taken out of the training part."
        )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([plain(text) for text in texts]),
            model_writer=model,
            model_type="bpe",
            vocab_size=options.size,
            character_coverage=options.coverage,
            normalization_rule_name="nmt_nfkc" if options.case == "kept" else "nmt_nfkc_cf",
            max_sentence_length=LONGEST_LINE,
            pad_id=PAD,
            unk_id=UNKNOWN,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        most = re.search(r"<= (\d+)", str(error))  # As many as these texts would make, where it says so.
        smaller = f"vocabulary={most[1]} or less" if most else f"a smaller one ({_line(error)})"
        raise Refused(
            f"{len(texts):,} texts do not make a vocabulary of {options.size:,} subwords. Use {smaller}, or more texts."
        ) from error
    return model.getvalue()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[-200:]


@functools.lru_cache(maxsize=8)
def _processor(model: bytes) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)


@functools.lru_cache(maxsize=8)
def pieces(model: bytes) -> tuple[str, ...]:
    """The subwords, by their numbers; a blank before a word is shown as ▁."""
    processor = _processor(model)
    return tuple(processor.id_to_piece(number) for number in range(processor.get_piece_size()))


@functools.lru_cache(maxsize=8)
def identity(model: bytes) -> str:
    """What tells this vocabulary from others: a digest of its subwords in their order."""
    return hashlib.sha256("\n".join(pieces(model)).encode()).hexdigest()[:16]


def encoded(model: bytes, texts: Sequence[str], *, longest: int) -> tuple[Numbers, NDArray[np.int64]]:
    """The token numbers of all texts in one row, and where each text ends in it; long texts lose their end."""
    rows = [row[:longest] for row in _processor(model).encode([plain(text) for text in texts], num_threads=1)]
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    flat = np.fromiter(
        (token for row in rows for token in row), dtype=np.int32, count=int(ends[-1]) if len(ends) else 0
    )
    return flat, ends
