"""Is there a winning ticket? Ten levels on real scans of digits, three seeds, against reinit, shuffle and the whole.

python -m tombola.studies.quickstart            (or: make demo)
"""

import dataclasses

from tombola.archs.mlp import Mlp
from tombola.studies.ladder import Ladder
from tombola.studies.show import Settings, entry, show
from tombola.tasks.digits import Digits
from tombola.train.recipes import Quickstart

# The test set has 360 scans, 0.28 points each: the usual margin of 0.2 points is less than one of them.
MARGIN = 0.01
QUESTION = "Does a sparse part of this network, reset to its first weights, learn as well as the whole?"


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickstartSettings(Settings):
    """Find winning tickets of LeNet-300-100 on scikit-learn's digits, and write a report on them."""

    levels: int = 10
    """Cuts; each keeps 0.65 of the living weights."""
    store: str = "runs/quickstart"
    """Where finished trainings are kept; a second call runs only what is missing."""
    out: str = "report.html"
    """The page to write."""


def main(settings: QuickstartSettings) -> None:
    """Run what the store lacks, print the table, write the page."""
    show(
        Ladder(Mlp(), Digits(), Quickstart(), levels=settings.levels, keep=0.65, seeds=settings.seeds),
        settings,
        page_file=settings.out,
        title="A winning ticket on digits",
        question=QUESTION,
        command="make demo",
        margin=MARGIN,
        picture_seed=settings.seeds[0],
    )


if __name__ == "__main__":
    entry(main, QuickstartSettings)
