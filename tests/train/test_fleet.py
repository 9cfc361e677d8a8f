"""Members of a fleet end as they would alone, bit for bit, whoever sits beside them and before them."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import torch

from tests.archs.test_contract import EXAMPLES
from tests.train.toys import IMAGES, Convs, Points, a_ticket, same
from tombola.archs.mlp import Mlp
from tombola.core import catalogue
from tombola.core.errors import Failed
from tombola.core.layout import Arch
from tombola.core.machine import Machine
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.task import Drawing, Task
from tombola.core.text import parse
from tombola.core.ticket import Ticket
from tombola.study.step import Context
from tombola.tasks.digits import Digits
from tombola.train import checkpoint, fleet
from tombola.train.optimizers import Adam, AdamW, Optimizer, Sgd
from tombola.train.recipe import Recipe
from tombola.train.run import Run
from tombola.train.schedules import Cosine
from tombola.train.seat import Seat

POINTS, MLP = Points(), Mlp(hidden=(8,))
TRIO = Machine(fleet=3)


class Job(NamedTuple):
    """One training of a fleet."""

    ticket: Ticket
    task: Task
    recipe: Recipe
    seeds: Seeds

    def begin(self, context: Context) -> tuple[Run, int]:
        recipe = self.recipe.in_steps(self.task)
        return Run(self.ticket, self.task, recipe, self.seeds, context), int(recipe.steps)


def jobs(arch: Arch, task: Task, optimizer: Optimizer, **shared: Any) -> list[Job]:
    """Five trainings that may share a program, and differ in all that is free."""
    recipe = Recipe(**{"batch": 5, "steps": 23, "evaluate": 7, "optimizer": optimizer} | shared)
    slow = parse("optimizer", str(optimizer).replace(f"lr={optimizer.lr}", f"lr={optimizer.lr / 2}"))
    assert slow.lr == optimizer.lr / 2

    def job(number: int, density: float, changes: dict[str, Any], seeds: Seeds, **start: Any) -> Job:
        fields = {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
        ticket = a_ticket(arch, task, density=density, seed=number, **start)
        return Job(ticket, task, Recipe(**fields | changes), seeds)

    return [
        job(0, 0.5, {}, Seeds(0)),
        job(1, 1.0, {"steps": 31, "schedule": Cosine(), "warmup": 3}, Seeds(1), step=4),
        job(2, 0.2, {"optimizer": slow, "select": "best", "evaluate": 4}, Seeds(2)),
        job(3, 0.8, {"steps": 40, "patience": 1, "evaluate": 3}, Seeds(0, data=9)),
        job(4, 0.5, {"steps": 19, "schedule": Cosine(), "evaluate": 0}, Seeds(4), step=8, restart="fine-tune"),
    ]


def everything(run: Run, weights: Any) -> dict[str, Any]:
    """All that a training leaves behind, save the seconds."""
    states = [run.optimizer.state[parameter] for parameter in run.net.parameters()]
    state = [{n: v.clone() for n, v in entries.items() if v is not None} for entries in states]
    progress = {name: value for name, value in vars(run.progress).items() if "seconds" not in name}
    net = {name: value.clone() for name, value in run.net.state_dict().items()}
    return {"weights": weights, "net": net, "optimizer": state, "progress": progress}


def alone(job: Job, context: Context = Context()) -> dict[str, Any]:
    run, end = job.begin(context)
    return everything(run, run.to_step(end))


def together(some: Sequence[Job], machine: Machine = TRIO, contexts: Sequence[Context] = ()) -> list[Any]:
    """What each ends with in a fleet, or what went wrong with it; nobody steps alone there."""
    contexts = contexts or [Context(machine) for _ in some]
    begin = [lambda job=job, context=context: job.begin(context) for job, context in zip(some, contexts, strict=True)]
    found: dict[int, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "steps", None)
        for index, run, ended in fleet.train_all(begin, machine):
            assert index not in found
            found[index] = ended if isinstance(ended, Exception) else everything(run, ended)
    return [found[index] for index in range(len(some))]


@pytest.fixture(autouse=True)
def _no_hall_of_another_test() -> Iterator[None]:
    fleet.HALLS.clear()
    yield
    fleet.HALLS.clear()


CASES = [
    (MLP, POINTS, Sgd(lr=0.05, momentum=0.0), {}),
    (MLP, POINTS, Sgd(lr=0.05), {"clip": 0.5}),
    (MLP, POINTS, Sgd(lr=0.05, decay=0.01, nesterov="yes"), {"smoothing": 0.1}),
    (MLP, POINTS, Sgd(lr=0.05, decay=0.01, coupling="decoupled"), {}),
    (MLP, POINTS, Adam(lr=0.01, decay=0.01), {"batch": 7}),  # Divides the 21 examples: no last batch is smaller.
    (MLP, POINTS, AdamW(lr=0.01, decay=0.1), {"clip": 0.5, "smoothing": 0.1}),
    (Convs(), IMAGES, Sgd(lr=0.05, decay=0.01), {}),
    (Convs(), IMAGES, Adam(lr=0.01), {"clip": 0.5}),
    (Convs(), Digits(crop=1), Sgd(lr=0.05), {"batch": 50, "validation": 0.9}),
    (Convs(), Digits(crop=1, channels=3), AdamW(lr=0.01), {"batch": 50, "validation": 0.9}),
]
LAID_OUT = [(*case, "channels_last") for case in CASES] + [(*case, "contiguous") for case in CASES if case[0] != MLP]
NAMES = ["-".join(map(str, (arch, task, optimizer, layout))) for arch, task, optimizer, _, layout in LAID_OUT]


@pytest.mark.parametrize(("arch", "task", "optimizer", "shared", "layout"), LAID_OUT, ids=NAMES)
def test_members_equal_themselves_alone(arch: Arch, task: Task, optimizer: Optimizer, shared: Any, layout: Any):
    """Five in three seats, so two seats are taken a second time."""
    some = jobs(arch, task, optimizer, **shared)
    found = together(some, Machine(fleet=3, layout=layout))
    expected = [alone(job, Context(Machine(layout=layout))) for job in some]
    for number in range(len(some)):
        assert same(found[number], expected[number]), number
    assert expected[3]["progress"]["step"] < 40 or task != POINTS  # It ran out of patience.
    assert isinstance(task, Drawing) is isinstance(task, Digits)


def test_every_network_of_the_catalogue_has_a_small_example():
    ours = {entry.name for entry in catalogue.entries("arch") if entry.module.startswith("tombola.")}
    assert {text.partition("(")[0] for text in EXAMPLES} == ours


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.01), AdamW(lr=0.001)], ids=["sgd", "adamw"])
@pytest.mark.parametrize("text", [text for text in EXAMPLES if not text.startswith("text")])  # See test_texts.py.
def test_every_network_trains_in_a_fleet_as_alone(text: str, optimizer: Optimizer):
    arch, task = parse("arch", text), Points(inputs=(3, 16, 16), classes=7, train=6, test=2)
    recipe = Recipe(steps=3, batch=4, optimizer=optimizer, evaluate=0, validation=0.0)
    some = [
        Job(a_ticket(arch, task, density=density, seed=int(10 * density)), task, recipe, Seeds(int(10 * density)))
        for density in (1.0, 0.5, 0.2)  # The third takes the seat of the dense one.
    ]
    found = together(some, Machine(fleet=2))
    for number, job in enumerate(some):
        assert same(found[number], alone(job)), number


@pytest.mark.parametrize("size", [2, 4, 5])
def test_who_sits_beside_a_member_changes_nothing(size: int):
    some = jobs(MLP, POINTS, Sgd(lr=0.05))
    expected = [alone(job) for job in some]
    for order in ([4, 3, 2, 1, 0], [2, 0, 2, 1], [1, 3]):
        found = together([some[number] for number in order], Machine(fleet=size))
        assert all(same(found[place], expected[number]) for place, number in enumerate(order)), order


def test_a_fleet_is_stepped_by_its_seats_and_each_batch_once(monkeypatch: pytest.MonkeyPatch):
    turns: list[int] = []
    whole = Seat.turn
    monkeypatch.setattr(Seat, "turn", lambda seat, size: (turns.append(size), whole(seat, size))[1])
    some = [job._replace(recipe=Recipe(batch=5, steps=12)) for job in jobs(MLP, POINTS, Sgd(lr=0.05))[:3:2]]
    together(some)
    assert sorted(turns) == [1] * 4 + [5] * 20  # 21 examples: an epoch's fifth batch is of one.
    assert len(fleet.HALLS) == 1 and [len(hall.seats) for hall in fleet.HALLS.values()] == [2]
    together(some[:1] * 2)  # The next fleet of that kind takes the same seats.
    assert [len(hall.seats) for hall in fleet.HALLS.values()] == [2]


def test_one_that_diverges_stops_alone(tmp_path: Any):
    some = jobs(MLP, POINTS, Sgd(lr=0.05))
    wild = some[1]._replace(recipe=Recipe(batch=5, steps=31, evaluate=1, optimizer=Sgd(lr=1e18)), seeds=Seeds(77))
    order = [some[0], wild, some[2], some[3], some[4]]
    contexts = [Context(TRIO, tmp_path / str(number)) for number in range(5)]
    found = together(order, TRIO, contexts)
    with pytest.raises(Failed) as caught:
        alone(wild, Context(Machine(), tmp_path / "alone"))
    assert isinstance(found[1], Failed) and "seeds(seed=77)" in str(found[1])
    assert "the loss is no longer finite at step" in str(found[1])
    assert str(found[1]).replace(str(tmp_path / "1"), str(tmp_path / "alone")) == str(caught.value)
    kept, kept_alone = checkpoint.read(tmp_path / "1"), checkpoint.read(tmp_path / "alone")
    assert kept is not None and kept_alone is not None
    assert same(dict(kept.groups["weights"]), dict(kept_alone.groups["weights"]))
    assert kept.header["step"] == kept_alone.header["step"] > 4
    for number in (0, 2, 3, 4):  # One of them took the seat that was left.
        assert same(found[number], alone(order[number])), number


def too_small(monkeypatch: pytest.MonkeyPatch, seats: int, *, after: int = 0, where: str = "turn") -> None:
    """A device whose memory holds so many seats, and from so many turns on."""
    whole, turns = getattr(Seat, where), [0]

    def turn(seat: Seat, *args: Any) -> None:
        turns[0] += 1
        taken = [one for hall in fleet.HALLS.values() for one in hall.seats]
        if len(taken) + (where == "__init__") > seats and turns[0] > after:
            raise torch.OutOfMemoryError("out of memory.\nMuch detail.")
        whole(seat, *args)

    monkeypatch.setattr(Seat, where, turn)


@pytest.mark.parametrize(
    ("where", "after", "points"),
    [("turn", 0, [0, 4, 0, 0]), ("turn", 70, [14, 21, 16]), ("__init__", 0, [0, 4])],  # One had ended by then.
)
def test_a_fleet_too_large_for_the_memory_is_halved(
    where: str, after: int, points: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    some = jobs(Convs(), IMAGES, Adam(lr=0.01))
    expected = [alone(job) for job in some]
    too_small(monkeypatch, 2, after=after, where=where)
    gone_on: list[int] = []
    whole = Run.restore
    monkeypatch.setattr(Run, "restore", lambda run, parts: (gone_on.append(parts.header["step"]), whole(run, parts))[1])
    with caplog.at_level(logging.WARNING):
        found = together(some, Machine(fleet=4))
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    assert [one.message for one in caplog.records] == [
        "4 networks do not fit into the device's memory together; going on with 2."
    ]
    assert gone_on == points


def test_one_network_that_is_too_large_is_told_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    too_small(monkeypatch, 0)
    with pytest.raises(Failed, match=r"^one network alone does not fit .* \(out of memory\.\)\. Use a smaller batch"):
        together(jobs(MLP, POINTS, Sgd(lr=0.05)))
    assert len(caplog.records) == 1 and "going on with 1" in caplog.text
    with pytest.raises(Failed, match="^one network alone"):
        fleet._halved(1, torch.OutOfMemoryError("out of memory."))


def test_seats_of_a_fleet_before_this_one_are_given_up_first(caplog: pytest.LogCaptureFixture):
    together(jobs(MLP, POINTS, Sgd(lr=0.05)))
    assert fleet._halved(1, torch.OutOfMemoryError("out of memory.")) == 1
    assert caplog.messages == ["3 networks do not fit into the device's memory together; going on with 1."]


def test_a_step_that_cannot_be_captured_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    asked: list[int] = []

    def captured(seats: Sequence[Seat], size: int) -> Any:
        asked.append(len(seats))
        if len(seats) == 1:
            raise RuntimeError("operation not permitted when stream is capturing\nMuch detail.")
        if len(seats) == 3:
            raise torch.OutOfMemoryError("out of memory.")
        return lambda: None

    monkeypatch.setattr(fleet.capture, "captured", captured)
    seats = [Seat(job.begin(Context(TRIO))[0]) for job in jobs(MLP, POINTS, Sgd(lr=0.05))[:3]]
    hall = fleet.Hall()
    program = hall.program(seats[:2], 5)
    assert callable(program) and hall.program(seats[:2], 5) is program  # Captured once, and again for others.
    assert hall.program(seats[1:], 5) is not program and asked == [2, 2]
    with pytest.raises(torch.OutOfMemoryError):
        hall.program(seats, 5)
    assert hall.program(seats[:1], 5) is None and hall.program(seats[:2], 5) is None
    assert asked == [2, 2, 3, 1] and caplog.messages == [
        "mlp(hidden=(8,)): its step cannot be captured (operation not permitted when stream is capturing), so the "
        "device waits for the host at every step. Reading a number back, as by .item(), or sizes that depend on values "
        "are the usual reasons."
    ]


class RememberingSgd(torch.optim.Optimizer):
    """Keeps what it has seen where nobody looks for it, from its first step on."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["seen"] = state.get("seen", 0.0) * 0.9 + parameter.grad
                parameter.sub_(group["lr"] * state["seen"])


@plugin("optimizer", "toy_remembering")
class Remembering:
    rate: float = 0.05

    @property
    def lr(self) -> float:
        return self.rate

    def make(self, parameters: Any) -> torch.optim.Optimizer:
        return RememberingSgd(parameters, self.rate)


def test_an_optimiser_of_another_kind_gets_a_new_seat_each_time():
    """Where it keeps its state is not known, so none of it may be handed on."""
    task, recipe = POINTS, Recipe(batch=5, steps=23, evaluate=7, optimizer=Remembering())
    some = [Job(a_ticket(MLP, task, seed=number), task, recipe, Seeds(number)) for number in range(4)]
    found = together(some, Machine(fleet=2))
    assert all(same(found[number]["weights"], alone(job)["weights"]) for number, job in enumerate(some))
    assert all(len(hall.seats) <= 2 for hall in fleet.HALLS.values())


TOLERANCE = {"rtol": 1e-2, "atol": 1e-3}
"""How far weights of a GPU may be from a processor's after 25 gentle steps in float32."""


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", [Sgd(lr=0.01, decay=0.01), Adam(lr=1e-3), AdamW(lr=1e-3)], ids=str)
def test_a_captured_fleet_is_near_the_processor(optimizer: Optimizer):
    """Whole and last batches, masked and dense members, seats taken twice: as on a processor, up to rounding."""
    recipe = Recipe(batch=64, steps=25, evaluate=10, optimizer=optimizer)  # An epoch has 21 steps.
    some = [Job(a_ticket(MLP, Digits(), density=0.3 + 0.1 * n, seed=n), Digits(), recipe, Seeds(n)) for n in range(5)]
    found = together(some, Machine(device="cuda", fleet=3))
    for member, job in zip(found, some, strict=True):
        expected = alone(job)["weights"]
        for name, weight in member["weights"].items():
            assert torch.allclose(weight, expected[name], **TOLERANCE), name
            dead = ~job.ticket.mask[name] if name in job.ticket.mask else torch.zeros_like(weight).bool()
            assert not bool(weight[dead].any()), name
