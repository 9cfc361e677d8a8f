"""What the paper did not look at, as parts of the studies of stability that are run only where they are asked for.

"order": whether a ticket and its reinit lie apart only because their units stand in another order. "bends": whether a
bent path joins them. "curvature": Hessian, sharpness and gradient noise. "features": how alike inner activations are.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tombola import Better, Beyond, Claim, Goal, Pivot, defer, row
from tombola.probes.barrier import barrier
from tombola.probes.bezier import bezier
from tombola.probes.cka import cka
from tombola.probes.gradient_noise import gradient_noise
from tombola.probes.hessian import hessian
from tombola.probes.sharpness import sharpness
from tombola.studies._stability import ARMS_PROBED, POINTS, Bench
from tombola.studies._stability_claims import SAME_BASIN, at

EXTRAS = ("order", "bends", "curvature", "features")
STAND = "as they stand"
UNITS = {STAND: "", "by weights": "weights", "by activations": "activations"}
"""The orders of a reinit's units, and the word for each that `barrier` knows."""
LEVELS = (0, 5, 10, 15, 20)
RADIUS = 0.5
"""Of adaptive sharpness, as Kwon et al. 2021 have it for small pictures."""
BATCHES = 50
"""Whose gradients are compared."""
REPAIR = "repair"
"""Aligned networks have activations of too small a variance on the line between them (Jordan et al. 2022)."""
BARRIER: Any = {"of": "train_error_barrier_points", "error": "train_error_barrier_points_error"}


def probed(rounds: int) -> tuple[int, ...]:
    """The rounds that are looked at: some of many, the first and the last of few.

    Example:
        >>> probed(17), probed(3), probed(0)
        ((0, 5, 10, 15), (0, 3), (0,))
    """
    some = tuple(level for level in LEVELS if level <= rounds)
    return some if len(some) > 1 else tuple(dict.fromkeys((0, rounds)))


def extra(bench: Bench, parts: Sequence[str], **labels: Any) -> Iterator[Goal]:
    """The parts that are asked for, at some rounds."""
    for level in probed(bench.rounds):
        where: dict[str, Any] = {"level": level, "seed": bench.seed, **labels}
        dense, pair = bench.ends("IMP")[0], {"a": bench.ends("IMP")[level], "b": bench.ends("reinit")[level]}
        if "order" in parts:
            given = {"points": POINTS, "examples": bench.examples}
            for units, aligned in UNITS.items():
                for stats in (*bench.statistics, REPAIR):
                    said = {name: word for name, word in (("stats", stats), ("aligned", aligned)) if word}
                    found = defer(barrier, **pair, **given, **said)
                    yield row(found, probe="order", units=units, stats=stats or "none", **where)
        if "bends" in parts:
            said = {"stats": "recompute"} if "recompute" in bench.statistics else {}
            yield row(defer(bezier, **pair, examples=bench.examples, **said), probe="bend", **where)
        for arm in ARMS_PROBED:
            end, of = bench.ends(arm)[level], {"arm": arm, **where}
            if "curvature" in parts:
                yield row(defer(hessian, trained=end), probe="hessian", **of)
                yield row(defer(sharpness, trained=end, adaptive=True, radius=RADIUS), probe="sharpness", **of)
                yield row(_noise(bench, end), probe="gradient noise", **of)
            if "features" in parts and level:
                yield row(defer(cka, a=dense, b=end), probe="cka", **of)


def _noise(bench: Bench, end: Any) -> Any:
    """Of as many batches as there are in an epoch, if it has few."""
    epoch = bench.task.train_size(bench.recipe.holdout) // bench.recipe.batch
    return defer(gradient_noise, ticket=end, task=bench.task, recipe=bench.recipe, batches=min(BATCHES, epoch))


def claims(parts: Sequence[str], rounds: int, **labels: Any) -> Iterator[Claim]:
    """What one would expect of a ticket that is at home where it is, and of a reinit that is not."""
    who = f" of '{labels['regime']}'" if labels else ""
    for level in probed(rounds):
        where: dict[str, Any] = {"level": level, **labels}
        if "order" in parts:
            orders = [{"probe": "order", "units": units, "stats": REPAIR, **where} for units in list(UNITS)[1:]]
            apart = tuple(Beyond(where=one, value=SAME_BASIN, **BARRIER) for one in orders)
            sentence = f"{at(level)} a reinit{who} is in another basin in any order of its units that was found"
            yield Claim(sentence, tests=apart, family="order of units")
        if "bends" in parts:
            joined = Beyond(where={"probe": "bend", **where}, value=SAME_BASIN, higher=False, **BARRIER)
            sentence = f"{at(level)} a bend joins a ticket{who} and its reinit with less than a point between them"
            yield Claim(sentence, tests=(joined,), family="bends")
        if "curvature" in parts and level:  # The dense network is no ticket.
            for probe, of, said in (
                ("hessian", "eigenvalue_1", "the sharpest direction at a ticket{} is less curved than at its reinit"),
                ("sharpness", "sharpness", "the loss rises less around a ticket{} than around its reinit"),
            ):
                less = _against(probe, of, where, higher=False)
                yield Claim(f"{at(level)} {said.format(who)}", tests=(less,), family="curvature")
        if "features" in parts and level:
            more = _against("cka", "cka_mean", where, higher=True)
            sentence = f"{at(level)} activations of a ticket{who} are more like the dense network's than its reinit's"
            yield Claim(sentence, tests=(more,), family="features")


def _against(probe: str, of: str, where: dict[str, Any], *, higher: bool) -> Better:
    ticket, reinit = ({"probe": probe, "arm": arm, **where} for arm in ("IMP", "reinit"))
    return Better(where=ticket, than=reinit, of=of, higher=higher)


def tables(parts: Sequence[str], statistics: Sequence[str], **labels: Any) -> Iterator[Pivot]:
    """A table of each number; of one regime, if it is named."""
    who = f", {labels['regime']}" if labels else ""
    shown: Any = {"verdicts": "hide", "beside": ()}
    of = BARRIER["of"]
    if "order" in parts:
        for stats in (*(one or "none" for one in statistics), REPAIR):
            where = {"probe": "order", "stats": stats, **labels}
            title = f"Barrier between ticket and reinit by order of units, statistics: {stats}{who}"
            yield Pivot(of=of, columns="units", where=where, title=title, **shown)
    if "bends" in parts:
        title = f"Barrier on a bend between ticket and reinit{who}"
        yield Pivot(of=of, columns="", where={"probe": "bend", **labels}, title=title, **shown)
    if "curvature" in parts:
        for probe, name, title in (
            ("hessian", "eigenvalue_1", "Largest eigenvalue of the Hessian"),
            ("hessian", "trace", "Trace of the Hessian"),
            ("sharpness", "sharpness", f"Adaptive sharpness within {RADIUS}"),
            ("gradient noise", "noise_scale", "Gradient noise scale, examples"),
        ):
            where = {"probe": probe, **labels}
            yield Pivot(of=name, columns="arm", where=where, title=f"{title}{who}", **shown)
    if "features" in parts:
        where, title = {"probe": "cka", **labels}, f"Activations like the dense network's (CKA){who}"
        yield Pivot(of="cka_mean", columns="arm", where=where, title=title, **shown)
