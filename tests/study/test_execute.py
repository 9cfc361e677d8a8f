"""One call as a job: what travels, and what can become of it."""

import contextlib
import errno
import os
import pathlib
import pickle
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.study.toys import RUNS, Sum, add, fail, gather, slow, wrong
from tombola.core.call import Call
from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.study import execute as execute_of
from tombola.study.deferred import Deferred, defer
from tombola.study.execute import Outcome, Reference, execute, job_of, perform, place_of
from tombola.study.goals import row
from tombola.study.graph import graph_of
from tombola.study.step import Context, Step, now, step
from tombola.study.store import Claim, Store, Unwritable

Told = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    RUNS.clear()
    return Store(tmp_path / "runs")


def ran(call: Deferred, store: Store, told: Told | None = None) -> Outcome:
    (outcome,) = execute([job_of(call, store=store)], lambda key, happening, facts: (
        told if told is not None else []).append((happening, facts)))  # fmt: skip
    return outcome


def renamed(number: float) -> Sum:
    return now(add, number)


elsewhere = step("toy_elsewhere")(renamed)


def test_a_job_holds_references_in_the_place_of_what_is_deferred(store: Store):
    """However deep the graph behind a call is, its job is small."""
    call = defer(gather, (defer(add, 1.0), {"a": defer(add, 2.0, to=defer(add, 3.0))}))
    job = job_of(call, store=store)
    place, sent = pickle.loads(job.payload)
    assert place == ("tests.study.toys", "gather") and sent.key == call.key == job.key
    assert [type(one) for one in sent.keyed] == [Reference, Reference]
    assert [(one.key, one.kind) for one in sent.keyed] == [(one.key, Sum) for one in call.inputs]
    assert len(job.payload) < 1000 and pathlib.Path(job.store).is_absolute()


def test_a_call_is_run_and_kept(store: Store):
    one, two = defer(add, 1.0), defer(add, 2.0, to=defer(add, 1.0))
    assert ran(one, store).status == "done"
    outcome = ran(two, store)
    assert (outcome.key, outcome.status, outcome.error, outcome.missing) == (two.key, "done", "", "")
    assert RUNS == [1.0, 2.0] and outcome.seconds > 0
    assert store(add, 2.0, to=store(add, 1.0)).total == 3.0 and RUNS == [1.0, 2.0]
    assert store.record(two.key)["inputs"] == [one.key]
    assert ran(two, store).status == "loaded" and RUNS == [1.0, 2.0]


def test_what_a_call_says_on_the_way(store: Store, tmp_path: pathlib.Path):
    told: Told = []
    assert ran(defer(slow, str(tmp_path / "log"), seconds=0.0), store, told).status == "done"
    assert told == [("progress", {"step": 1, "steps": 2})]


def test_progress_is_told_a_few_times_a_second(store: Store, monkeypatch: pytest.MonkeyPatch):
    call, told, result = defer(add, 1.0), Told(), now(add, 1.0)
    clock = iter(n * 0.1 for n in range(10_000))
    monkeypatch.setattr(execute_of.time, "monotonic", lambda: 100.0 + next(clock))

    def talking(self: Step, made: Call, context: Context) -> Sum:
        for number in range(100):
            context.listen("progress", made, step=number, loss=0.5, words="some", other=object())
        return result.stamped(made)

    monkeypatch.setattr(Step, "run", talking)
    assert ran(call, store, told).status == "done"
    assert 20 < len(told) < 60 and told[0] == ("progress", {"step": 0, "loss": 0.5, "words": "some"})


def test_a_call_that_another_process_is_at(store: Store):
    call = defer(add, 1.0)
    store.prepare()
    with store._locked(call.key, False):  # pyright: ignore[reportPrivateUsage]
        assert ran(call, store) == Outcome(call.key, "busy")
    assert ran(call, store).status == "done"


def test_a_call_that_another_process_finishes_at_the_last_moment_is_loaded(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    call = defer(add, 1.0)
    claim = Store.claim

    @contextlib.contextmanager
    def late(self: Store, function: Step, made: Any, *, wait: bool = True) -> Generator[Claim]:
        monkeypatch.setattr(Store, "claim", claim)
        Store(self.folder).make(function, made)
        with claim(self, function, made, wait=wait) as held:
            yield held

    monkeypatch.setattr(Store, "claim", late)
    assert ran(call, store).status == "loaded" and RUNS == [1.0]


def test_an_input_that_is_not_there_is_named(store: Store):
    one, two = defer(add, 1.0), defer(add, 2.0)
    ran(one, store)
    assert ran(defer(gather, (one, two)), store) == Outcome(defer(gather, (one, two)).key, "absent", missing=two.key)


@pytest.mark.parametrize("what", ["record.json", "values.safetensors", "rows.jsonl", "blob"])
@pytest.mark.parametrize("how", ["altered", "gone"])
def test_a_damaged_input_is_set_aside_and_named(store: Store, what: str, how: str):
    one = defer(add, 1.0)
    two = defer(add, 2.0, to=one)
    ran(one, store)
    path = next(store.folder.glob("blobs/*")) if what == "blob" else store.home(one.key) / what
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    told: Told = []
    assert ran(two, store, told) == Outcome(two.key, "absent", missing=one.key)
    ((happening, facts),) = told
    assert (happening, facts["key"], facts["function"]) == ("damaged", one.key, "toy_add")
    assert facts["error"] and pathlib.Path(facts["aside"]).is_dir() and not store.home(one.key).exists()
    assert ran(one, store).status == ran(two, store).status == "done"


@pytest.mark.parametrize("what", ["record.json", "values.safetensors"])
def test_an_input_that_the_system_cannot_read_fails_what_needs_it_and_stays(
    store: Store, what: str, monkeypatch: pytest.MonkeyPatch
):
    one = defer(add, 1.0)
    two = defer(add, 2.0, to=one)
    ran(one, store)
    read = pathlib.Path.read_bytes

    def refuse(path: pathlib.Path) -> bytes:
        if path.name == what:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    told: Told = []
    with monkeypatch.context() as broken:
        broken.setattr(pathlib.Path, "read_bytes", refuse)
        outcome = ran(two, store, told)
    assert outcome.status == "failed" and "Input/output error. It is left as it is" in outcome.error
    assert told == [] and store.present() == {one.key} and ran(two, store).status == "done"


def test_a_damaged_record_is_no_result(store: Store):
    one, told = defer(add, 1.0), Told()
    ran(one, store)
    record = store.home(one.key) / "record.json"
    record.write_text(record.read_text().replace('"total": 1.0', '"total": 2.0'))
    assert ran(one, store, told).status == "done" and RUNS == [1.0, 1.0]
    assert [happening for happening, _ in told] == ["damaged"]
    assert store.record(one.key)["header"]["total"] == 1.0


@pytest.mark.parametrize(
    "call, error",
    [
        (defer(fail, "no good"), "no good"),
        (defer(wrong, "key"), "LookupError: an odd key"),
        (defer(wrong, "memory"), "MemoryError: "),
        (defer(wrong, "exit"), "SystemExit: enough"),
    ],
    ids=["failed", "raised", "memory", "exit"],
)
def test_whatever_a_step_raises_it_has_failed(store: Store, call: Deferred, error: str):
    outcome = ran(call, store)
    assert (outcome.status, outcome.error) == ("failed", error) and outcome.key == call.key
    assert ("Traceback" in outcome.trace and "toys.py" in outcome.trace) == (error != "no good")
    assert not store.home(call.key).exists()


def test_when_nothing_can_be_kept_it_is_fatal(store: Store, monkeypatch: pytest.MonkeyPatch):
    def full(self: Store, *args: Any, **kwargs: Any) -> None:
        raise Unwritable("cannot keep it: No space left on device.")

    monkeypatch.setattr(Store, "_keep", full)
    call = defer(add, 1.0)
    assert ran(call, store) == Outcome(call.key, "fatal", error="cannot keep it: No space left on device.")


def test_where_plug_ins_differ_the_key_does_too(store: Store):
    """As on another machine, with other data."""
    call = defer(add, 1.0)
    wanted = [("toy_add:0000000000000000", lambda: (add, call.call))]
    (other,) = perform(wanted, str(store.folder), Machine(), lambda *_: None)
    assert other.status == "failed" and not store.present()
    assert other.error == (
        f"here toy_add(number=1.0) has the key {call.key}; where the study was planned it has "
        "toy_add:0000000000000000. The data, the plug-ins or the version of tombola differ between the two."
    )


def test_what_another_process_cannot_find_is_refused(store: Store):
    @step("toy_inner")
    def inner(number: float) -> Sum:
        return now(add, number)

    def main(number: float) -> Sum:
        return now(add, number)

    main.__module__ = "__main__"
    for one, place in ((inner, f"{__name__}.inner"), (elsewhere, f"{__name__}.renamed")):
        with pytest.raises(Refused) as caught:
            job_of(defer(one, 1.0), store=store)
        assert str(caught.value) == (
            f"another process cannot find the step '{one.name}' as {place}. Put it at the top level of the study's "
            "file or of a module, under its own name; or use --workers 1."
        )
    with pytest.raises(Refused, match=r"^another process cannot find the step 'toy_main' as __main__\.main\. Put it"):
        place_of(step("toy_main")(main))


def test_arguments_that_cannot_travel_are_refused(store: Store):
    from tombola.core.plugin import plugin

    @plugin("criterion", "toy_of_execute")
    class Local:
        size: int = 1

    call: Callable[[], Any] = lambda: job_of(defer(gather, (Local(size=2),)), store=store)  # noqa: E731
    with pytest.raises(Refused, match=r"^toy_gather\(parts=\(toy_of_execute\(size=2\),\)\) cannot be sent to another"):
        call()


def test_a_graph_of_real_results_and_deferred_ones(store: Store):
    """A notebook's result among the arguments travels whole."""
    there = now(add, 5.0)
    call = defer(gather, (there, defer(add, 1.0)))
    for one in graph_of([row(call)]).calls.values():
        assert ran(one, store).status == "done"
    assert store.load(call.key, Sum).total == 6.0


def test_a_store_of_another_version_fails_and_does_not_raise(store: Store):
    call = defer(add, 1.0)
    job = job_of(call, store=store)
    store.folder.mkdir()
    (store.folder / "store.json").write_text('{"version": 99}')
    (outcome,) = execute([job], lambda *_: None)
    assert outcome.status == "failed" and "is a store of version 99" in outcome.error
    with pytest.raises(Refused):
        Store(store.folder)
    assert issubclass(Unwritable, Failed)
