"""The event log: it only grows, line by line, whoever is killed."""

import os
import pathlib
import resource
import signal
import subprocess
import sys
from typing import Any

import pytest

from tombola.core.errors import Failed
from tombola.study.events import EventLog, Watcher, event, read_events


def test_an_event_is_plain_data_with_its_time():
    one = event("done", key="train:00", numbers={"loss": 0.5})
    assert {n: v for n, v in one.items() if n != "time"} == {
        "event": "done",
        "key": "train:00",
        "numbers": {"loss": 0.5},
    }
    assert one["time"] > 1.7e9 and list(one) == ["time", "event", "key", "numbers"]


def test_a_log_gives_back_what_it_was_told(tmp_path: pathlib.Path):
    path = tmp_path / "some" / "where" / "events.jsonl"
    log = EventLog(path)
    assert isinstance(log, Watcher)
    told = [event("start", key=f"a:{n}", labels={"Größe": "a\nb"}) for n in range(3)]
    for one in told[:2]:
        log(one)
    assert list(read_events(path)) == told[:2]  # Readable while it grows.
    log.close()
    again = EventLog(path)
    again(told[2])
    again.close()
    assert list(read_events(path)) == told and path.read_bytes().count(b"\n") == 3


def test_what_is_no_plain_data_is_told_as_text(tmp_path: pathlib.Path):
    log = EventLog(tmp_path / "events.jsonl")
    log(event("progress", where=pathlib.Path("a")))
    log.close()
    assert next(read_events(log.path))["where"] == "a"


@pytest.mark.parametrize("torn", [b'{"time": 1, "event": "do', b"\x00\xff\xfe", b"[1, 2", b"{"])
def test_a_line_that_was_left_half_written_spoils_no_other(tmp_path: pathlib.Path, torn: bytes):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"time": 1, "event": "run"}\n' + torn)
    log = EventLog(path)
    log(event("end"))
    log.close()
    assert [one["event"] for one in read_events(path)] == ["run", "end"]


def test_lines_that_are_no_events_are_passed_over(tmp_path: pathlib.Path):
    path = tmp_path / "events.jsonl"
    path.write_text('3\n"event"\n["event"]\n{"even": 1}\n\n{"event": "end"}\n')
    assert list(read_events(path)) == [{"event": "end"}]


def test_a_log_that_cannot_be_made_is_told_of(tmp_path: pathlib.Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match=r"^cannot write .*file/events.jsonl: .*\. Free space there or name another"):
        EventLog(tmp_path / "file" / "events.jsonl")


def test_a_full_disk_is_told_of(tmp_path: pathlib.Path):
    log = EventLog(tmp_path / "events.jsonl")
    log(event("run"))
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size, before[1]))
    try:
        with pytest.raises(Failed, match=r"^cannot write .*events.jsonl: File too large\. Free space there"):
            log(event("end"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
        log.close()
    assert [one["event"] for one in read_events(log.path)] == ["run"]


def test_of_a_line_that_the_disk_takes_a_part_of_only_that_line_is_lost(tmp_path: pathlib.Path):
    log = EventLog(tmp_path / "events.jsonl")
    log(event("run"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(Failed, match=r"^cannot write .*events.jsonl: No space left on device\. Free space there"):
            log(event("start"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for _ in range(2):
        log(event("end"))
    log.close()
    assert [one["event"] for one in read_events(log.path)] == ["run", "end", "end"]
    assert log.path.read_bytes().count(b"\n") == 4


def test_several_processes_write_one_log(tmp_path: pathlib.Path):
    path = tmp_path / "events.jsonl"
    code = (
        "import sys; from tombola.study.events import EventLog, event\n"
        "log = EventLog(sys.argv[1])\n"
        "for n in range(300): log(event('progress', key=sys.argv[2], step=n, words='x' * 500))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name], env=dict(os.environ)) for name in "ab"]
    assert [one.wait() for one in writers] == [0, 0]
    steps: dict[str, list[Any]] = {"a": [], "b": []}
    for one in read_events(path):
        steps[one["key"]].append(one["step"])
    assert steps == {"a": list(range(300)), "b": list(range(300))}
    # A log that is opened while another writes may add an empty line; nothing else comes between the lines.
    assert len([line for line in path.read_bytes().split(b"\n") if line]) == 600
