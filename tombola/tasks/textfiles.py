"""Reading texts in the hub's layout with `datasets`. Imported only when a set of texts is read."""

import itertools
import math
import tempfile
from collections.abc import Iterator
from typing import Any

from datasets.exceptions import DatasetGenerationError

from tombola.core.errors import Damaged, Refused, unknown
from tombola.tasks.corpora import Library, Row
from tombola.tasks.hubfiles import check_place, loaded, quietly, split_of
from tombola.tasks.sources import Place, absent, locate


class EmptyFile(Exception):
    """A file of nothing, in which `datasets` finds not even columns."""


def rows(library: Library, split: str, domains: tuple[str, ...]) -> list[Row]:
    """The rows of a split: text, label or stars, and domain.

    Raises:
        Refused: If the set, a split or a column is not there or of the wrong kind.
        Damaged: If a file cannot be read, or holds bytes that are no text.
    """
    place = locate(library.source)
    found: list[Row] = []
    for domain in domains if library.file else ("all",):
        file = library.file.replace("{domain}", domain)
        try:
            check_place(library.source, place.path, where=place.where)
            found += _read(library, split, place, file, domain)
        except EmptyFile as error:
            raise Refused(
                f"{library.source.name}: domain '{domain}' has no row in {file}. Name another one."
            ) from error
        except OSError as error:
            raise Refused(absent(library.source, place, error)) from error
        except (UnicodeDecodeError, DatasetGenerationError) as error:
            raise Damaged(
                f"{library.source.name}: {file or place.path} cannot be read ({str(error.__cause__ or error):.200}). "
                "Texts are UTF-8; bytes that mean nothing may stand as U+FFFD."
            ) from error
    return found


def _read(library: Library, split: str, place: Place, file: str, domain: str) -> Iterator[Row]:
    """The rows of one file, or of a whole split."""
    source = library.source
    with quietly(offline=place.where == "cache"), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        cache = scratch if place.where == "folder" else None
        if file:
            try:
                part = loaded(source, place.path, cache=cache, split=split, data_files={split: file}, streaming=True)
            except StopIteration as error:
                raise EmptyFile from error
        else:
            part = split_of(source, loaded(source, place.path, cache=cache), split, place.path, cache=cache)
        names = [library.text, library.stars or source.label, *([library.domain] if library.domain else [])]
        for name in names if part.features else ():
            if name not in part.features:
                raise unknown(f"column of {source.name}", name, part.features)
        for line in itertools.islice(part.select_columns(names), library.scan or None):
            text, label, *own = (line[name] for name in names)
            yield _row(library, text, label, own[0] if own else domain)


def _row(library: Library, text: Any, label: Any, domain: Any) -> Row:
    """A row whose values are of the kinds that are needed; an absent text is an empty one."""
    name = library.source.name
    if not isinstance(text, str | None):
        raise Refused(f"{name}: column '{library.text}' holds {text!r:.60}, which is no text.")
    if domain is None:
        raise Refused(f"{name}: column '{library.domain}' has a row without a domain. Fill it in, or drop the row.")
    if isinstance(label, str) and label and not library.stars:
        return text or "", label, str(domain)
    if not isinstance(label, int | float) or not math.isfinite(label) or int(label) != label:
        column, kind = library.stars or library.source.label, "" if library.stars else " and no name of a class"
        raise Refused(f"{name}: column '{column}' holds {label!r:.60}, no whole number{kind}.")
    return text or "", int(label), str(domain)
