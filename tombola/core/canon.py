"""The canonical form of a value, and the fingerprint made of it.

A key must cover everything that decides a result, so a value either has one stable form or is refused: plain values,
tuples, lists, dicts with text keys, plug-ins (name, version, non-default fields, and defaults whose meaning may have
changed) and things that carry a key of their own (tickets, trained networks, deferred calls). Whatever differs in
meaning differs in form: 1, 1.0, True and "1" are four values, and so are a tuple and the text that looks like it.
"""

import abc
import hashlib
import json
import math
from typing import Any, cast

from tombola.core.errors import Refused
from tombola.core.plugin import deciding_fields, is_plugin, registration_of

KEY_DIGITS = 16


class Keyed(abc.ABC):
    """Something that stands for the call that made it, such as a ticket or a deferred step."""

    @property
    @abc.abstractmethod
    def key(self) -> str:
        """`function:0123456789abcdef`, the identity of the call that made this."""


def canonical(value: Any, *, where: str = "the value") -> Any:
    """The value as plain JSON data that is equal exactly when the value means the same.

    Args:
        where: What to call the value in an error, such as "argument 'schedule' of train".

    Raises:
        Refused: If the value has no stable form.

    Example:
        >>> canonical((1, 2.5, "a"))
        {'tuple': [1, {'float': '2.5'}, 'a']}
    """
    if value is None or type(value) in (bool, int, str):  # Not their heirs: NumPy's are written another way.
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise Refused(f"cannot fingerprint {value!r} ({where}). Keys are made of finite numbers.")
        return {"float": repr(value)}
    if isinstance(value, Keyed):
        return {"ref": value.key}
    if is_plugin(value):
        own, identity = registration_of(value), value.__identity__()
        parts = deciding_fields(value, identity)
        fields = {n: canonical(v, where=f"field '{n}' of {own.name}") for n, v in parts.items()}
        form: dict[str, Any] = {"plugin": f"{own.kind}/{own.name}", "version": own.version, "fields": fields}
        if identity:
            form["identity"] = canonical(identity, where=f"the identity of {own.name}")
        return form
    if isinstance(value, tuple):
        return {"tuple": [canonical(v, where=where) for v in cast(tuple[Any, ...], value)]}
    if isinstance(value, list):
        return [canonical(v, where=where) for v in cast(list[Any], value)]
    if isinstance(value, dict):
        members = cast(dict[Any, Any], value)
        if not all(isinstance(k, str) for k in members):
            raise Refused(f"cannot fingerprint a dict with keys that are not text ({where}).")
        return {"dict": {k: canonical(v, where=where) for k, v in members.items()}}
    raise Refused(
        f"cannot fingerprint a {type(value).__name__} ({where}). Everything that decides a result must be a plain "
        "value, a plug-in or a deferred step. Where-it-runs choices belong to Machine."
    )


def encoded(form: Any) -> bytes:
    """Canonical data as bytes: sorted keys, no blanks, UTF-8.

    Example:
        >>> encoded({"b": 1, "a": [True, None]})
        b'{"a":[true,null],"b":1}'
    """
    return json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def fingerprint(value: Any, *, where: str = "the value") -> str:
    """Sixteen hexadecimal digits (64 bits) of the SHA-256 of the canonical form.

    Example:
        >>> fingerprint({"keep": 0.8}) == fingerprint({"keep": 0.8}), len(fingerprint(1))
        (True, 16)
    """
    return digest_of(canonical(value, where=where))


def digest_of(form: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of canonical data."""
    return hashlib.sha256(encoded(form)).hexdigest()[:KEY_DIGITS]
