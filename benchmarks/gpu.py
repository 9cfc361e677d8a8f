"""What a GPU does: one network in each way of running it, many as one program, and whether they equal the processor's.

`make bench-gpu` writes one table in under nine minutes. `--device cpu --small` runs all of it in small where there is
no GPU, to see that it works; its figures say nothing then.
"""

import argparse
import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from tombola.archs.resnet import ResNet
from tombola.archs.textcnn import TextCnn
from tombola.core.errors import Refused
from tombola.core.machine import Machine
from tombola.core.seeds import Seeds
from tombola.core.task import Task
from tombola.core.ticket import Ticket
from tombola.find import draw
from tombola.prune import Everywhere, PerLayer, Scope, prune
from tombola.study import provenance
from tombola.study.step import Context
from tombola.tasks.cifar import Cifar10, Cifar100Subset
from tombola.tasks.images import ImageTask
from tombola.tasks.reviews import Reviews
from tombola.train.fleet import Hall, train_all
from tombola.train.recipe import Recipe
from tombola.train.recipes import ResNet20, ReviewsCnn
from tombola.train.run import Run

Made = tuple[int, Callable[[], None]]
"""How many networks there are, and a stretch of their steps."""


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured: seconds of a way, numbers of networks side by side, steps compared with the processor."""

    seconds: float = 6.0
    fleets: tuple[int, ...] = (2, 4, 8, 16, 32)
    steps: int = 100
    compared: int = 200
    batch: int = 128
    compiled: bool = True


SMALL = Size(seconds=0.0, fleets=(2,), steps=2, compared=4, batch=8, compiled=False)


def measure(device: str, size: Size) -> Iterator[str]:
    """The lines of the table, each as soon as it is known; a way that fails says why and loses no other."""
    task = _task()
    plan = ResNet20(validation=0.0, batch=size.batch, rewind=0)
    recipe, ticket = plan.in_steps(task), sparse(draw(ResNet(depth=20), task, plan, Seeds(0)))
    yield from _head("ResNet-20, batch 128", "images")
    half = dataclasses.replace(recipe, precision="bfloat16")
    for name, chosen, machine in (
        ("step by step", recipe, Machine(device=device)),
        ("step by step, bfloat16", half, Machine(device=device)),
        ("step by step, bfloat16, compiled", half, Machine(device=device, compile="network")),
    ):
        if size.compiled or machine.compile == "nothing":
            yield _line(name, lambda c=chosen, m=machine: _alone(ticket, task, c, m, size), size, bar=0.0)
    for name, chosen, machine in (
        ("captured", recipe, Machine(device=device, fleet=1)),
        ("captured, contiguous", recipe, Machine(device=device, fleet=1, layout="contiguous")),
        ("captured, bfloat16", half, Machine(device=device, fleet=1)),
        ("captured, bfloat16, contiguous", half, Machine(device=device, fleet=1, layout="contiguous")),
        ("captured, bfloat16, compiled", half, Machine(device=device, fleet=1, compile="network")),
    ):
        if size.compiled or machine.compile == "nothing":
            yield _line(name, lambda c=chosen, m=machine: _fleet(1, ticket, task, c, m, size), size, bar=1.0)
    for number in size.fleets:
        for name, chosen in (("", recipe), (", bfloat16", half)):
            machine = Machine(device=device, fleet=number)
            bar = 0.35 if number >= 8 else 0.0
            title = f"{number} networks as one program{name}"
            yield _line(title, lambda n=number, c=chosen, m=machine: _fleet(n, ticket, task, c, m, size), size, bar=bar)
    yield ""
    yield compare(ticket, task, recipe, device, size.compared)
    yield ""
    yield from texts(device, size)


def texts(device: str, size: Size) -> Iterator[str]:
    """A small text CNN on reviews: batches of any length step by step, and padded to 500 tokens as programs."""
    task, plan = Reviews(), ReviewsCnn(validation=0.125)
    size = dataclasses.replace(size, batch=plan.batch, steps=min(size.steps, 20))
    yield from _head(f"text CNN, 64 wide, 32 filters a height, reviews, batch {plan.batch}", "texts")
    try:
        dense = draw(TextCnn(width=64, channels=32, hidden=32), task, plan)
    except Refused as error:  # The reviews may not be here.
        yield f"| all | not to be had | {error} | | | |"
        return
    recipe, ticket = plan.in_steps(task), sparse(dense, scope=PerLayer())
    yield _line("step by step", lambda: _alone(ticket, task, recipe, Machine(device=device), size), size, bar=0.0)
    for number in (1, *size.fleets):
        machine, title = Machine(device=device, fleet=number), f"{number} networks as one program"
        title = title if number > 1 else "captured"
        yield _line(title, lambda n=number, m=machine: _fleet(n, ticket, task, recipe, m, size), size, bar=0.0)


def _head(what: str, examples: str) -> list[str]:
    return [f"| {what} | ms a step and network | range | {examples}/s | bar | |", f"{'| --- ' * 6}|"]


def sparse(dense: Ticket, density: float = 0.1, scope: Scope = Everywhere()) -> Ticket:
    """The ticket of a density by the magnitude of its initial weights: what a step costs does not depend on which."""
    scores = {name: dense.weights[name].abs() for name in dense.mask}
    return dense.rebuilt(mask=prune(dense.mask, scores, density=density, scope=scope))


def _task() -> ImageTask:
    task = Cifar10()
    try:
        task.batch(0, seeds=Seeds(0), size=2)
    except Refused:
        task = Cifar100Subset()
    return task


def _alone(ticket: Ticket, task: Task, recipe: Recipe, machine: Machine, size: Size) -> Made:
    run = Run(ticket, task, recipe, Seeds(0), Context(machine))
    run.net.train()
    return 1, lambda: run.advance(run.progress.step + size.steps)


def _fleet(number: int, ticket: Ticket, task: Task, recipe: Recipe, machine: Machine, size: Size) -> Made:
    """Stretches of so many networks in their seats, fed and read back as in a training."""
    hall, runs = Hall(), [Run(ticket, task, recipe, Seeds(seed), Context(machine)) for seed in range(number)]
    seats = [hall.sit(run, taken=hall.seats) for run in runs]
    for run in runs:
        run.net.train()
    length = -(-task.train_size() // recipe.batch) - 1  # Without the last, smaller batch of an epoch.
    done = 0

    def stretch() -> None:
        nonlocal done
        start = done % (length - size.steps)
        for seat in seats:
            seat.feed(range(start, start + size.steps), recipe.batch)
        hall.turns(seats, recipe.batch, size.steps)
        if not all(bool(torch.isfinite(seat.feeds[recipe.batch].losses).all()) for seat in seats):
            raise FloatingPointError("a loss is not finite")
        done += size.steps

    return number, stretch


def _line(name: str, make: Callable[[], Made], size: Size, *, bar: float) -> str:
    try:
        networks, stretch = make()
        took = _timed(stretch, size)
    except Exception as error:  # One way that does not work here must not lose the others.
        return f"| {name} | not to be had | {type(error).__name__}: {str(error).splitlines()[0][:100]} | | | |"
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    each = sorted(1000 * seconds / size.steps / networks for seconds in took)
    median = statistics.median(each)
    met = "" if not bar else "met" if each[-1] <= bar else "met by the median" if median <= bar else "NOT met"
    rate = f"{size.batch * 1000 / median:,.0f}"
    return f"| {name} | {median:.3f} | {each[0]:.3f} to {each[-1]:.3f} | {rate} | {bar or ''} | {met} |"


def _timed(stretch: Callable[[], None], size: Size) -> list[float]:
    """Seconds of each stretch; the first two, in which things are compiled and captured, are not counted."""
    took: list[float] = []
    start = time.perf_counter()
    while len(took) < 5 or time.perf_counter() - start < size.seconds:
        _wait()
        before = time.perf_counter()
        stretch()
        _wait()
        took.append(time.perf_counter() - before)
        if len(took) == 2:
            start = time.perf_counter()
    return took[2:]


def _wait() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def compare(ticket: Ticket, task: ImageTask, recipe: Recipe, device: str, steps: int) -> str:
    """Losses of a fleet on the device beside the processor's, which were computed by the plain loop."""
    gentle = dataclasses.replace(recipe.optimizer, lr=0.01)  # type: ignore[type-var]  # Larger rates enlarge roundings.
    short = dataclasses.replace(recipe, steps=steps, warmup=0, evaluate=steps, optimizer=gentle)
    plain = Run(ticket, task, short, Seeds(0), Context(Machine(threads=provenance.cores())))
    with_device = Machine(device=device, fleet=2)

    def begin(seed: int) -> Callable[[], tuple[Run, int]]:
        return lambda: (Run(ticket, task, short, Seeds(seed), Context(with_device)), steps)

    ended = {index: run for index, run, _ in train_all([begin(0), begin(1)], with_device)}
    plain.to_step(steps)
    rows = [run.progress.rows[-1] for run in (plain, ended[0], ended[1])]
    told = ", ".join(f"{row['train_loss']:.4f} and {row['test_accuracy']:.4f}" for row in rows)
    return (
        f"After {steps} steps, mean training loss and test accuracy of seed 0 on the processor, and of seeds 0 and 1 "
        f"as a fleet on the device: {told}."
    )


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print each line as it comes, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="run everything once, in small")
    parser.add_argument("--out", default="results/speed/gpu.md", help="the file for the table")
    asked = parser.parse_args(words)
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here: --device cpu --small shows that it runs, and nothing else")
    name = torch.cuda.get_device_name() if asked.device.startswith("cuda") else provenance.processor()
    lines = [f"{name}; torch {torch.__version__}", ""]
    path = pathlib.Path(asked.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    for line in measure(asked.device, SMALL if asked.small else Size()):
        print(line, flush=True)
        lines.append(line)
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
