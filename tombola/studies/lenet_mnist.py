"""LeNet-300-100 on MNIST, reset to the start: does a ticket at 3.5 % and 0.92 % of the weights do what was published?

python -m tombola.studies.lenet_mnist --out results/lenet-mnist

The figures of Maene et al. 2021 are single runs, read off a plot to 0.2 points; each is compared with the interval in
which one more run of ours would lie.
"""

import dataclasses
import math
import pathlib
import statistics

from scipy import stats

from tombola.archs.mlp import Mlp
from tombola.core.files import write_bytes
from tombola.report import figures, table
from tombola.report.summary import Summary
from tombola.studies.ladder import Ladder
from tombola.studies.show import Settings, entry, show
from tombola.tasks.mnist import Mnist
from tombola.train.recipes import LeNet

READING = 0.2  # Points: how exactly the published plot can be read.
PUBLISHED = {("ticket", 15): 98.35, ("ticket", 21): 97.84, ("reinit", 15): 98.07, ("reinit", 21): 96.85}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LenetSettings(Settings):
    """The LeNet ladder of Maene et al. 2021 on real MNIST, against reinit; about an hour on two cores."""

    levels: int = 21
    """Cuts; each keeps 0.8 of the living weights."""
    store: str = "runs/lenet-mnist"
    """Where finished trainings are kept; a second call runs only what is missing."""
    out: str = "results/lenet-mnist"
    """The folder to write: rows, plot, page, comparison."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One published figure beside ours, in percent of the test set.

    `low` and `high` bound where a single further run of ours would lie with 95 % (Student's t, n - 1 degrees of
    freedom), widened by the reading error of the plot.
    """

    name: str
    level: int
    published: float
    mean: float
    sd: float
    n: int
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Whether the published run could be one of ours."""
        return self.low <= self.published <= self.high


def compare(summary: Summary) -> list[Comparison]:
    """Every published figure for which there are runs of ours, two or more."""
    found: list[Comparison] = []
    for (name, level), published in PUBLISHED.items():
        ours = [100 * row.test_accuracy for row in summary.rows if (row.name, row.level) == (name, level)]
        if len(ours) < 2:
            continue
        mean, sd, n = statistics.fmean(ours), statistics.stdev(ours), len(ours)
        reach = float(stats.t.ppf(0.975, n - 1)) * sd * math.sqrt(1 + 1 / n) + READING
        found.append(Comparison(name, level, published, mean, sd, n, mean - reach, mean + reach))
    return found


def table_of(comparisons: list[Comparison]) -> str:
    """The comparison as a Markdown table."""
    lines = ["| network | level | remaining | published | ours, mean ± sd (n) | difference | one more run | agree |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for c in comparisons:
        remaining, ours = f"{100 * 0.8**c.level:.2f} %", f"{c.mean:.2f} ± {c.sd:.2f} ({c.n})"
        rest = f"{c.mean - c.published:+.2f} | {c.low:.2f} to {c.high:.2f} | {'yes' if c.agrees else 'no'}"
        lines.append(f"| {c.name} | {c.level} | {remaining} | {c.published:.2f} | {ours} | {rest} |")
    return "\n".join(lines) + "\n"


def main(settings: LenetSettings) -> None:
    """Run what the store lacks; write rows.csv, summary.json, accuracy.png, report.html and comparison.md."""
    out = pathlib.Path(settings.out)
    ladder = Ladder(
        Mlp(), Mnist(), LeNet(), levels=settings.levels, keep=0.8, controls=("reinit",), seeds=settings.seeds
    )
    summary = show(
        ladder,
        settings,
        page_file=str(out / "report.html"),
        title="LeNet-300-100 on MNIST, reset to the start",
        question="Do tickets of LeNet-300-100 on MNIST beat their reinit, and by how much, at 3.5 % and 0.92 %?",
        command="python -m tombola.studies.lenet_mnist --out results/lenet-mnist",
    )
    comparison = table_of(compare(summary))
    write_bytes(out / "rows.csv", table.to_csv(summary.rows).encode())
    write_bytes(out / "summary.json", summary.to_json().encode())
    write_bytes(out / "comparison.md", comparison.encode())
    figures.save_figure(summary, out / "accuracy.png")
    print(comparison)


if __name__ == "__main__":
    entry(main, LenetSettings)
