"""Studies as files: settings, the text that names one, and every way in which a file can be wrong."""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tombola.archs.mlp import Mlp
from tombola.core import catalogue
from tombola.core.errors import Refused, UnknownName
from tombola.study import module as module_of
from tombola.study.module import Study, open_study, shipped

HEAD = (
    "from tests.study.toys import add\nfrom tombola.study.deferred import defer\nfrom tombola.study.goals import row\n"
)
SETTINGS = '''"""Do sums grow?

More words.
"""
{head}
from typing import Any, Literal
from tombola.core.layout import Arch
from tombola.archs.mlp import Mlp

def goals(
    *,
    levels: int = 3,
    keep: float = 0.5,
    size: str = "small",
    mode: Literal["all", "some"] = "all",
    deep: bool = False,
    seeds: tuple[int, ...] = (0, 1),
    limit: float | None = None,
    arch: Arch = Mlp(),
    loose=7,
    free: Any = 7,
):
    for seed in seeds:
        yield row(defer(add, float(levels), times=seed + 1), seed=seed)

def claims(levels=3, **others):
    return [levels, sorted(others)]

def figures(keep):
    yield keep
'''


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Studies of one test do not meet those of another, which may have the same name."""
    monkeypatch.setattr(catalogue, "FILES", {})
    yield
    for name in [one for one in sys.modules if one.startswith("tombola_use_")]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def write(code: str, name: str = "sums.py") -> str:
        pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(name).write_text(code.replace("{head}", HEAD))
        return name

    return write


def study_of(write: Any, body: str, text: str = "") -> Study:
    return open_study(write("{head}\n" + body) + text)


def test_a_study_has_name_title_and_defaults(write: Any):
    study = open_study(write(SETTINGS))
    assert (study.name, study.title, study.text) == ("sums", "Do sums grow?", "sums.py")
    assert study.settings["levels"] == 3 and study.settings["arch"] == Mlp() and len(study.settings) == 10
    goals = study.goals()
    assert [dict(goal.labels) for goal in goals] == [{"seed": 0}, {"seed": 1}]
    assert goals[1].of.call.text == "toy_add(number=3.0, times=2)"


@pytest.mark.parametrize(
    "given, changed",
    [
        ("levels=5", {"levels": 5}),
        ("keep=1", {"keep": 1.0}),
        ("size=big", {"size": "big"}),
        ("size='big one, (really)'", {"size": "big one, (really)"}),
        ("mode=some, deep=True", {"mode": "some", "deep": True}),
        ("seeds=(4,)", {"seeds": (4,)}),
        ("limit=2", {"limit": 2.0}),
        ("arch=mlp(hidden=(5, 4))", {"arch": Mlp(hidden=(5, 4))}),
        ("loose=-1", {"loose": -1}),
        ("levels=5, keep=0.25, deep=True, seeds=(1, 2)", {"levels": 5, "keep": 0.25, "deep": True, "seeds": (1, 2)}),
        ("free=7.0", {"free": 7.0}),  # It equals the default and is another.
        ("levels=3", {}),
        ("", {}),
    ],
)
def test_settings_are_read_and_said_again(write: Any, given: str, changed: dict[str, Any]):
    defaults = open_study(write(SETTINGS)).settings
    study = open_study(f"sums.py ({given})")
    assert study.settings == {**defaults, **changed}
    again = open_study(study.text)
    assert again.settings == study.settings and again.text == study.text
    assert [type(value) for value in again.settings.values()] == [type(value) for value in study.settings.values()]
    assert study.text == ("sums.py" if not changed else study.text) and ("(" in study.text) == bool(changed)


def test_claims_and_figures_get_the_settings_that_they_take(write: Any):
    study = open_study(write(SETTINGS) + "(levels=4, keep=0.25)")
    assert study.declared("claims") == (4, sorted(set(study.settings) - {"levels"}))
    assert study.declared("figures") == (0.25,) and study.declared("tables") == ()


@pytest.mark.parametrize(
    "given, message",
    [
        (
            "(level=3)",
            r"^no setting of sums called 'level'\. Did you mean 'levels'\? Known: arch, deep, free, keep, levels,",
        ),
        ("(levels=many)", r"^'many' in 'sums\(levels=many\)' stands where a number belongs"),
        ("(levels=2.5)", r"^sums: setting 'levels' is 2\.5 \(float\)\. It must be of type int\.$"),
        ("(levels=True)", r"^sums: setting 'levels' is True \(bool\)\. It must be of type int\.$"),
        ("(mode=none)", r"^sums: setting 'mode' is 'none'\. It must be one of: 'all', 'some'\.$"),
        ("(size=3)", r"^sums: setting 'size' is 3 \(int\)\. It must be of type str"),
        ("(seeds=3)", r"^sums: setting 'seeds' is 3 \(int\)"),
        ("(seeds=())", r"^sums.py: seeds=\(\)\. A run has one at least, and none twice: write seeds=\(0, 1\)\.$"),
        ("(seeds=(2, 0, 2))", r"^sums.py: seeds=\(2, 0, 2\)\. A run has one"),
        ("(arch=digits)", r"^sums: setting 'arch' is digits\(\) \(Digits\)\. It must be of type Arch"),
        ("(keep=nan)", r"^'nan' in .* stands where a number belongs"),
        ("(3)", r"gives a value without its field"),
        ("(levels=3, levels=4)", r"keyword argument repeated: levels|gives a field twice"),
        ("(levels=", r"^'sums.py\(levels=' names no study\. Write FILE.py or a name, with settings in brackets"),
        ("(levels=)", r"^cannot read 'sums\(levels=\)'"),
        ("(levels=open('x'))", r"gives a value without its field|neither a plain value nor a plug-in"),
    ],
)
def test_settings_that_do_not_fit_are_refused(write: Any, given: str, message: str):
    with pytest.raises(Refused, match=message):
        open_study(write(SETTINGS) + given)


def test_a_setting_without_default_must_be_given(write: Any):
    body = "def goals(*, levels: int, keep=0.5):\n    yield row(defer(add, float(levels)))\n"
    with pytest.raises(Refused, match=r'^sums.py needs the setting \'levels\': write "sums.py\(levels=\.\.\.\)"\.$'):
        study_of(write, body)
    study = open_study("sums.py(levels=2)")
    assert study.text == "sums.py(levels=2)" and study.goals()[0].of.call.arguments == {"number": 2.0}


@pytest.mark.parametrize("name", ["2nd-depth.py", "class.py", "85ep.py", "sub dir/a (b).py", "a.py.py", "_.py"])
def test_any_name_of_a_file_will_do(write: Any, name: str):
    write("{head}\ndef goals(*, levels=3): yield row(defer(add, float(levels)))\n", name)
    study = open_study(f"{name}(levels=4)")
    assert study.settings == {"levels": 4} and study.text == f"{name}(levels=4)" and study.place == name
    assert study.title == study.name == pathlib.Path(name).stem


@pytest.mark.parametrize("sort", ["*levels", "**levels"])
def test_settings_must_be_named(write: Any, sort: str):
    with pytest.raises(
        Refused, match=rf"^sums.py: goals\(\) takes '{'[*]' * (len(sort) - 6)}levels'\. Name every setting"
    ):
        study_of(write, f"def goals({sort}): yield row(defer(add, 1.0))\n")


def test_annotations_that_cannot_be_read_are_told_of(write: Any):
    with pytest.raises(Refused, match=r"^sums.py in the settings of goals: NameError: name 'Leveles' is not defined$"):
        study_of(write, "def goals(*, levels: 'Leveles' = 3): yield row(defer(add, 1.0))\n")


def test_a_study_that_is_not_there(write: Any):
    with pytest.raises(Refused, match=r"^there is no study depth\.py\. Name a Python file, or a shipped study"):
        open_study("depth.py(levels=3)")
    with pytest.raises(
        UnknownName, match=r"^no study called 'quickstrat'\..* A study of your own is .*: quickstrat\.py"
    ):
        open_study("quickstrat")
    for text in ("", "()", "a b", "sums.txt", "sums.py(3) more"):
        with pytest.raises(Refused, match=r"names no study|there is no study"):
            open_study(text)


def test_shipped_studies_are_found_by_their_sources(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "one.py").write_text('"""Title of one.\n\nMore."""\ndef goals(): raise SystemExit\n')
    (tmp_path / "studies" / "two.py").write_text("def goals(): ...\n")
    (tmp_path / "studies" / "none.py").write_text('"""No study."""\ngoals = 3\n')
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    assert shipped() == {"one": "Title of one.", "two": "two"}
    with pytest.raises(UnknownName, match=r"^no study called 'tow'\. Did you mean 'two'\? Known: one, two\."):
        open_study("tow(levels=3)")


def test_a_shipped_study_is_opened_by_its_name(write: Any, monkeypatch: pytest.MonkeyPatch):
    write("{head}\ndef goals(*, levels=3): yield row(defer(add, float(levels)))\n", "shelf_of_tests/studies/sums.py")
    monkeypatch.syspath_prepend("shelf_of_tests/studies")
    monkeypatch.setattr(catalogue, "ROOT", pathlib.Path("shelf_of_tests").resolve())
    monkeypatch.setattr(module_of.importlib, "import_module", lambda name: catalogue.load_file(
        catalogue.ROOT / "studies" / f"{name.rpartition('.')[2]}.py"))  # fmt: skip
    study = open_study("sums(levels=4)")
    assert (study.name, study.text, study.settings) == ("sums", "sums(levels=4)", {"levels": 4})


def test_no_goals(write: Any):
    for body in ("", "goals = 3\n", "def goal(): ...\n"):
        with pytest.raises(Refused, match=r"^sums.py has no function goals\(\)\. A study yields its rows there"):
            study_of(write, body)


def test_a_syntax_error_is_told_of_with_its_line(write: Any):
    with pytest.raises(Refused, match=r"^sums.py, line 6: expected ':'\.$"):
        study_of(write, "\ndef goals() yield\n")


def test_a_file_that_raises_is_told_of_with_its_lines(write: Any):
    lines = "def helper():\n    return {}['no']\n\nhelper()\n"
    with pytest.raises(Refused, match=r"^sums.py, line 8, line 6: KeyError: 'no'$"):
        study_of(write, lines)
    with pytest.raises(Refused, match=r"^sums.py, line 5: ModuleNotFoundError: No module named 'nothing_at_all'$"):
        study_of(write, "import nothing_at_all\n")


@pytest.mark.parametrize(
    "body, message",
    [
        ("    yield row(defer(add, 1.0))\n    raise OSError('odd')\n", r"^sums.py, line 7 in goals\(\): OSError: odd$"),
        ("    yield from (1 // 0 for _ in 'a')\n", r"^sums.py, line 6, line 6 in goals\(\): ZeroDivisionError"),
        ("    yield row(defer(add))\n", r"^sums.py, line 6 in goals\(\): toy_add: missing a required argument"),
        ("    yield row(defer(add, lambda: 1))\n", r"^sums.py, line 6 in goals\(\): cannot fingerprint a function"),
        ("    yield row(3)\n", r"^sums.py, line 6 in goals\(\): row\(\) takes a deferred call and was given a int"),
        (
            "    yield row(defer(add, 1.0), seed=None)\n",
            r"^sums.py, line 6 in goals\(\): row\(\): label 'seed' is a None",
        ),
        ("    yield 3\n", r"^sums.py: goals\(\) yields a int \(number 1\)\. It must yield row\(\.\.\.\) of deferred"),
        ("    yield row(defer(add, 1.0))\n    yield add(1.0)\n", r"^sums.py, line 7 in goals\(\): toy_add would run"),
        ("    return\n    yield\n", r"^sums.py: goals\(\) yields nothing with these settings\. It must yield row"),
        ("    return []\n", r"^sums.py: goals\(\) yields nothing"),
        (
            "    return None\n",
            r"^sums.py(, line \d+)? in goals\(\): .*gives a NoneType|^sums.py: goals\(\) gives a NoneType",
        ),
        ("    return row(defer(add, 1.0))\n", r"goals\(\) gives a Goal\. It must yield, or return a list\.$"),
    ],
)
def test_goals_that_are_wrong_are_refused(write: Any, body: str, message: str):
    study = study_of(write, f"def goals():\n{body}")
    with pytest.raises(Refused, match=message):
        study.goals()


def test_deferred_calls_without_labels_and_lists_will_do(write: Any):
    study = study_of(write, "def goals():\n    return [defer(add, 1.0)]\n")
    (goal,) = study.goals()
    assert goal.labels == {} and goal.of.call.text == "toy_add(number=1.0)"


def test_what_is_declared_as_a_list_is_refused(write: Any):
    study = study_of(write, "figures = []\ndef goals():\n    yield row(defer(add, 1.0))\n")
    with pytest.raises(Refused, match=r"^sums.py: figures is of type list\. It must be a function .* def figures\(\)"):
        study.declared("figures")
    assert study.declared("tables") == ()


def test_interrupts_go_through(write: Any):
    study = study_of(write, "def goals():\n    raise KeyboardInterrupt\n    yield\n")
    with pytest.raises(KeyboardInterrupt):
        study.goals()


def test_two_files_of_one_name_are_refused(write: Any):
    body = "{head}\ndef goals(): yield row(defer(add, 1.0))\n"
    open_study(write(body, "one/depth.py"))
    with pytest.raises(Refused, match=r"one/depth\.py and .*two/depth\.py have the same name\. Rename one"):
        open_study(write(body, "two/depth.py"))
