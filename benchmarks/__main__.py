"""The benchmarks: `make bench` runs all; `python -m benchmarks step data --out results/speed` some, and keeps them."""

import argparse
import pathlib
from collections.abc import Callable, Iterable

import torch

from benchmarks import (
    command_line,
    find_overhead,
    lines,
    masked_step,
    masking,
    pipeline,
    rewiring,
    scoring,
    selection,
    stretching,
    studies,
    texts,
    throughput,
    ticket_file,
)
from benchmarks.interleave import Ratio
from tombola.core.machine import Machine
from tombola.study import environment, provenance
from tombola.study.engines.allocator import keep_memory

HEAD = ["| what | ratio (median) | 95 % of the median | rounds | bar | |", "| --- | --- | --- | --- | --- | --- |"]


def ratios(*measured: Iterable[Ratio]) -> list[str]:
    """A table of ratios."""
    return [*HEAD, *(one.line() for some in measured for one in some)]


TABLES: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "step": (
        "A training step, in processor time of one thread, in turn with the step of a bare dense loop.",
        lambda: ratios(masked_step.measure(), masking.measure()),
    ),
    "rewiring": (
        "A change of the mask, in processor time of one thread, beside the training until the next one.",
        lambda: ratios(rewiring.measure()),
    ),
    "texts": (
        "A text CNN on reviews of books, batch 32, in processor time of one thread.",
        lambda: ratios(texts.measure()),
    ),
    "throughput": (
        "Ours beside the usual loader; ResNet-20 in wall time of whole processes, LeNet in processor time.",
        lambda: ratios(throughput.measure()),
    ),
    "data": ("Batches, in processor time of one core.", lambda: ratios(pipeline.measure())),
    "scoring": (
        "Global magnitude on ResNet-50, from weights to mask; memory counts the new mask, a quarter of the weights'.",
        lambda: [*selection.HEAD, *scoring.measure()],
    ),
    "thresholds": ("The exact global threshold.", lambda: [*selection.HEAD, *selection.measure()]),
    "lines": (
        "ResNet-20 on CIFAR-10, in processor time of one thread; statistics gathered on as many images as are asked.",
        lambda: ratios(lines.measure()),
    ),
    "stretching": (
        "A ticket of an ImageNet ResNet-26 carried to a ResNet-34, in memory; the bar is twice the target's weights.",
        lambda: [*selection.HEAD, *stretching.measure()],
    ),
    "tickets": ("A ticket's file.", lambda: [*ticket_file.HEAD, *ticket_file.measure()]),
    "find": ("What `find` adds to its trainings.", lambda: ratios(find_overhead.measure())),
    "commands": ("Until the command line answers.", lambda: [*HEAD, *command_line.measure()]),
    "studies": (
        "Whole commands, in wall time.",
        lambda: [*ratios([studies.workers()]), "", *studies.large()],
    ),
}


def main() -> None:
    """Run them one after the other and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *TABLES], default=[], help="which; all if none is named")
    parser.add_argument("--out", default="", help="a folder for NAME.md")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()  # As every command does.
    hardware = provenance.hardware()
    here = environment.in_words(environment.environment(Machine()))
    where = f"{hardware['processor']}, {hardware['cores']} cores; {here}"
    for name in asked.names or TABLES:
        told, measure = TABLES[name]
        text = "\n".join([told, "", *measure(), "", where]) + "\n"
        print(text, flush=True)
        if asked.out:
            folder = pathlib.Path(asked.out)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.md").write_text(text)


if __name__ == "__main__":
    main()
