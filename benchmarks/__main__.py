"""All benchmarks, one table: `make bench`; `python -m benchmarks --out results/benchmarks` keeps it."""

import argparse
import pathlib

import torch

from benchmarks import command_line, find_overhead, masked_step, studies
from tombola.study import provenance


def main() -> None:
    """Run them one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="", help="a folder for table.md")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| what | ratio (median) | 95 % of the median | rounds | bar | |", "| --- | --- | --- | --- | --- | --- |"]
    lines += command_line.measure()
    lines += [ratio.line() for ratio in (*masked_step.measure(), *find_overhead.measure(), studies.workers())]
    lines += ["", *studies.large()]
    hardware, software = provenance.hardware(), provenance.software()
    where = f"{hardware['processor']}, {hardware['cores']} cores, one thread; torch {software['torch']}"
    text = (
        "\n".join([*lines, "", where, "Ratios are of processor time where not said otherwise, of pairs run in turn."])
        + "\n"
    )
    print(text)
    if asked.out:
        folder = pathlib.Path(asked.out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "table.md").write_text(text)


if __name__ == "__main__":
    main()
