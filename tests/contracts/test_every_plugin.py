"""What every plug-in must keep to, by being in the catalogue: nothing here names one.

`golden_defaults.json` pins the version and the defaults of all of them. Keys leave out fields at their defaults, so a
default that changes in place gives an old key a new meaning. After adding plug-ins or bumping versions, run

    .venv/bin/python tests/contracts/test_every_plugin.py

to pin what is there. It refuses to write down a default that changed without a new version.
"""

import dataclasses
import json
import pathlib
import sys
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from tombola.archs.mlp import Mlp
from tombola.core import catalogue
from tombola.core.canon import canonical
from tombola.core.catalogue import Entry
from tombola.core.errors import Refused
from tombola.core.layout import Arch
from tombola.core.plugin import hints, is_plugin, registration, text_of
from tombola.core.task import Task
from tombola.core.text import check, parse
from tombola.tasks.digits import Digits

GOLDEN = pathlib.Path(__file__).with_name("golden_defaults.json")
PIN = ".venv/bin/python tests/contracts/test_every_plugin.py"


def shipped() -> list[Entry]:
    """Every plug-in of the package; those that other tests define are left out."""
    found = [entry for kind in catalogue.kinds() for entry in catalogue.entries(kind)]
    return [entry for entry in found if entry.module.startswith("tombola.")]


def pinned(entry: Entry) -> dict[str, Any]:
    """What the golden file holds of a plug-in."""
    cls = catalogue.load(entry)
    fields = {
        field.name: "required" if field.default is dataclasses.MISSING else {"default": canonical(field.default)}
        for field in dataclasses.fields(cls)
    }
    return {"version": registration(cls).version, "fields": fields}


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What keeps old keys from meaning what they meant; a new field with a default does not."""
    found = [
        f"the default of '{name}' was {old['fields'][name]} and is {new['fields'].get(name, 'gone')}"
        for name in old["fields"]
        if json.dumps(new["fields"].get(name)) != json.dumps(old["fields"][name])  # In Python, 1 == True == 1.0.
    ]
    return found + [
        f"'{n}' is new and required" for n, f in new["fields"].items() if n not in old["fields"] and f == "required"
    ]


def candidates(hint: Any, default: Any) -> Iterator[Any]:
    """Values that a field of a plain type might take, other than its default."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    options: list[Any] = []
    if origin is typing.Literal:
        options = list(args)
    elif origin is typing.Union or type(hint).__name__ == "UnionType":
        options = [value for option in args for value in candidates(option, default)]
    elif origin is tuple and args:
        kinds = args if Ellipsis not in args else args[:1]
        firsts = [[v for v in candidates(kind, dataclasses.MISSING)] for kind in kinds]
        options = [tuple(values) for values in zip(*firsts, strict=False)]
    elif hint is int:
        near = [default + step for step in (1, 2, 6, -1)] if type(default) is int else []
        options = [*near, 1, 2, 3, 5, 8, 14, 32, 64, 0]
    elif hint is float:
        options = [0.25, 0.5, 0.125, 1.5, 3.0, 0.0]
    elif hint is Arch:
        options = [Mlp(), Mlp(hidden=(8,))]
    elif hint is Task:
        options = [Digits(), Digits(channels=3)]
    elif hint is str:
        options = ["a", "a/b", "2ep", "cpu", 'it\'s "quoted" \\ 2ep']
    elif hint is bool:
        options = [True, False]
    elif hint is type(None):
        options = [None]
    yield from (v for v in options if type(v) is not type(default) or v != default)


def simple(entry: Entry) -> dict[str, list[Any]]:
    """For each field of a plain type, the values to try."""
    cls = catalogue.load(entry)
    found = {f.name: list(candidates(hints(cls)[f.name], f.default)) for f in dataclasses.fields(cls)}
    return {name: values for name, values in found.items() if values}


def made(entry: Entry, **fields: Any) -> Any:
    """An instance with some fields given; required ones are filled with whatever will do."""
    cls = catalogue.load(entry)
    missing = [name for name, default in entry.fields if not default and name not in fields]
    if not missing:
        return cls(**fields)
    for value in simple(entry).get(missing[0], []):
        try:
            return made(entry, **fields, **{missing[0]: value})
        except Refused:
            continue
    pytest.skip(f"no value for the required field '{missing[0]}' of {entry.name} is known here")


def with_field(entry: Entry, name: str) -> Any:
    """An instance in which one field is not at its default, with another changed too where the rules ask for it."""
    tries = simple(entry)
    for value in tries[name]:
        try:
            return made(entry, **{name: value})
        except Refused:
            continue
    for value in tries[name]:
        for other in (o for o in tries if o != name):
            for companion in tries[other]:
                try:
                    return made(entry, **{name: value, other: companion})
                except Refused:
                    continue
    return None  # A set of digits, say, whose pictures may not be mirrored, whatever the field's type allows.


each = pytest.mark.parametrize("entry", shipped(), ids=lambda entry: f"{entry.kind}-{entry.name}")


def test_names_are_unique_over_all_kinds():
    names = [entry.name for entry in shipped()]
    assert sorted(set(names)) == sorted(names)


@each
def test_texts_go_there_and_back(entry: Entry):
    plain = made(entry)
    assert parse(entry.kind, str(plain)) == plain
    assert repr(plain) == str(plain)
    assert check(entry.kind, str(plain)) == entry
    if all(default for _, default in entry.fields):
        assert str(plain) == f"{entry.name}()" and parse(entry.kind, entry.name) == plain
    for name in simple(entry):
        if (changed := with_field(entry, name)) is None:
            continue
        again = parse(entry.kind, str(changed))
        assert again == changed and repr(again) == repr(changed), name
        required = not dict(entry.fields)[name]
        assert required or (f"{name}=" in str(changed) and changed != plain), name
        assert hash(again) == hash(changed)


@each
def test_every_default_can_be_written_out(entry: Entry):
    """The text with all its defaults, as `tombola list` shows it, means the same as the shortest one."""
    plain = made(entry)
    full = ", ".join(f"{field.name}={text_of(getattr(plain, field.name))}" for field in dataclasses.fields(plain))
    assert parse(entry.kind, f"{entry.name}({full})") == plain


@each
def test_the_catalogue_reads_what_python_makes(entry: Entry):
    cls = catalogue.load(entry)
    fields = dataclasses.fields(cls)
    assert [name for name, _ in entry.fields] == [field.name for field in fields]
    for (name, shown), field in zip(entry.fields, fields, strict=True):
        assert field.default_factory is dataclasses.MISSING, (
            f"{name}: a default must be a value, so that it can be read"
        )
        if field.default is dataclasses.MISSING:
            assert shown == "", name
        elif shown != text_of(field.default):
            assert is_plugin(field.default), f"{name}: the catalogue shows {shown}, it is {field.default!r}"
            assert parse("", shown) == field.default, name
    assert entry.summary and not entry.summary.startswith(f"{cls.__name__}("), "the docstring's first line is the help"
    assert registration(cls).kind == entry.kind and registration(cls).name == entry.name


@each
def test_what_is_missing_is_named(entry: Entry):
    required = [name for name, default in entry.fields if not default]
    if not required:
        made(entry)
        return
    with pytest.raises(Refused) as caught:
        parse(entry.kind, entry.name)
    assert str(caught.value) == (f'{entry.name} needs {", ".join(required)}: write "{entry.name}({required[0]}=...)".')


@each
def test_a_field_that_is_not_there(entry: Entry):
    with pytest.raises(Refused, match=f"^no field of {entry.name} called 'no_such_field'"):
        parse(entry.kind, f"{entry.name}(no_such_field=1)")


@each
def test_values_of_the_wrong_type_are_refused(entry: Entry):
    """In words of ours, whatever is given: the text may come from a file that somebody else wrote."""
    for name in simple(entry):
        for wrong in ("...", "{}", "(((), ()), ())", "b'x'"):
            with pytest.raises(Refused, match=f"{entry.name}: field '{name}' is"):
                parse(entry.kind, f"{entry.name}({filled(entry, name)}{name}={wrong})")


def filled(entry: Entry, name: str) -> str:
    """The required fields but one, as text."""
    plain = made(entry)
    return "".join(f"{n}={text_of(getattr(plain, n))}, " for n, default in entry.fields if not default and n != name)


@each
def test_defaults_are_those_of_the_golden_file(entry: Entry):
    old = json.loads(GOLDEN.read_text()).get(f"{entry.kind}/{entry.name}")
    if old is None:
        pytest.skip(f"{entry.kind} '{entry.name}' is new; before its first release, pin its defaults: {PIN}")
    new = pinned(entry)
    if found := changes(old, new):
        bumped = new["version"] != old["version"]
        way = f"The version was bumped, so pin the new ones: {PIN}" if bumped else (
            f"Keys leave out fields at their defaults, so old keys would come to mean something else. Take it back, or "
            f"write @plugin({entry.kind!r}, {entry.name!r}, version={old['version'] + 1}) and run {PIN}"
        )  # fmt: skip
        pytest.fail(f"{entry.kind} '{entry.name}': {'; '.join(found)}. {way}")
    if new["version"] != old["version"]:
        pytest.fail(f"{entry.kind} '{entry.name}' is version {new['version']} and was {old['version']}. Pin it: {PIN}")


def test_what_was_pinned_is_still_there():
    gone = sorted(set(json.loads(GOLDEN.read_text())) - {f"{entry.kind}/{entry.name}" for entry in shipped()})
    assert not gone, (
        f"old texts and tickets name {', '.join(gone)}: keep the name, or drop it from {GOLDEN.name} by hand"
    )


def test_changes_are_told_from_additions():
    old = {"version": 1, "fields": {"a": {"default": 1}, "b": "required"}}
    assert changes(old, old) == []
    assert changes(old, {"version": 1, "fields": {**old["fields"], "c": {"default": 2}}}) == []
    assert changes(old, {"version": 1, "fields": {**old["fields"], "c": "required"}}) == ["'c' is new and required"]
    assert changes(old, {"version": 1, "fields": {"b": "required"}}) == [
        "the default of 'a' was {'default': 1} and is gone"
    ]
    assert changes(old, {"version": 1, "fields": {"a": {"default": True}, "b": "required"}}) == [
        "the default of 'a' was {'default': 1} and is {'default': True}"
    ]
    assert changes(old, {"version": 1, "fields": {"a": {"default": 2}, "b": "required"}}) == [
        "the default of 'a' was {'default': 1} and is {'default': 2}"
    ]


def pin(*, force: bool) -> int:
    """Write the golden file; the exit code."""
    old = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    new = {f"{entry.kind}/{entry.name}": pinned(entry) for entry in shipped()}
    for name in old.keys() & new.keys():
        if (found := changes(old[name], new[name])) and old[name]["version"] == new[name]["version"] and not force:
            print(f"{name}: {'; '.join(found)}. Bump its version first (--force: nothing was released with it).")
            return 1
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(new[name])}" for name in sorted(new))
    GOLDEN.write_text("{\n" + rows + "\n}\n")
    print(f"{len(new)} plug-ins are pinned in {GOLDEN}")
    return 0


if __name__ == "__main__":
    sys.exit(pin(force="--force" in sys.argv[1:]))
