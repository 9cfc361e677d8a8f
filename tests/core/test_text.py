import ast
import builtins
import importlib
import os
import string
import time
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tombola.core import catalogue
from tombola.core.errors import Refused, UnknownName
from tombola.core.plugin import plugin
from tombola.core.seeds import Seeds
from tombola.core.text import check, parse, parse_call, parse_fields

KINDS = catalogue.kinds()


@pytest.mark.parametrize(
    "kind, text, shown",
    [
        ("arch", "resnet", "resnet()"),
        ("arch", " resnet() ", "resnet()"),
        ("arch", "resnet(depth = 32,)", "resnet(depth=32)"),
        ("arch", "resnet(depth=20)", "resnet()"),
        ("arch", "resnet(shortcut=identity)", "resnet(shortcut='identity')"),
        ("arch", "mlp(hidden=[5])", "mlp(hidden=(5,))"),
        ("arch", "mlp(hidden=())", "mlp(hidden=())"),
        ("seeds", "seeds(seed=1_000, data=-2)", "seeds(seed=1000, data=-2)"),
        ("scope", "per_layer(halved=('head.weight',), rounding=floor, tensors=all)",
         "per_layer(halved=('head.weight',), rounding='floor', tensors='all')"),
        ("recipe", "recipe(steps=2ep)", "recipe(steps='2ep')"),
        ("recipe", "recipe(steps='2ep', rewind=500it)", "recipe(steps='2ep', rewind='500it')"),
        ("recipe", "recipe(steps=2.5ep, clip=1)", "recipe(steps='2.5ep', clip=1.0)"),
        ("recipe", "recipe(schedule=step(at=(55ep,65ep)), optimizer=sgd(lr=1, nesterov=yes))",
         "recipe(optimizer=sgd(lr=1.0, nesterov='yes'), schedule=step(at=('55ep', '65ep')))"),
        ("recipe", "recipe(schedule=cosine)", "recipe(schedule=cosine())"),
    ],
)  # fmt: skip
def test_what_people_write(kind: str, text: str, shown: str):
    made = parse(kind, text)
    assert str(made) == shown
    assert parse(kind, shown) == made
    assert check(kind, text).kind == kind


@pytest.mark.parametrize(
    "kind, text, message",
    [
        ("seeds", "seeds(dta=1)",
         "no field of seeds called 'dta'. Did you mean 'data'? Known: augment, data, init, reinit, seed."),
        ("seeds", "sedes", "no seeds called 'sedes'. Did you mean 'seeds'? Known: seeds."),
        ("interface", "interface(classes=2)", 'interface needs inputs: write "interface(inputs=...)".'),
        ("interface", "interface", 'interface needs inputs, classes: write "interface(inputs=...)".'),
        ("seeds", "seeds(1)",
         "'seeds(1)' gives a value without its field. Write name(field=value, ...), e.g. \"resnet(depth=32)\"."),
        ("seeds", "seeds(**{'seed': 1})",
         "'seeds(**{'seed': 1})' has a '**'. Write name(field=value, ...), e.g. \"resnet(depth=32)\"."),
        ("seeds", "seeds(seed=1, data=2, seed=3)", "'seeds(seed=1, data=2, seed=3)' gives a field twice."),
        ("seeds", "3", "'3' does not name a plug-in. Write name or name(field=value, ...), e.g. \"resnet(depth=32)\"."),
        ("task", "rotated(degrees=abc)", "'abc' in 'rotated(degrees=abc)' stands where a number belongs."),
        ("seeds", "seeds(seed=a.b)", "'a.b' in 'seeds(seed=a.b)' is neither a plain value nor a plug-in."),
        ("seeds", "seeds(seed=1.5)", "seeds: field 'seed' is 1.5 (float). It must be of type int."),
        ("machine", "machine(checkpoint=1e999)", "machine: field 'checkpoint' is inf. It must be a finite number."),
        ("move", "reinit(draw=fix)", "reinit: field 'draw' is 'fix'. It must be one of: 'fixed', 'fresh'."),
    ],
)  # fmt: skip
def test_messages(kind: str, text: str, message: str):
    with pytest.raises(Refused) as caught:
        parse(kind, text)
    assert str(caught.value) == message


def test_the_nearest_name_is_named():
    with pytest.raises(UnknownName, match=r"^no criterion called 'magntude'. Did you mean 'magnitude'\? Known: .*"):
        parse("criterion", "magntude")
    with pytest.raises(UnknownName, match=r"^no arch called 'magnitude'"):
        parse("arch", "magnitude")
    with pytest.raises(UnknownName, match=r"^no plug-in called 'consine'. Did you mean 'cosine'\?"):
        parse("recipe", "recipe(schedule=consine())")


def test_a_plug_in_of_the_wrong_kind_is_refused():
    for wrong in ("magnitude", "magnitude()", "5", "'sgd'", "(1, 2)", "None", "{}"):
        with pytest.raises(Refused, match="recipe: field 'optimizer' is .* must be of type Optimizer"):
            parse("recipe", f"recipe(optimizer={wrong})")


def test_bare_words_only_where_words_are_meant(scratch: None):
    @plugin("example", "wordy")
    class Wordy:
        word: str = ""
        either: Literal["a", "b"] | int = 0
        words: tuple[str, ...] = ()
        other: Any = None

    assert parse("example", "wordy(word=mnist, either=b, words=(x, mnist))").words == ("x", "mnist")
    assert parse("example", "wordy(other=seeds)").other == Seeds()
    with pytest.raises(UnknownName, match="no plug-in called 'xyzzy'"):
        parse("example", "wordy(other=xyzzy)")


HOSTILE = [
    "__import__('os').system('true')",
    "__import__",
    "seeds(seed=__import__('os'))",
    "seeds(seed=__import__)",
    "seeds(seed=open('/etc/passwd'))",
    "seeds(seed=exec('1'))",
    "seeds(seed=(lambda: 1)())",
    "seeds(seed=lambda: 1)",
    "seeds(seed=f'{1}')",
    "machine(device=f'{__import__(1)}')",
    "machine(device='a'.upper())",
    "seeds(seed=().__class__)",
    "seeds(seed=Seeds.__init__)",
    "seeds.__class__",
    "seeds.__init__(seed=1)",
    "seeds[0]",
    "seeds(seed=[1][0])",
    "seeds(seed=1+1)",
    "seeds(seed=9**9**9**9)",
    "mlp(hidden=(1,)*1000000000)",
    "mlp(hidden=[x for x in (1,)])",
    "seeds(seed={1: 2}[1])",
    "seeds(seed=not 1)",
    "seeds(seed=1 if 1 else 2)",
    "seeds(seed=(y:=1))",
    "(seeds:=1)",
    "seeds(seed=yield)",
    "seeds(seed=await x)",
    "seeds(seed=*(1,))",
    "seeds(*[1])",
    "seeds(seed=...)",
    "seeds(seed=1j)",
    "seeds(seed=b'1')",
    "seeds(seed=`1`)",
    "seeds; seeds",
    "seeds\nseeds",
    "seeds()()",
    "lambda: seeds",
    "print",
    "import os",
    "seeds(seed=1",
    "seeds)",
    "",
    " ",
    "#",
    "\\",
    "\x00",
    "\ud800",
    "seeds(seed='\x00')",
    "seeds(seed=\u00b2)",
    "\uff53\uff45\uff45\uff44\uff53(1)",
    "seeds(seed=" + "9" * 5000 + ")",
    "seeds(seed=0x" + "f" * 9000 + ")",
    "machine(checkpoint=0x" + "f" * 9000 + ")",
    "machine(checkpoint=0x" + "f" * 250 + "f" * 10 + ")",
    "reinit(draw=0x" + "f" * 9000 + ")",
    "machine(device={1: 0x" + "f" * 9000 + "})",
    "a" * 20_001,
    "(" * 10_000,
    "seeds(seed=" + "(" * 150 + ")" * 150 + ")",
    "seeds(seed=" + "[" * 90 + "]" * 90 + ")",
    "seeds(seed=" * 80 + ")" * 80,
    "seeds(seed=" * 3000,
    "seeds(seed=" + "-" * 19_000 + "1)",
    "seeds(seed=" + "-" * 900 + "x)",
    "seeds" + "()" * 5000,
    "seeds(seed=" + "not " * 4000 + "x)",
    "seeds(seed=x" + "+1" * 900 + ")",
    "seeds(seed=x" + ".y" * 9000 + ")",
    'machine(device="' + "\\'" * 9000 + ")",
    "'" * 19_999,
    "\\'" * 9_999,
    "'\"" * 9_999,
    "1ep" * 6000,
    "seeds(seed=1ep)",
    "seeds(seed=nan)",
    "machine(checkpoint=nan)",
    "machine(checkpoint=-inf)",
    "seeds(seed=None)",
    "seeds(__class__=1)",
    "seeds(__post_init__=1)",
    "seeds(seed=True)",
    "seeds(seed={1})",
    "seeds(seed='1')",
    "seeds(seed={[]: 1})",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{i}-{ascii(text[:20])}" for i, text in enumerate(HOSTILE)])
def test_hostile_texts_are_refused_and_nothing_is_run(text: str, monkeypatch: pytest.MonkeyPatch):
    for kind in KINDS:  # So that no import happens below.
        for entry in catalogue.entries(kind):
            catalogue.load(entry)

    def caught(*_: Any, **__: Any) -> Any:
        raise AssertionError("something was evaluated")

    compiled = builtins.compile
    monkeypatch.setattr(builtins, "eval", caught)
    monkeypatch.setattr(builtins, "exec", caught)
    monkeypatch.setattr(builtins, "open", caught)
    monkeypatch.setattr(os, "system", caught)
    monkeypatch.setattr(importlib, "import_module", caught)
    monkeypatch.setattr(
        builtins, "compile", lambda s, f, m, flags=0, *a, **k: compiled(s, f, m, flags | ast.PyCF_ONLY_AST, *a, **k)
    )
    before = time.process_time()
    for kind in ("seeds", "machine", "arch", "move"):
        with pytest.raises(Refused):
            parse(kind, text)
    with pytest.raises(Refused):
        parse_call(f"cut(x={text})" if text.strip(" #\\") else text, lambda key: key)
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    "text", ["cut(x=seeds(seed=1)", "cut(x=" + "(" * 150 + "1," + ")" * 150 + "x)", "cut(x=1)(y=2)"]
)
def test_hostile_calls_are_refused(text: str):
    with pytest.raises(Refused):
        parse_call(text, lambda key: key)


PIECES = st.sampled_from(
    [
        "seeds",
        "resnet",
        "mlp",
        "recipe",
        "step",
        "seed",
        "hidden",
        "steps",
        "at",
        "(",
        ")",
        "=",
        ",",
        "'",
        '"',
        "\\",
        "[",
        "]",
        "{",
        "}",
        ":",
        "*",
        "**",
        "-",
        "+",
        ".",
        "0x",
        "1",
        "2ep",
        "1e9",
        "1e999",
        "lambda",
        "not ",
        "f'",
        "b'",
        " ",
        "\n",
        "\t",
        "#",
        "None",
        "True",
        "...",
        "train:0123456789abcdef",
        "_key_",
        "é",
        "\x00",
        "\ud800",
        ";",
        "@",
        "if ",
    ],
)


@pytest.mark.filterwarnings("ignore")  # Python's own remarks on literals such as `1if`.
@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=40) | st.text(string.printable, max_size=60))
@example("seeds(seed=1if 1else 2)")
@example("seeds(seed=0x1for x in y)")
def test_parse_gives_a_plug_in_or_refuses(text: str):
    for kind in ("seeds", "recipe", "arch"):
        try:
            made = parse(kind, text)
        except Refused:
            continue
        assert parse(kind, str(made)) == made
    try:
        parse_call(text, lambda key: key)
    except Refused:
        pass


@given(st.text(max_size=30), st.tuples(st.text("'\"\\ 2epit", max_size=12), st.text("train:0123456789abcdef'\" ")))
@example("it's \"2ep\" or \\'3it\\'", ("", ""))
@example("'2ep\"", ("", ""))  # repr() writes '\\'2ep"'.
def test_any_string_comes_back(device: str, others: tuple[str, str]):
    for word in (device, *others):
        if word.isprintable() or word.isascii():
            machine = parse("machine", "machine(device=" + repr(word) + ")")
            assert machine.device == word
            assert parse("machine", str(machine)) == machine


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0), st.integers(-(2**63), 2**63))
def test_any_number_comes_back(seconds: float, seed: int):
    machine = parse("machine", f"machine(checkpoint={seconds!r})")
    assert machine.checkpoint == seconds and parse("machine", str(machine)) == machine
    assert parse("seeds", str(Seeds(seed))) == Seeds(seed)


SETTINGS: dict[str, Any] = {"levels": int, "keep": float, "seeds": tuple[int, ...], "name": str, "task": Any}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("depth", {}),
        ("depth()", {}),
        ("depth(levels=3)", {"levels": 3}),
        ("no_such_plugin(levels = 3,)", {"levels": 3}),
        ("depth(keep=1)", {"keep": 1.0}),
        ("depth(seeds=[1, 2], name=small)", {"seeds": (1, 2), "name": "small"}),
        ("depth(seeds=(1,), name='2ep')", {"seeds": (1,), "name": "2ep"}),
        ("depth(task=seeds(seed=3))", {"task": Seeds(3)}),
        ("depth(task=(1, 'a', None))", {"task": (1, "a", None)}),
    ],
)
def test_fields_of_any_name_are_read(said: str, read: dict[str, Any]):
    found = parse_fields(said, SETTINGS)
    assert found == read and {n: type(v) for n, v in found.items()} == {n: type(v) for n, v in read.items()}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("depth(levles=3)", "no setting of depth called 'levles'. Did you mean 'levels'? Known: keep, levels, name, "),
        ("depth(levels='3')", "depth: setting 'levels' is '3'"),
        ("depth(levels=3.0)", "depth: setting 'levels' is 3.0"),
        ("depth(levels=True)", "depth: setting 'levels' is True"),
        ("depth(seeds=(1, 'a'))", "depth: setting 'seeds' is 'a' (str). It must be of type int."),
        ("depth(keep=1e999)", "depth: setting 'keep' is inf. It must be a finite number."),
        ("depth(3)", "'depth(3)' gives a value without its field"),
        ("depth(levels=3, levels=4)", "levels"),
        ("depth(**x)", "'depth(**x)' has a '**'"),
        ("depth(levels=__import__('os'))", "gives a value without its field"),
        ("depth(levels=1+)", "cannot read 'depth(levels=1+)'"),
        ("depth(task=sedes(seed=3))", "no plug-in called 'sedes'"),
        ("3", "'3' does not name"),
        ("", "cannot read ''"),
    ],
)
def test_fields_that_do_not_fit_are_refused(said: str, message: str):
    with pytest.raises(Refused) as caught:
        parse_fields(said, SETTINGS)
    assert message in str(caught.value)
