"""What can go wrong, in three words a program can act on.

Every message says what was asked, what is there, the rule and the way out. The command line turns `Refused` into exit
code 2 and `Failed` and `Damaged` into exit code 1; anything else is a bug of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable

MOST_NAMED = 25


class Refused(ValueError):
    """The call was wrong: nothing ran, nothing was written."""


class UnknownName(Refused, LookupError):
    """A name that is not known; the message names the nearest known one."""


class Damaged(ValueError):
    """A file is not what it says it is: truncated, altered, of another version, or not ours at all."""


class Failed(RuntimeError):
    """A run that was rightly asked for could not be finished; what was finished before it is kept."""


def unknown(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """An error for a name that is not known, with the nearest known one.

    Example:
        >>> print(unknown("criterion", "magntude", ["magnitude", "random"]))
        no criterion called 'magntude'. Did you mean 'magnitude'? Known: magnitude, random.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    known_ones = f"Known: {', '.join(choices) or 'none'}." if len(choices) <= MOST_NAMED else "See: tombola list."
    return UnknownName(f"no {what} called '{name}'.{hint} {known_ones}")
