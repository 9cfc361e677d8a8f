"""What the trainings truly cost, beside what theory says they would: wall time, memory, operations."""

from dataclasses import dataclass

from tombola.report.judge import TICKET, density_of, levels, rows_of
from tombola.report.statistics import Sample, sample
from tombola.report.summary import Summary
from tombola.report.wording import density_text

NO_SAVING = "An unstructured mask saves no time by itself: the zeros are multiplied like any other number."


@dataclass(frozen=True)
class Cost:
    """The trainings of the ticket at one level: seconds over the seeds, bytes at the peak, operations in theory.

    `time_share` and `flops_share` are fractions of the dense network's time and operations; None where unknown.
    """

    level: int
    density: float
    seconds: Sample
    steps: int
    peak_memory: int
    flops_dense: float
    flops_sparse: float
    time_share: float | None
    flops_share: float | None


def costs(summary: Summary) -> tuple[Cost, ...]:
    """One cost for every level at which the ticket was trained.

    Example:
        >>> costs(Summary(title="", question="", arch="", task="", recipe="", command="", rows=()))
        ()
    """
    dense = rows_of(summary, TICKET, 0)
    whole = sample([row.seconds for row in dense]).mean if dense else 0.0
    found: list[Cost] = []
    for level in levels(summary):
        rows = rows_of(summary, TICKET, level)
        if not rows:
            continue
        seconds = sample([row.seconds for row in rows])
        before, after = (sample([getattr(row, name) for row in rows]).mean for name in ("flops_dense", "flops_sparse"))
        found.append(
            Cost(
                level=level,
                density=density_of(summary, level) or 0.0,
                seconds=seconds,
                steps=max(row.steps for row in rows),
                peak_memory=max(row.peak_memory for row in rows),
                flops_dense=before,
                flops_sparse=after,
                time_share=seconds.mean / whole if whole else None,
                flops_share=after / before if before else None,
            )
        )
    return tuple(found)


def cost_sentence(found: tuple[Cost, ...]) -> str:
    """The sparsest level's time beside its theoretical operations, and why the two are not the same."""
    if not found or found[-1].time_share is None or found[-1].flops_share is None or not found[-1].level:
        return NO_SAVING
    last = found[-1]
    theory, time = density_text(last.flops_share or 0.0), f"{100 * (last.time_share or 0.0):.0f} %"
    return (
        f"At {density_text(last.density)} of the weights, theory counts {theory} of the dense network's operations; "
        f"the training took {time} of its wall time. {NO_SAVING}"
    )
