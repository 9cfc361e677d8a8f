"""What the trainings truly cost, beside what theory says they would: wall time, memory, operations."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tombola.report.claims import Where
from tombola.report.findings import Findings, Measured
from tombola.report.gather import grouped, sampled, varying
from tombola.report.statistics import Sample, sample
from tombola.report.wording import density_text

NO_SAVING = "An unstructured mask saves no time by itself: the zeros are multiplied like any other number."
MOST = 40
"""So many lines a reader will look at; the rest is in the table of rows."""


@dataclass(frozen=True)
class Cost:
    """The trainings of one network: seconds over the seeds, bytes at the peak, operations in theory.

    `time_share` and `flops_share` are fractions of the dense network's time and operations; None where unknown.
    """

    where: Where = field(hash=False)
    density: float
    seconds: Sample
    steps: int
    peak_memory: int
    flops_dense: float
    flops_sparse: float
    time_share: float | None
    flops_share: float | None


def costs(findings: Findings) -> tuple[Cost, ...]:
    """One cost for each network that was trained; of a study that names tickets, for those alone.

    Example:
        >>> costs(Findings(title="", question="", study="", command="", rows=()))
        ()
    """
    rows = [row for row in findings.rows if {"seconds", "flops_dense", "flops_sparse"} <= row.numbers.keys()]
    tickets = [row for row in rows if row.labels.get("name") == "ticket"]
    shown = tickets or rows
    vary = varying(shown)
    found = [_cost(labels, inside, rows, vary) for labels, inside in grouped(shown)]
    return tuple(found)


def _cost(labels: Where, inside: list[Measured], rows: Sequence[Measured], vary: Sequence[str]) -> Cost:
    shared = {name: value for name, value in labels.items() if name not in ("level", "name")}
    dense = [
        row.numbers["seconds"]
        for row in rows
        if row.numbers.get("density") == 1.0 and all(row.labels.get(name) == value for name, value in shared.items())
    ]
    seconds = sampled(inside, "seconds")
    assert seconds is not None, "only rows with seconds are asked"
    before, after = (
        sample([float(row.numbers[name]) for row in inside]).mean for name in ("flops_dense", "flops_sparse")
    )
    density = sampled(inside, "density")
    whole = sample(dense).mean if dense else 0.0
    return Cost(
        where={name: labels[name] for name in vary if name in labels},
        density=density.mean if density else 1.0,
        seconds=seconds,
        steps=int(max(row.numbers.get("steps", 0) for row in inside)),
        peak_memory=int(max(row.numbers.get("peak_memory", 0) for row in inside)),
        flops_dense=before,
        flops_sparse=after,
        time_share=seconds.mean / whole if whole else None,
        flops_share=after / before if before else None,
    )


def cost_sentence(found: tuple[Cost, ...]) -> str:
    """The sparsest network's time beside its theoretical operations, and why the two are not the same."""
    last = min(found, key=lambda cost: cost.density, default=None)
    if last is None or last.time_share is None or last.flops_share is None or last.density == 1.0:
        return NO_SAVING
    return (
        f"At {density_text(last.density)} of the weights, theory counts {density_text(last.flops_share)} of the dense "
        f"network's operations; the training took {100 * last.time_share:.0f} % of its wall time. {NO_SAVING}"
    )


def total_seconds(findings: Findings) -> float:
    """The time of all steps behind the rows, each counted once; of the rows alone where no steps are known."""
    if findings.steps:
        return sum(step.seconds or 0.0 for step in findings.steps.values())
    return sum({row.key: float(row.numbers.get("seconds", 0.0)) for row in findings.rows}.values())
