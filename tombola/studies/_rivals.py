"""The methods that the study of rivals compares, and the settings that were tried for each of them."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

On = Literal["mnist", "cifar10"]
Moment = Literal["before", "after", "level by level", "from dense", "from sparse"]


@dataclasses.dataclass(frozen=True)
class Rival:
    """A method: when it prunes, and the texts of its plug-in that were tried, of which `best` was chosen on each task.

    In a text {density} and {seed} stand for what is asked for. `restart` says what a ticket restarts from.
    """

    moment: Moment
    tried: tuple[str, ...]
    best: tuple[int, int] = (0, 0)
    scope: str = "everywhere"
    restart: Literal["weights", "rate", "fine-tune"] = "weights"

    def chosen(self, on: On) -> str:
        """The plug-in that did best on the validation data of a task."""
        return self.tried[self.best[on == "cifar10"]]


def _of(moment: Moment, name: str, *tried: str, always: str = "", best: tuple[int, int] = (0, 0)) -> Rival:
    """A method with the fields that were tried; "" are the defaults."""
    texts = tuple(f"{name}({', '.join(filter(None, (always, fields)))})" for fields in tried or ("",))
    return Rival(moment, texts, best)


def _dense(name: str, *tried: str, best: tuple[int, int] = (0, 0)) -> Rival:
    return _of("from dense", name, *tried, always="density={density}", best=best)


def _random(scope: str) -> Rival:
    return Rival("before", ("random(seed={seed})",), scope=scope)


RIVALS: dict[str, Rival] = {
    "random": _random("per_layer"),
    "random ERK": _random("erk"),
    "random IGQ": _random("igq"),
    "magnitude at init": _of("before", "magnitude"),
    "SNIP": _of("before", "snip", "", "batches=10", "batches=100", "batches=10, mode='eval'", best=(1, 1)),
    "iterative SNIP": _of("before", "snip", "rounds=20", "rounds=100", "batches=5, rounds=20", best=(2, 0)),
    "FORCE": _of("before", "force", "", "rounds=20", "rounds=20, batches=5", "pace='linear'", best=(2, 0)),
    "GraSP": _of(
        "before", "grasp", "", "temperature=1.0", "per_class=100", "temperature=1.0, per_class=100", best=(2, 2)
    ),
    "GraSP, absolute": _of(
        *("before", "grasp", "", "temperature=1.0", "per_class=100", "temperature=1.0, per_class=100"),
        always="form='absolute'",
    ),
    "SynFlow": _of("before", "synflow", "", "rounds=20", always="collapse='allowed'", best=(1, 0)),
    "SynFlow-L2": _of("before", "synflow", always="power=2, collapse='allowed'"),
    "PHEW": _of("before", "phew", "", "kernel='whole'", always="seed={seed}"),
    "magnitude, one shot": _of("after", "magnitude"),
    "magnitude, one shot, rate rewound": Rival("after", ("magnitude",), restart="rate"),
    "LAMP": _of("after", "lamp"),
    "Taylor": _of("after", "taylor", "", "batches=1", "batches=100"),
    "OBD": _of("after", "obd", "", "batches=10", "samples=50", best=(1, 0)),
    "Wanda": Rival("after", ("wanda(batches=10)",), scope="per_row"),
    "movement": _of("after", "movement", "", "form='increase'", "form='distance'", best=(1, 0)),
    "channels": Rival("after", ("magnitude",), scope="channels"),
    "IMP": _of("level by level", "magnitude"),
    "IMP, rate rewound": Rival("level by level", ("magnitude",), restart="rate"),
    "IMP, fine-tuned": Rival("level by level", ("magnitude",), restart="fine-tune"),
    "gradual": _dense("gradual", "", "start=0.1, end=0.5", "start=0.0", "pruned='kept'", best=(1, 0)),
    "GraNet": _dense("granet", "", "drop=0.3", "end=0.75", "after_end='still'", best=(2, 0)),
    "AC/DC": _dense("acdc", "", "warmup=0.25", "phase=0.1", "final=0.3", best=(1, 0)),
    "DPF": _dense("dpf", "", "end=0.75", "every=100", "then='keep'", best=(1, 0)),
    "Top-KAST": _dense("top_kast", "", "every=10", "every=10, offset=0.4", "every=10, offset=0.4, end=0.5"),
    "edge-popup": _dense("edge_popup", "", "rank='signed'", "scale='density'", "scope=everywhere()", best=(2, 0)),
    "continuous sparsification": _dense(
        "continuous_sparsification", "", "initial=0.1", "rate=10.0", "final=1000.0", best=(2, 0)
    ),
    "SET": _of("from sparse", "set", "", "every=100", "every=100, end=0.75", "drop=0.5", best=(2, 2)),
    "RigL": _of("from sparse", "rigl", "", "drop=0.5", "every=200", "every=200, drop=0.5", best=(3, 0)),
    "SNFS": _of("from sparse", "snfs", "", "drop=0.3", "every=100", "every=100, drop=0.3", best=(2, 0)),
    "MEST": _of("from sparse", "mest", "", "every=100", "decay='cosine'", "memory='soft'", best=(3, 0)),
}
TEN = (
    *("random ERK", "magnitude at init", "SNIP", "GraSP", "SynFlow", "magnitude, one shot", "IMP", "gradual"),
    *("SET", "RigL"),
)
"""Those that are compared on the second task too."""
SMALLEST_CUT = 0.7
"""What a level of iterative pruning keeps of the weights, at least."""


def rungs(densities: Sequence[float]) -> tuple[float, ...]:
    """The densities of iterative pruning: those that are wanted, and as many between them as `SMALLEST_CUT` needs.

    Example:
        >>> [round(d, 4) for d in rungs((0.5, 0.2))]
        [0.7071, 0.5, 0.3684, 0.2714, 0.2]
    """
    found: list[float] = []
    above = 1.0
    for density in sorted(densities, reverse=True):
        number = max(1, math.ceil(round(math.log(density / above) / math.log(SMALLEST_CUT), 9)))
        found += [round(above * (density / above) ** (part / number), 6) for part in range(1, number)]
        found.append(density)
        above = density
    return tuple(found)
