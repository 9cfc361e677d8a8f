"""The calls of a lineage, made again from their texts, which may come from a file that somebody else wrote."""

import inspect
from collections.abc import Mapping

from tombola.align import MATCHES, TENSORS, align
from tombola.core.call import Call
from tombola.core.canon import Keyed
from tombola.core.errors import Refused, UnknownName
from tombola.core.lineage import Event, is_training
from tombola.core.plugin import is_plugin, registration_of
from tombola.core.text import parse_call
from tombola.core.ticket import RESTARTS
from tombola.find import carry, cut, cut_early, draw
from tombola.merge import HOWS, VALUES, merge
from tombola.moves.matching import SCALES
from tombola.renorm import renorm
from tombola.repel import repel
from tombola.study.step import Step
from tombola.train.loop import train

STEPS: Mapping[str, Step] = {one.name: one for one in (draw, train, repel, cut, cut_early, carry, merge, renorm, align)}
ALIVE = "alive"
_TAKES = {name: one.signature.parameters for name, one in STEPS.items()} | {
    ALIVE: {"ticket": inspect.Parameter("ticket", inspect.Parameter.KEYWORD_ONLY)}
}
_KINDS = {n: n for n in ("arch", "task", "recipe", "seeds", "criterion", "scope")} | {"by": "move"}
_WORDS = {"restart": RESTARTS, "how": HOWS, "values": VALUES, "tensors": TENSORS, "scale": SCALES, "match": MATCHES}
_TRAINED = ("trained", "source", "target")


def recalled(event: Event) -> Call:
    """The call of an event, made again from its text, with keys in the place of tickets and trained networks.

    Raises:
        Refused: If no such call can have been made; the text may come from a file that was tampered with.
    """
    try:
        name, arguments = parse_call(event.call, _StandIn)
    except UnknownName as error:
        raise UnknownName(f"{error} If that is in a file of your own, name it: --use FILE.py.") from error
    if name != event.function or name not in _TAKES:
        raise Refused(f"'{event.call}' does not give {event.key}.")
    known = {n: p.default is p.empty for n, p in _TAKES[name].items() if n != "context"}
    if odd := [*(n for n in arguments if n not in known), *(n for n in known if known[n] and n not in arguments)]:
        raise Refused(f"'{event.call}' is no call of {name}: look at '{odd[0]}'.")
    for n, value in arguments.items():
        if n in _KINDS:
            fits = is_plugin(value) and registration_of(value).kind == _KINDS[n]
        elif n in ("ticket", "onto", *_TRAINED):
            fits = _stands_for(value, trained=n in _TRAINED)
        elif n in ("tickets", "others"):
            fits = isinstance(value, tuple) and all(_stands_for(one, trained=n == "others") for one in value)
        else:
            fits = value in _WORDS[n] if n in _WORDS else type(value) in (int, float)
        if not fits:
            raise Refused(f"'{event.call}' is no call of {name}: '{n}' is of the wrong kind.")
    return Call(name, 1 if name == ALIVE else STEPS[name].version, arguments)


class _StandIn(Keyed):
    """A key in the place of the value that it stands for."""

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def key(self) -> str:
        return self._key


def _stands_for(value: object, *, trained: bool) -> bool:
    return isinstance(value, _StandIn) and is_training(value.key) == trained
