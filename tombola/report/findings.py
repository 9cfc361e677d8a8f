"""All that the page of a study shows, as plain data: what was measured, where numbers came from, what is claimed."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tombola.report.claims import Claim, Label
from tombola.report.declared import Curve, Pivot
from tombola.report.decode import decode, encode, parse

FORMAT = "tombola-findings/1"
"""Written into every file of findings, so that one of another kind or a later form is refused by name."""

SHARES = ("density", "test_accuracy", "train_accuracy", "validation_accuracy")
"""Numbers that are fractions: 95 % is 0.95, and 95 is refused."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A small grid of fractions, such as the share of living connections of each input pixel.

    Args:
        full: What full colour stands for, so that pictures can be compared; 0: the largest value.
        path: Places to mark and join, in cells from the upper left corner: (0.5, 0.5) is the middle of the first.

    Example:
        >>> Picture(name="first layer", caption="two pixels", values=((0.0, 1.0),)).values
        ((0.0, 1.0),)
    """

    name: str
    caption: str
    values: tuple[tuple[float, ...], ...]
    full: float = 0.0
    path: tuple[tuple[float, float], ...] = ()

    @property
    def top(self) -> float:
        """The value in full colour."""
        return self.full or max(max(line) for line in self.values)

    def __post_init__(self) -> None:
        """Refuse what is no grid of fractions."""
        _share("'full' of a picture", self.full)
        if not self.values or not self.values[0] or len({len(line) for line in self.values}) > 1:
            raise ValueError("values must be a grid: at least one line, and every line as long as the first.")
        for line in self.values:
            for value in line:
                _share("a value of a picture", value)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One row of a study: its labels, its numbers, and the checks that were made on it.

    A training's numbers are test_accuracy, test_loss, train_accuracy, train_loss, validation_accuracy,
    validation_loss (where a part was held out), density, kept, size, seconds, steps, peak_memory (bytes), flops_dense,
    flops_sparse, device_seconds, images and images_per_second. Accuracies and densities are fractions. A probe's
    numbers have any names.

    Args:
        key: The key of the result in the store.
        tables: Smaller tables that belong to this row. One is known by name: "layers", with the columns layer,
            density, kept and size, is drawn as density by layer.
        pictures: Shown in an album, along the level where the row has one.
        environment: What it was measured in, in words; "" where that is not known.

    Example:
        >>> Measured(labels={"seed": 0}, numbers={"loss": 0.5}, checks={}, key="train:0").numbers["loss"]
        0.5
    """

    labels: Mapping[str, Label] = field(hash=False)
    numbers: Mapping[str, int | float] = field(hash=False)
    checks: Mapping[str, bool] = field(default_factory=dict, hash=False)
    key: str
    tables: Mapping[str, tuple[Mapping[str, Label], ...]] = field(default_factory=dict, hash=False)
    pictures: tuple[Picture, ...] = ()
    environment: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be traced, and numbers that are no fractions where they should be."""
        if not self.key:
            raise ValueError("key must not be empty: a number without it cannot be traced.")
        for name, value in self.labels.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"the label {name} is {value!r}. A label is text, a finite number, or yes and no.")
        for name, value in self.numbers.items():
            if name in SHARES and not math.isnan(value):  # A diverged network may have no accuracy.
                _share(name, value)
        _freeze(self, "labels", "numbers", "checks")
        tables = {name: tuple(MappingProxyType(dict(line)) for line in lines) for name, lines in self.tables.items()}
        object.__setattr__(self, "tables", MappingProxyType(tables))


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A row that is not there: not run yet, or failed with an error."""

    labels: Mapping[str, Label] = field(hash=False)
    key: str
    why: str = "not run yet"

    def __post_init__(self) -> None:
        """Settle the labels."""
        _freeze(self, "labels")


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """A step behind a row: what was called, on what, when, with which versions.

    Args:
        call: In text form, with the keys of what it was given.
        inputs: The keys of the steps that it was made of.
        finished: The time in ISO form, "" where it is not known.
        versions: Name -> text, such as torch -> 2.13.0.
        environment: What it ran in, in words; "" where that is not known.
    """

    key: str
    call: str
    inputs: tuple[str, ...] = ()
    seconds: float | None = None
    finished: str = ""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    environment: str = ""

    def __post_init__(self) -> None:
        """Settle the versions."""
        _freeze(self, "versions")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found so far, with its claims and with the way back from every number.

    Args:
        title: The study's name for a reader.
        question: What was asked, in one sentence.
        study: The text that names the study with its settings: "quickstart(levels=3)".
        command: What to type to make these results again.
        steps: Every step behind the rows, by key.
        figures: What the study declares; sensible ones are chosen where it declares none.
        tables: Likewise.
        names: What the values of labels stand for, in words, value -> text.
        about: What the study has in common, name -> text: arch, task, recipe.
        machine: Where it ran, in words.
        provenance: Versions, commit and the like, name -> text.

    Example:
        >>> nothing = Findings(title="t", question="q", study="s()", command="tombola run s", rows=())
        >>> Findings.from_json(nothing.to_json()) == nothing
        True
    """

    title: str
    question: str
    study: str
    command: str
    rows: tuple[Measured, ...]
    missing: tuple[Missing, ...] = ()
    steps: Mapping[str, StepFacts] = field(default_factory=dict, hash=False)
    claims: tuple[Claim, ...] = ()
    figures: tuple[Curve, ...] = ()
    tables: tuple[Pivot, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    about: Mapping[str, str] = field(default_factory=dict, hash=False)
    machine: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Settle what was given, and refuse steps that stand under another's key."""
        for key, step in self.steps.items():
            if key != step.key:
                raise ValueError(f"steps: {key!r} holds the step {step.key!r}. A step stands under its own key.")
        _freeze(self, "steps", "names", "about", "provenance")

    def to_json(self) -> str:
        """These findings as JSON text, with their format named; `from_json` gives back equal ones."""
        return json.dumps({"format": FORMAT, **encode(self)}, indent=1, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Findings":
        """The findings in `text`; refuses unknown or missing fields and wrong types, naming the place."""
        data = parse(text, "findings")
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            raise ValueError(f"findings: the format is {found!r}, this reads {FORMAT!r}. Write it with to_json().")
        return decode(cls, {name: value for name, value in data.items() if name != "format"}, "findings")


def steps_by_key(steps: Iterable[StepFacts]) -> dict[str, StepFacts]:
    """Steps as `Findings` wants them.

    Example:
        >>> list(steps_by_key([StepFacts(key="draw:0", call="draw()")]))
        ['draw:0']
    """
    return {step.key: step for step in steps}


def _freeze(value: object, *names: str) -> None:
    for name in names:
        object.__setattr__(value, name, MappingProxyType(dict(getattr(value, name))))


def _share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value!r}, it must be a fraction from 0 to 1 (95 % is 0.95).")
