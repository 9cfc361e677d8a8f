"""The benchmarks: `make bench` runs all; `python -m benchmarks studies --out results/benchmarks` one, and keeps it."""

import argparse
import pathlib

import torch

from benchmarks import command_line, find_overhead, masked_step, studies
from tombola.study import provenance

HEAD = ["| what | ratio (median) | 95 % of the median | rounds | bar | |", "| --- | --- | --- | --- | --- | --- |"]
TABLES = {
    "table": lambda: [
        *HEAD,
        *command_line.measure(),
        *(ratio.line() for ratio in (*masked_step.measure(), *find_overhead.measure())),
    ],
    "studies": lambda: [*HEAD, studies.workers().line(), "", *studies.large()],
}


def main() -> None:
    """Run them one after the other and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *TABLES], default=[], help="which; all if none is named")
    parser.add_argument("--out", default="", help="a folder for NAME.md")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    hardware, software = provenance.hardware(), provenance.software()
    where = f"{hardware['processor']}, {hardware['cores']} cores, one thread; torch {software['torch']}"
    how = "Ratios are of processor time where not said otherwise, of pairs run in turn."
    for name in asked.names or TABLES:
        text = "\n".join([*TABLES[name](), "", where, how]) + "\n"
        print(text)
        if asked.out:
            folder = pathlib.Path(asked.out)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.md").write_text(text)


if __name__ == "__main__":
    main()
