"""The proofs of `verify` as a step of a study: made once, kept with the study's results, shown in its report."""

from tombola.core.measurement import Measurement
from tombola.core.ticket import Ticket
from tombola.study.step import step
from tombola.train.trained import Trained
from tombola.verify import verify


@step("prove")
def prove(ticket: Ticket, parents: tuple[Ticket | Trained, ...] = ()) -> Measurement:
    """Every check that `verify` makes of a ticket with these parents: those of each kind must all hold.

    The table "checks" has each of them with what was seen.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.recipes import Quickstart
        >>> prove(draw(Mlp(), Digits(), Quickstart())).checks["lineage"]
        True
    """
    whole = (*parents, *(one.ticket for one in parents if isinstance(one, Trained)))
    checks = verify(ticket, parents=whole).checks
    held: dict[str, bool] = {}
    for check in checks:
        what, _, event = check.name.partition(": ")
        if what == "parents":  # It counts how many were there.
            continue
        name = f"{what}, every {event.partition(':')[0]} behind it" if event else what
        held[name] = held.get(name, True) and check.ok
    table = tuple({"check": check.name, "held": check.ok, "seen": check.detail} for check in checks)
    return Measurement({"checks": len(checks), "held": sum(check.ok for check in checks)}, held, {"checks": table})
