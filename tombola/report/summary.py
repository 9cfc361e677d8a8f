"""The plain data that a report is made of: what was measured, and where each number came from."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tombola.report.decode import decode, encode, parse

FORMAT = "tombola-summary/1"
"""Written into every summary, so that a file of another kind or a later form is refused by name."""


def _share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value!r}, it must be a fraction from 0 to 1 (95 % is 0.95).")


def _counts(density: float, kept: int, size: int) -> None:
    _share("density", density)
    if not 0 <= kept <= size or size < 1:
        raise ValueError(f"kept is {kept} of size {size}; kept must lie between 0 and size, and size be at least 1.")
    if abs(density - kept / size) > max(1e-4, 0.01 * density):
        raise ValueError(f"density is {density}, but {kept} of {size} is {kept / size:.6g}. Give kept / size.")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training: one seed, one network, one level.

    Args:
        name: "ticket" (level 0 is the dense network), "reinit", "shuffle" or any other control.
        density: Fraction of the prunable weights that were kept; `kept` of `size`.
        test_accuracy: Fraction of the test items, 0 to 1. `validation_accuracy` likewise, None where none was held out.
        seconds: Wall time of the training.
        peak_memory: Bytes.
        flops_dense: Floating-point operations of the training, by declared convention, mask ignored.
        flops_sparse: The same with dead weights left out: theory, not a saving.
        key: The key of the result in the store; `call` is the call, in text form, that made it.
        checks: Name of each check inside the training -> whether it held.
    """

    seed: int
    name: str
    level: int
    density: float
    kept: int
    size: int
    test_accuracy: float
    test_loss: float
    validation_accuracy: float | None
    seconds: float
    steps: int
    peak_memory: int
    flops_dense: float
    flops_sparse: float
    key: str
    call: str
    checks: Mapping[str, bool] = field(hash=False)

    def __post_init__(self) -> None:
        _counts(self.density, self.kept, self.size)
        _share("test_accuracy", self.test_accuracy)
        if self.validation_accuracy is not None:
            _share("validation_accuracy", self.validation_accuracy)
        for name in ("level", "seconds", "steps", "peak_memory", "flops_dense", "flops_sparse"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)!r}, it must be a finite number, 0 or more.")
        if not self.name or not self.key or not self.call:
            raise ValueError("name, key and call must not be empty: a number without them cannot be traced.")
        object.__setattr__(self, "checks", MappingProxyType(dict(self.checks)))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The mask of the first layer as a small grid, such as the share of living connections of each input pixel.

    Example:
        >>> Picture(seed=0, name="ticket", level=1, density=0.5, values=((0.0, 1.0),), caption="two pixels").values
        ((0.0, 1.0),)
    """

    seed: int
    name: str
    level: int
    density: float
    values: tuple[tuple[float, ...], ...]
    caption: str

    def __post_init__(self) -> None:
        _share("density", self.density)
        if not self.values or not self.values[0] or len({len(line) for line in self.values}) > 1:
            raise ValueError("values must be a grid: at least one line, and every line as long as the first.")
        for line in self.values:
            for value in line:
                _share("a value of a picture", value)


@dataclass(frozen=True, kw_only=True)
class LayerDensity:
    """The density of one layer of the ticket of one seed at one level: `kept` of `size` weights.

    Example:
        >>> LayerDensity(seed=0, level=1, layer="stem.weight", density=0.5, kept=50, size=100).layer
        'stem.weight'
    """

    seed: int
    level: int
    layer: str
    density: float
    kept: int
    size: int

    def __post_init__(self) -> None:
        _counts(self.density, self.kept, self.size)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All that a page shows, and nothing that must be trained or loaded to show it.

    Args:
        question: What was asked, in one sentence.
        command: What to type to make these results again.
        margin: How much test accuracy (a fraction: 0.002 is 0.2 points) a winning ticket may lose to the dense network.
        machine: Where it ran, in words.
        provenance: Versions, commit and the like, name -> text.

    Example:
        >>> empty = Summary(title="t", question="q", arch="mlp()", task="digits()", recipe="r", command="c", rows=())
        >>> Summary.from_json(empty.to_json()) == empty
        True
    """

    title: str
    question: str
    arch: str
    task: str
    recipe: str
    command: str
    margin: float = 0.002
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...] = ()
    layers: tuple[LayerDensity, ...] = ()
    machine: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _share("margin", self.margin)
        for what, places in (
            ("row", [(row.name, row.level, row.seed) for row in self.rows]),
            ("picture", [(picture.name, picture.level, picture.seed) for picture in self.pictures]),
            ("layer", [(layer.layer, layer.level, layer.seed) for layer in self.layers]),
        ):
            if twice := [place for place, count in Counter(places).items() if count > 1]:
                name, level, seed = twice[0]
                raise ValueError(f"two {what}s for {name!r}, level {level}, seed {seed}. Keep one: a seed counts once.")
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    def to_json(self) -> str:
        """This summary as JSON text, with its format named; `from_json` gives back an equal one."""
        return json.dumps({"format": FORMAT, **encode(self)}, indent=1, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """The summary in `text`; refuses unknown or missing fields and wrong types, naming the place."""
        data = parse(text, "summary")
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            raise ValueError(f"summary: the format is {found!r}, this reads {FORMAT!r}. Write it with to_json().")
        return decode(cls, {name: value for name, value in data.items() if name != "format"}, "summary")
