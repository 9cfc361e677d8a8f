"""The command line: what each command promises, and that every mistake gets one clear message and the right code."""

import errno
import importlib
import inspect
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.command_line import Answer, Run, runner
from tombola import cli
from tombola.core import catalogue, plugin
from tombola.core.ticket import Ticket
from tombola.study.store import Store
from tombola.train.trained import Trained
from tombola.verify import verify

ROOT = pathlib.Path(cli.__file__).parents[1]
RECIPE = "recipe(steps=10, batch=60, evaluate=10, validation=0.0)"
FIND = ("find", "mlp(hidden=(6, 5))", "digits", "--recipe", RECIPE, "--levels", "2")
PROGRAM = (sys.executable, "-c", "from tombola.cli import main; main()")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Run:
    """Runs a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOMBOLA_DATA", str(tmp_path / "data"))

    return runner(capsys)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a store, the sparsest ticket of two levels, its survivors, and its training."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.raises(SystemExit) as stop:
        cli.main([*FIND, "--store", str(folder / "runs"), "--out", str(folder / "winner.ticket"), "--json"])
    assert not stop.value.code
    store = Store(folder / "runs")
    winner = Ticket.load(folder / "winner.ticket")
    winner.alive().save(folder / "alive.ticket")
    trained = next(key for key in store.keys() if f"ticket={winner.key}" in store.record(key)["call"])
    store.load(trained, Trained).save(folder / "winner.trained")
    return folder


@pytest.fixture
def forget_plugins() -> Iterator[None]:
    """Other tests go through all plug-ins: those of a file that a test used are forgotten."""
    before, files = set(plugin.LOADED), dict(catalogue.FILES)
    yield
    for key in set(plugin.LOADED) - before:
        del plugin.LOADED[key]
    catalogue.FILES.clear()
    catalogue.FILES.update(files)


def complaint(answer: Answer, code: int) -> str:
    """The one message of a command that went wrong."""
    assert answer.code == code, answer
    assert answer.out == ""
    messages = [line for line in answer.err.splitlines() if line.startswith("tombola: ")]
    assert len(messages) == 1, answer.err
    return messages[0]


# What each command promises.


def test_the_version(run: Run):
    answer = run("--version")
    assert answer.code == 0 and re.fullmatch(r"tombola \d+\.\d+\.\d+\S*\n", answer.out)
    assert run("--version", "find").code == 2


def test_find_tells_every_level(run: Run, tmp_path: pathlib.Path):
    answer = run(*FIND, "--out", "winner.ticket", "--json")
    assert answer.code == 0
    levels = answer.json["tickets"]
    assert answer.json["out"] == "winner.ticket"
    assert [(row["level"], row["kept"], row["size"]) for row in levels] == [(0, 464, 464), (1, 371, 464), (2, 296, 464)]
    for row in levels:
        assert row["density"] == row["kept"] / row["size"]
        assert 0 < row["test_accuracy"] <= 1
        assert row["dense_test_accuracy"] == levels[0]["test_accuracy"]
        assert all(row["checks"].values())
    winner = Ticket.load("winner.ticket")
    assert winner.key == levels[2]["ticket"] and winner.level == 2
    store = Store("runs")
    assert {row[kind] for row in levels for kind in ("ticket", "trained")} == set(store.keys())
    assert store.load(levels[1]["trained"], Trained).test_accuracy == levels[1]["test_accuracy"]


def test_find_again_loads_everything(run: Run, made: pathlib.Path):
    before = {path: path.stat().st_mtime_ns for path in (made / "runs").rglob("*") if path.is_file()}
    first = run(*FIND, "--store", made / "runs", "--json")
    assert run(*FIND, "--store", made / "runs", "--json").json == first.json
    assert {path: path.stat().st_mtime_ns for path in (made / "runs").rglob("*") if path.is_file()} == before


def test_find_for_people(run: Run, made: pathlib.Path):
    answer = run(*FIND, "--store", made / "runs", "--out", "odd[b]:name:.ticket")
    assert answer.code == 0
    assert [line.split()[:2] for line in answer.out.splitlines()[1:4]] == [["0", "100"], ["1", "79.96"], ["2", "63.79"]]
    assert "odd[b]:name:.ticket: Ticket(" in answer.out  # Not read as markup.
    assert "level 2: density 0.6379" in answer.err
    assert "3 of 3 trainings" in answer.err


def test_find_survivors_only(run: Run, made: pathlib.Path):
    assert run(*FIND, "--store", made / "runs", "--out", "a.ticket", "--alive", "--json").code == 0
    assert pathlib.Path("a.ticket").read_bytes() == (made / "alive.ticket").read_bytes()
    assert pathlib.Path("a.ticket").stat().st_size < (made / "winner.ticket").stat().st_size
    assert run("verify", "a.ticket", "--store", made / "runs").code == 0


def test_find_by_densities_scope_criterion_restart_and_seed(run: Run):
    words = ("find", "mlp(hidden=(6,))", "digits", "--recipe", RECIPE, "--densities", "0.5", "0.25", "--json")
    words += ("--scope", "per_layer", "--criterion", "random", "--restart", "rate", "--seed", "3", "--out", "a.ticket")
    rows = run(*words, "--machine", "machine(threads=1)").json["tickets"]
    assert [round(row["density"], 2) for row in rows] == [1, 0.5, 0.25]
    ticket = Ticket.load("a.ticket")
    assert ticket.restart == "rate" and [ticket.mask.kept_in(name) for name in ticket.mask] == [96, 15]
    assert "seeds=seeds(seed=3)" in ticket.lineage.events[0].call and "criterion=random()" in ticket.lineage.last.call


def test_find_a_chain_of_random_tickets(run: Run):
    words = ("find", "mlp(hidden=(6,))", "digits", "--recipe", RECIPE, "--levels", "2", "--out", "a.ticket")
    assert run(*words, "--then", "reinit(draw=fresh)").code == 0
    ticket = Ticket.load("a.ticket")
    assert [event.function for event in ticket.lineage] == ["draw", *["train", "cut", "carry"] * 2]
    assert "reinit(draw='fresh')" in ticket.lineage.last.call and ticket.level == 2
    assert "no move called 'reinitt'" in complaint(run(*words, "--then", "reinitt"), 2)


def test_a_network_that_is_cut_off_is_warned_of_whenever_it_is_shown(run: Run):
    words = ("find", "mlp(hidden=(60, 40))", "digits", "--recipe", RECIPE, "--densities", "0.005")
    for _ in range(2):  # Stored, too.
        answer = run(*words, "--criterion", "random")
        assert answer.code == 0 and "warning: level 1: 'stages.1.0.weight': " in answer.out.replace("\n", " ")
    assert "warning" not in run(*words[:-1], "0.5", "--criterion", "random").out


def test_find_before_training(run: Run):
    early = (*FIND[:-2], "--criterion", "snip", "--densities", "0.5", "0.2")
    found = run(*early, "--out", "snip.ticket", "--json").json["tickets"]
    assert [(one["level"], round(one["density"], 2)) for one in found] == [(0, 1.0), (1, 0.5), (1, 0.2)]
    ticket = Ticket.load("snip.ticket")
    assert [event.function for event in ticket.lineage] == ["draw", "cut_early"] and verify(ticket).ok
    after = run(*early, "--moment", "after", "--json").json["tickets"]
    assert [one["level"] for one in after] == [0, 1, 2]


@pytest.mark.parametrize(
    ("words", "functions"),
    [
        (("--levels", "0", "--rewire", "gradual(density=0.3, every=2)"), ["draw", "train", "cut"]),
        (
            (*("--criterion", "random", "--moment", "before", "--densities", "0.3"), "--rewire", "rigl(every=2)"),
            ["draw", "cut_early", "train", "cut"],
        ),
    ],
    ids=["gradual", "rigl"],
)
def test_find_writes_the_mask_that_a_training_ended_with(run: Run, words: tuple[str, ...], functions: list[str]):
    recipe = RECIPE.replace(")", f", rewire={words[-1]})")
    found = run(*FIND[:3], "--recipe", recipe, *words[:-2], "--out", "a.ticket", "--json").json["tickets"]
    ticket = Ticket.load("a.ticket")
    assert [event.function for event in ticket.lineage] == functions
    assert ticket.mask.kept == found[-1]["kept"] == round(0.3 * ticket.mask.size)
    assert run("verify", "a.ticket", "--json").json["ok"]


def test_a_ticket_that_a_training_found_is_trained_with_its_mask(run: Run):
    recipe = RECIPE.replace(")", ", rewire=dpf(density=0.3, every=2))")
    run(*FIND[:3], "--recipe", recipe, "--levels", "0", "--out", "a.ticket")
    assert run("train", "a.ticket", "--json").json["density"] == pytest.approx(0.3, abs=1e-3)
    assert "begins with all weights" in complaint(run("train", "a.ticket", "--recipe", recipe), 2)


def test_find_by_the_tasks_own_recipe_needs_no_words(run: Run, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    commands = importlib.import_module("tombola.commands.tickets")
    monkeypatch.setattr(commands, "find", lambda words: asked.append(words) or 0)
    assert run("find").code == 0
    assert (asked[0].arch, asked[0].task, asked[0].levels, asked[0].store) == ("", "", None, "runs")


def test_show(run: Run, made: pathlib.Path):
    card = run("show", made / "winner.ticket", "--json").json
    assert card["arch"] == "mlp(hidden=(6, 5))" and card["task"] == "digits()"
    assert (card["level"], card["kept"], card["size"]) == (2, 296, 464) and card["density"] == 296 / 464
    assert [step["call"].split("(")[0] for step in card["lineage"]] == ["draw", "train", "cut", "train", "cut"]
    assert [layer["name"] for layer in card["layers"]] == ["stages.0.0.weight", "stages.1.0.weight", "head.weight"]
    assert sum(layer["kept"] for layer in card["layers"]) == 296
    text = run("show", made / "winner.ticket").out
    for part in ("cut(trained=train:", "296 of 464", "stage 0", "head.weight", "lineage", "--replay"):
        assert part in text
    trained = run("show", made / "winner.trained", "--json").json
    assert trained["scores"]["test_accuracy"] > 0 and trained["lineage"][-1]["call"].startswith("train(")
    assert "test accuracy" in run("show", made / "winner.trained").out


def test_verify(run: Run, made: pathlib.Path):
    answer = run("verify", made / "winner.ticket", "--store", made / "runs", "--json")
    assert answer.code == 0 and answer.json["ok"] is True
    assert {"name", "ok", "detail"} <= set(answer.json["checks"][0])
    assert any(check["name"].startswith("rewound") for check in answer.json["checks"])
    several = run("verify", made / "winner.ticket", made / "alive.ticket", made / "winner.trained")
    assert several.code == 0 and several.out.count(": sound") == 3
    assert "0 of 2 cuts" in run("verify", made / "winner.ticket", "--store", "nowhere").out


def test_verify_finds_damage(run: Run, made: pathlib.Path):
    data = bytearray((made / "winner.ticket").read_bytes())
    data[-1] ^= 1
    pathlib.Path("bad.ticket").write_bytes(data)
    answer = run("verify", made / "winner.ticket", "bad.ticket", "--json")
    assert answer.code == 1 and answer.json["ok"] is False
    assert {check["file"] for check in answer.json["checks"] if not check["ok"]} == {"bad.ticket"}
    text = run("verify", made / "winner.ticket", "bad.ticket")
    assert text.code == 1 and "bad.ticket: NOT sound" in text.out and "winner.ticket: sound" in text.out


def test_verify_by_replay(run: Run, made: pathlib.Path):
    answer = run("verify", made / "winner.ticket", "--replay", "--json")
    assert answer.code == 0
    assert len([check for check in answer.json["checks"] if check["name"].startswith("replay")]) == 5


def test_carry(run: Run, made: pathlib.Path):
    answer = run("carry", made / "winner.ticket", "shuffle(seed=1)", "--out", "dust.ticket", "--json")
    assert answer.code == 0
    dust = Ticket.load("dust.ticket")
    assert answer.json == {"out": "dust.ticket", "key": dust.key, "density": 296 / 464, "kept": 296, "size": 464}
    assert dust.lineage.last.call.endswith("by=shuffle(seed=1))")
    assert run("verify", "dust.ticket", made / "winner.ticket", "--store", made / "runs").code == 0
    assert "by reinit()" in run("carry", made / "winner.ticket", "reinit", "--out", "dust.ticket").out


def test_what_begins_anew_is_planned_as_new(run: Run, made: pathlib.Path):
    copied = "stretch(to=mlp(hidden=(6, 6, 6, 5)), fresh=('stages.0.1', 'stages.0.2', 'stages.1.0', 'head'))"
    told = [line.split() for line in run("plan-move", made / "winner.ticket", copied).out.splitlines()]
    rows = {" ".join(line[:2]): line for line in told if line[:1] in (["stage"], ["head"])}
    assert rows["stage 1"][2:8] == ["1", "->", "3", "0", "new", "new"]
    assert rows["stage 2"][2:4] == ["1", "new"] and rows["head new"]
    deeper = "stretch(to=mlp(hidden=(6, 6, 5)), fresh=('stages.0.1',))"
    assert run("carry", made / "winner.ticket", deeper, "--out", "deep.ticket").code == 0
    plan = run("plan-move", "deep.ticket", "stretch(to=mlp(hidden=(6, 6, 6, 5)), fresh=('stages.0.2',))", "--json").json
    assert [place["sources"] for place in plan["places"]] == [[], [1, None], [], []]


def test_a_stretched_ticket_is_planned_carried_proved_and_searched_on(run: Run, made: pathlib.Path):
    move = "stretch(to=mlp(hidden=(6, 6, 5)), fresh=('stages.0.1',))"
    plan = run("plan-move", made / "winner.ticket", move, "--json").json
    assert plan["before"] == {
        "arch": "mlp(hidden=(6, 5))",
        "density": 296 / 464,
        "parameters": 485,
        "size": 464,
        "kept": 296,
        "flops_dense": 928.0,
        "flops_sparse": 592.0,
    }
    assert (plan["after"]["parameters"], plan["after"]["size"], plan["after"]["kept"]) == (527, 500, 332)
    assert plan["parts"] == {"stages.0.0": "stages.0.0", "stages.0.1": "", "stages.1.0": "stages.1.0", "head": "head"}
    assert plan["fresh"] == ["stages.0.1"] and [place["place"] for place in plan["places"]][1] == "stage 1"
    assert plan["places"][1]["sources"] == [None]
    told = " ".join(run("plan-move", made / "winner.ticket", move).out.split())
    assert "0 blocks are dropped. Masks and weights come along" in told
    for option, sentence in (
        ("copies='permuted'", "Masks of further copies are permuted within each tensor. New and dense"),
        ("copies='fresh'", "on weights that are drawn anew"),
        ("noise=0.1", "Noise of 0.1 standard deviations is added"),
        ("values='masked'", "Survivors alone are carried; what was dead is zero."),
        ("carried='mask'", "Masks come along; all weights are drawn anew."),
    ):
        assert sentence in run("plan-move", made / "winner.ticket", move.replace(", fresh", f", {option}, fresh")).out
    assert "stage 1 1 -> 2 0 new" in told and "New and dense: stages.0.1." in told and "332 500" in told
    assert not pathlib.Path("runs").exists()

    carried = run("carry", made / "winner.ticket", move, "--out", "deep.ticket", "--json").json
    assert carried["kept"] == plan["after"]["kept"]
    checks = run("verify", "deep.ticket", "--store", made / "runs", "--json").json["checks"]
    assert [check["detail"] for check in checks if check["name"].startswith("carried")] == [
        "6 of 8 tensors are where the map says; made otherwise, by the move's options: stages.0.1.weight and 1 more"
    ]
    lost = complaint(run("find", "--start", "deep.ticket", "--levels", "1", "--out", "deep.ticket"), 2)
    assert "--out deep.ticket is the ticket that is given; it would be lost" in lost
    found = run("find", "--start", "deep.ticket", "--levels", "1", "--out", "next.ticket", "--json").json["tickets"]
    assert [(one["level"], one["kept"]) for one in found] == [(2, 332), (3, 265)]
    assert verify("next.ticket", parents=["deep.ticket"]).ok


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan-move", "winner", "shuffle"), "shuffle() exchanges no blocks. plan-move is for stretch(to=...)"),
        (
            ("plan-move", "winner", "stretch(to=mlp(hidden=(6, 6, 5)))"),
            "leaves stages.0.1 of mlp(hidden=(6, 6, 5)) unfil",
        ),
        (("plan-move", "winner", "stretch(to=resnet(depth=20))"), "another family"),
        (("plan-move", "winner", "stretch"), 'stretch needs to: write "stretch(to=...)"'),
        (
            ("carry", "winner", "stretch(to=mlp(hidden=(7, 5)))", "--out", "a"),
            "'stages.0.0.weight' of mlp(hidden=(6, 5)) is",
        ),
        (
            ("find", "vgg", "--start", "winner"),
            "is a ticket of mlp(hidden=(6, 5)), and vgg is asked for. Leave it out.",
        ),
    ],
)
def test_what_cannot_be_stretched(run: Run, made: pathlib.Path, words: tuple[str, ...], message: str):
    words = tuple(str(made / "winner.ticket") if word == "winner" else word for word in words)
    assert message in complaint(run(*words), 2)
    assert not pathlib.Path("a").exists()


def test_train(run: Run, made: pathlib.Path):
    words = ("train", made / "winner.ticket", "--seed", "2", "--out", "a.trained")
    answer = run(*words, "--json")
    assert answer.code == 0
    result = answer.json
    assert {"test_accuracy", "test_loss", "density", "seconds", "steps", "checks"} <= set(result)
    assert (result["density"], result["steps"], result["out"]) == (296 / 464, 10, "a.trained")
    assert Trained.load("a.trained").key == result["key"]
    assert run("verify", "a.trained", made / "winner.ticket").code == 0
    assert "3 of 3 checks passed" in run(*words).out
    longer = run("train", made / "winner.ticket", "--recipe", "recipe(steps=12, evaluate=12)", "--json")
    assert longer.json["steps"] == 12 and longer.json["validation_accuracy"] > 0


def test_list(run: Run):
    text = run("list")
    assert text.code == 0
    for kind in catalogue.kinds():
        if kind not in cli.INTERNAL:
            assert re.search(rf"^{kind}\b", text.out, re.MULTILINE)
            assert [entry["name"] for entry in run("list", kind, "--json").json[kind]] == catalogue.names(kind)
    assert "shuffle(seed=0, of='mask'," in run("list", "move").out
    assert set(run("list", "--json").json) == {*catalogue.kinds(), "probe", "study"} - cli.INTERNAL


@pytest.mark.parametrize(
    ("kind", "name", "said", "setting"),
    [
        ("criterion", "snip", "|gradient x weight| before training", ("mode", "'train'")),
        ("probe", "sharpness", "radius: Of the ball, in weights", ("trained", "must be given")),
        ("study", "elastic_fc", "table 5 of Chen et al. 2021", ("levels", "10")),
    ],
)
def test_list_tells_all_of_one(run: Run, kind: str, name: str, said: str, setting: tuple[str, str]):
    told = run("list", kind, name).out
    assert said in told and ">>>" not in told and "Raises:" not in told
    assert any(tuple(part.strip() for part in line.split("  ", 1)) == setting for line in told.splitlines())
    (entry,) = run("list", kind, name, "--json").json[kind]
    assert entry["name"] == name and entry["text"] in told


def test_list_names_the_shipped_studies(run: Run):
    told = " ".join(run("list").out.split())
    stable = "stability_conv4", "stability_lenet", "stability_resnet20"
    names = ("elastic_cifar", "elastic_fc", "elastic_transfer", "lenet_mnist", "quickstart", "rivals", "shift_images")
    assert f"study {', '.join((*names, 'shift_reviews', *stable))} task" in told
    text = run("list", "study").out
    assert "quickstart(levels=10, keep=0.65," in text and "A winning ticket on digits" in text
    for entry in run("list", "study", "--json").json["study"]:
        module = importlib.import_module(entry["module"])
        assert entry["summary"] == (module.__doc__ or "").splitlines()[0]
        settings = inspect.signature(module.goals).parameters
        assert dict(entry["fields"]) == {name: repr(one.default) for name, one in settings.items()}
    assert "no kind of plug-in called 'studies'. Did you mean 'study'?" in complaint(run("list", "studies"), 2)


def test_data(run: Run):
    rows = {row["task"]: row for row in run("data", "--json").json["data"]}
    assert rows["digits"]["where"] == "built in" and rows["cifar10"]["hub_id"] == "uoft-cs/cifar10"
    (row,) = run("data", "digits", "--json").json["data"]
    assert row["checked"] is True and (row["train"], row["test"]) == (1437, 360)
    text = run("data")
    assert text.code == 0 and "digits" in text.out and "tombola data NAME" in text.out


def test_doctor(run: Run, made: pathlib.Path):
    answer = run("doctor", "--store", made / "runs", "--json")
    assert answer.code == 0 and set(answer.json) == {"ok", "findings"}
    found = {finding["name"]: finding for finding in answer.json["findings"]}
    assert {"python", "torch", "safetensors", "store", "disk", "data: digits"} <= set(found)
    assert "6 finished calls" in found["store"]["detail"]
    pathlib.Path("bad").mkdir()
    pathlib.Path("bad/store.json").write_text('{"version": 99}')
    sick = run("doctor", "--store", "bad", "--json")
    assert sick.code == 1
    assert "store of version 99" in next(f["detail"] for f in sick.json["findings"] if f["name"] == "store")
    assert re.search(r"FAILED +store", run("doctor", "--store", "bad").out)


# Mistakes.


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("find", "mpl"), 2, "no arch called 'mpl'. Did you mean 'mlp'? Known: conv, "),
        (("find", "mlp", "digit"), 2, "no task called 'digit'. Did you mean 'digits'?"),
        (("find", "digits"), 2, "no arch called 'digits'"),
        (("find", "mlp(hiden=(3,))"), 2, "no field of mlp called 'hiden'. Did you mean 'hidden'? Known: hidden, init."),
        (("find", "mlp(hidden=3)"), 2, "mlp: field 'hidden' is 3"),
        (("find", "mlp(hidden=(0,))"), 2, "a width in 'hidden' is 0"),
        (("find", "mlp((3,))"), 2, "gives a value without its field"),
        (("find", "mlp("), 2, "cannot read 'mlp('"),
        (("find", "mlp[3]"), 2, "does not name a plug-in"),
        (("find", "--criterion", "magntude"), 2, "no criterion called 'magntude'. Did you mean 'magnitude'?"),
        (
            ("find", "--scope", "everywhere(rounding='up')"),
            2,
            "everywhere: field 'rounding' is 'up'. It must be one of",
        ),
        ((*FIND, "--scope", "everywhere(exclude=('fc.*',))"), 2, "exclude: 'fc.*' matches no tensor. There are: "),
        ((*FIND, "--scope", "per_layer(halved=('fc.*',))"), 2, "halved: 'fc.*' matches no tensor. There are: "),
        (("find", "--recipe", "recipe(stesp=3)"), 2, "no field of recipe called 'stesp'. Did you mean 'steps'?"),
        (("find", "--recipe", "recipe(steps=0)"), 2, "a training of 0 steps"),
        (("find", "--recipe", "recipe(steps='3 epochs')"), 2, "recipe: field 'steps' is '3 epochs'"),
        (("find", "--recipe", "recipe(steps=10, rewind=10)"), 2, "the rewind point, step 10, is not before the end"),
        (("find", "--recipe", "recipe(batch=5000)"), 2, "a batch of 5000 from digits(), which has"),
        (("find", "--recipe", "recipe(optimizer=constant())"), 2, "recipe: field 'optimizer' is constant()"),
        (("find", "--levels", "-1"), 2, "--levels is -1. It is the number of cuts, 0 or more."),
        (("find", "--levels", "0", "--densities", "0.5"), 2, "Each density is a cut by itself: leave --levels out."),
        (
            ("find", "mlp(hidden=(2,))", "--levels", "60", "--keep", "0.5"),
            2,
            "the cut to level 8 would leave no weight: ask for 7 levels at most.",
        ),
        (
            ("find", "--criterion", "rigl"),
            2,
            "no criterion called 'rigl': that is of the kind rewire. See: tombola list criterion.",
        ),
        (("find", "--keep", "0"), 2, "keep is 0.0. It is the fraction of the living weights"),
        (("find", "--keep", "1.2"), 2, "keep is 1.2."),
        (("find", "--restart", "rewind"), 2, "--restart is 'rewind'. It is weights or rate or fine-tune."),
        ((*FIND[:-2], "--densities", "0.5", "0.9"), 2, "Pruning cannot revive weights"),
        (("find", "--machine", "machine(device='abacus')"), 2, "--machine: device 'abacus' cannot be used"),
        (("find", "--machine", "machine(device='meta')"), 2, "--machine: device 'meta' cannot be used"),
        (("find", "--machine", "machine(threads=0)"), 2, "machine: field 'threads' is 0. It is 1 or more."),
        (("find", "--machine", "mashine"), 2, "no machine called 'mashine'. Did you mean 'machine'?"),
        (("find", "--use", "nowhere.py"), 2, "no file "),
        (("show", "nowhere.ticket"), 1, "cannot read nowhere.ticket: No such file or directory."),
        (("show", "."), 1, "cannot read .: Is a directory."),
        (("verify",), 2, "verify needs a file: tombola verify winner.ticket"),
        (("carry", "nowhere.ticket", "shuffle", "--out", "a"), 1, "cannot read nowhere.ticket"),
        (("carry", "nowhere.ticket", "shufle", "--out", "a"), 2, "no move called 'shufle'. Did you mean 'shuffle'?"),
        (("train", "nowhere.ticket"), 1, "cannot read nowhere.ticket"),
        (("list", "archs"), 2, "no kind of plug-in called 'archs'. Did you mean 'arch'?"),
        (("list", "criterion", "snap"), 2, "no criterion called 'snap'. Did you mean 'snip'?"),
        (("data", "minst"), 2, "no task called 'minst'. Did you mean 'mnist'?"),
    ],
    ids=lambda value: " ".join(value)[-50:] if isinstance(value, tuple) else None,
)
def test_a_mistake_gets_one_clear_message(run: Run, words: tuple[str, ...], code: int, message: str):
    assert message in complaint(run(*words), code)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("fnd",),
        ("find", "--levels", "many"),
        ("find", "--levles", "3"),
        ("show",),
        ("carry", "a.ticket", "shuffle"),
    ],
    ids=" ".join,
)
def test_words_that_are_no_command_are_answered(run: Run, words: tuple[str, ...]):
    answer = run(*words)
    assert answer.code == 2 and answer.out == ""
    assert "--help" in answer.err


def test_help_is_on_standard_output(run: Run):
    answer = run("--help")
    assert answer.code == 0 and answer.err == ""
    for command in ("find", "show", "verify", "carry", "train", "plan", "run", "report", "mirror", "list", "doctor"):
        assert command in answer.out
    assert "--levels" in run("find", "--help").out


def test_a_file_that_is_no_ticket(run: Run, made: pathlib.Path):
    pathlib.Path("notes.ticket").write_text("these are my notes")
    for words in (
        ("show", "notes.ticket"),
        ("train", "notes.ticket"),
        ("carry", "notes.ticket", "shuffle", "--out", "a"),
    ):
        assert "notes.ticket is no ticket file" in complaint(run(*words), 1)
    assert "holds 'trained', not a ticket" in complaint(run("train", made / "winner.trained"), 1)


def test_a_damaged_ticket(run: Run, made: pathlib.Path):
    data = bytearray((made / "winner.ticket").read_bytes())
    data[-1] ^= 1
    pathlib.Path("bad.ticket").write_bytes(data)
    for words in (("show", "bad.ticket"), ("train", "bad.ticket"), ("carry", "bad.ticket", "shuffle", "--out", "a")):
        assert "bad.ticket is damaged: its content does not match the digest" in complaint(run(*words), 1)
    assert not pathlib.Path("a").exists()


def test_a_ticket_for_another_task(run: Run, made: pathlib.Path):
    message = complaint(run("train", made / "winner.ticket", "--task", "mnist"), 2)
    assert "mnist() needs interface(inputs=(1, 28, 28), classes=10)" in message


def test_a_ticket_that_does_not_say_how_to_train(run: Run, made: pathlib.Path):
    Ticket.load(made / "winner.ticket").rebuilt(recipe="").save("bare.ticket")
    assert "does not say on what and how to train: give --task and --recipe" in complaint(
        run("train", "bare.ticket"), 2
    )


def test_survivors_alone_cannot_be_shuffled(run: Run, made: pathlib.Path):
    message = complaint(run("carry", made / "alive.ticket", "shuffle", "--out", "a.ticket"), 2)
    assert "holds its survivors only" in message and not pathlib.Path("a.ticket").exists()


@pytest.mark.parametrize("out", ["/proc/nowhere/a.ticket", "file/a.ticket", "folder"])
def test_a_place_that_cannot_be_written_is_found_before_the_training(run: Run, made: pathlib.Path, out: str):
    pathlib.Path("file").write_text("")
    pathlib.Path("folder").mkdir()
    for words in (FIND, ("train", made / "winner.ticket"), ("carry", made / "winner.ticket", "shuffle")):
        assert f"cannot write {out}" in complaint(run(*words, "--out", out), 1)
    assert not pathlib.Path("runs").exists()


ROUGH, RIGL = "quickstart(precision=bfloat16)", "quickstart(rewire=rigl())"


@pytest.mark.parametrize(
    "words",
    [
        ("--keep", "0"),
        ("--restart", "x"),
        ("--moment", "x"),
        ("--machine", "machine(threads=0)"),
        ("--scope", "nm(m=7)"),
        ("--criterion", "obd", "--recipe", ROUGH),
        ("--levels", "0", "--recipe", RIGL),
        ("--levels", "1", "--recipe", "quickstart(rewire=gradual())"),
        ("--criterion", "snip", "--restart", "rate"),
    ],
    ids=" ".join,
)
def test_what_can_be_known_is_refused_before_the_training(run: Run, words: tuple[str, str]):
    complaint(run(*FIND, *words), 2)
    assert not pathlib.Path("runs").exists()


def test_a_method_that_prunes_by_itself_takes_no_densities(run: Run):
    message = complaint(run("find", "--densities", "0.5", "--recipe", "quickstart(rewire=dpf())"), 2)
    assert "dpf() prunes inside the training: ask for no further level" in message


def test_a_store_that_cannot_be_written(run: Run):
    pathlib.Path("file").write_text("")
    assert "cannot write the store file: " in complaint(run(*FIND, "--store", "file"), 1)


@pytest.mark.parametrize(("marker", "code"), [("garbage", 1), ("[]", 1), ('{"version": 99}', 2)])
def test_a_store_that_is_none(run: Run, marker: str, code: int):
    pathlib.Path("runs").mkdir()
    pathlib.Path("runs/store.json").write_text(marker)
    assert "runs" in complaint(run(*FIND), code)


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_a_training_that_diverges(run: Run, steps: int):
    recipe = f"recipe(steps={steps}, batch=60, evaluate=10, optimizer=sgd(lr=1e38))"
    answer = run("find", "mlp(hidden=(6,))", "digits", "--recipe", recipe, "--json")
    message = complaint(answer, 1)
    assert "the loss is no longer finite" in message and "Lower the rate" in message


def test_no_data_and_no_network(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    hub, sources = importlib.import_module("datasets.config"), importlib.import_module("tombola.tasks.sources")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(sources, "_hub_cache", lambda: tmp_path)
    monkeypatch.setenv("TOMBOLA_CACHE", str(tmp_path / "cache"))
    message = complaint(run("find", "mlp", "cifar100", "--levels", "1"), 2)
    assert str(tmp_path / "data" / "cifar100") in message and "uoft-cs/cifar100" in message
    assert "use the task 'digits'" in message
    assert message in complaint(run("data", "cifar100"), 1)


# Full disks.


def test_a_full_disk_under_the_store(run: Run, monkeypatch: pytest.MonkeyPatch):
    shelf = importlib.import_module("tombola.study.shelf")
    real = shelf.write

    def full(path: pathlib.Path, data: bytes) -> None:
        if path.name == "record.json" and b"train(" in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "write", full)
        message = complaint(run(*FIND, "--json"), 1)
    assert "No space left on device. Free space there or name another store (--store)" in message
    assert [key.split(":")[0] for key in Store("runs").keys()] == ["draw"]
    assert not list(pathlib.Path("runs/tmp").iterdir())
    assert run(*FIND, "--json").code == 0


def test_a_full_disk_under_the_result(run: Run, made: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    pathlib.Path("a.ticket").write_text("older")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = complaint(run("carry", made / "winner.ticket", "shuffle", "--out", "a.ticket"), 1)
    assert "cannot write a.ticket: No space left on device" in message
    assert [path.name for path in pathlib.Path().glob("*a.ticket*")] == ["a.ticket"]
    assert pathlib.Path("a.ticket").read_text() == "older"


# Plug-ins of one's own.


def test_a_file_that_holds_no_plugins(run: Run, made: pathlib.Path):
    pathlib.Path("broken.py").write_text("x = 1\nx = = 3\n")
    assert "broken.py, line 2: invalid syntax. --use takes a Python file." in complaint(
        run("list", "--use", "broken.py"), 2
    )
    assert "winner.ticket is none by its name" in complaint(run("list", "--use", made / "winner.ticket"), 2)


OWN = '''
"""Mine."""
from tombola.archs.mlp import Mlp
from tombola.core.plugin import plugin
from tombola.tasks.digits import Digits

@plugin("arch", "my_net")
class MyNet(Mlp):
    """A network [/of] mine."""
    hidden: tuple[int, ...] = (6, 5)

@plugin("task", "my_digits")
class MyDigits(Digits):
    """Digits of mine."""
'''


def test_plugins_of_a_file_of_ones_own(run: Run, forget_plugins: None):
    pathlib.Path("own.py").write_text(OWN)
    words = ("find", "my_net(hidden=(7,))", "my_digits", "--levels", "1", "--recipe", RECIPE, "--out", "a.ticket")
    answer = run(*words, "--use", "own.py", "--json")
    assert answer.code == 0 and len(answer.json["tickets"]) == 2
    assert run("verify", "a.ticket", "--replay", "--use", "own.py").code == 0
    assert "A network [/of] mine." in run("list", "arch", "--use", "own.py").out
    for name in ("my_net", "my_digits"):
        del plugin.LOADED["arch" if name == "my_net" else "task", name]
    assert "no arch called 'my_net'" in complaint(run("show", "a.ticket"), 1)
    assert "no arch called 'my_net'" in complaint(run(*words), 2)


# Processes of their own.


def environment(folder: pathlib.Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOMBOLA_DATA": str(folder)}


def test_ctrl_c_stops_and_the_same_command_goes_on(run: Run, tmp_path: pathlib.Path):
    words = ["find", "mlp(hidden=(6, 5))", "digits", "--recipe", "recipe(steps=400, batch=60)"]
    process = subprocess.Popen(
        [*PROGRAM, *words, "--keep", "0.999", "--levels", "300"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # A shell's background jobs ignore it.
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("level 1"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "tombola: stopped. What was finished is kept: give the same command to go on." in err
    assert "Traceback" not in err and out == ""

    store = Store("runs")
    finished = store.keys()
    assert len(finished) >= 4
    for key in finished:
        assert verify(store.load(key, Trained if key.startswith("train:") else Ticket), store=store).ok
    written = {
        key: (pathlib.Path("runs") / key.replace(":", "/") / "record.json").stat().st_mtime_ns for key in finished
    }
    rows = run(*words, "--keep", "0.999", "--levels", "3", "--json").json["tickets"]
    assert [row["level"] for row in rows] == [0, 1, 2, 3]
    assert {rows[i][kind] for i in (0, 1) for kind in ("ticket", "trained")} <= set(finished)
    for key, time in written.items():
        assert (pathlib.Path("runs") / key.replace(":", "/") / "record.json").stat().st_mtime_ns == time


def test_help_lists_and_mistakes_do_not_wait_for_torch(tmp_path: pathlib.Path):
    program = """
import contextlib, io, json, sys
from tombola.cli import main
codes = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(words)
        except SystemExit as stop:
            codes.append(stop.code or 0)
    heavy = {"torch", "numpy", "datasets", "sklearn", "scipy"} & set(sys.modules)
    assert not heavy, (words, heavy)
print(codes)
"""
    words = [
        *(["--help"], ["find", "--help"], ["list"], ["list", "study"], ["list", "--json"]),
        *(
            [],
            ["fnd"],
            ["find", "--levels", "x"],
            ["find", "mpl"],
            ["find", "mlp", "digits", "--recipe", "recipe(x=1)"],
        ),
        *(["verify"], ["carry", "a.ticket", "shufle", "--out", "b.ticket"], ["train", "a", "--task", "minst"]),
        *(["list", "archs"], ["data", "minst"], ["find", "--use", "nowhere.py"], ["run", "--mirror", "wanb"]),
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(words)], capture_output=True, text=True, env=environment(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0] * 5 + [2] * 12


@pytest.mark.parametrize("words", [("list",), ("--help",), ("list", "--json")], ids=" ".join)
def test_a_reader_that_has_had_enough(tmp_path: pathlib.Path, words: tuple[str, ...]):
    """`tombola list | head -1`: nobody reads what is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*PROGRAM, *words], stdout=writing, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


# What newcomers stumbled over.


@pytest.mark.parametrize(
    "words", [("carry", "w.ticket", "shuffle"), ("train", "w.ticket"), ("find", "--start=w.ticket")]
)
def test_nothing_is_written_over_what_it_is_made_of(run: Run, made: pathlib.Path, words: tuple[str, ...]):
    ticket, own = pathlib.Path("w.ticket"), pathlib.Path(f"own_{words[0]}.py")  # A name is used once.
    ticket.write_bytes((made / "winner.ticket").read_bytes())
    own.write_text("")
    assert "--out ./w.ticket is the ticket that is given; it" in complaint(run(*words, "--out", "./w.ticket"), 2)
    assert f"{own} is the --use that is given" in complaint(run(*words, "--use", own, "--out", own), 2)
    assert ticket.read_bytes() == (made / "winner.ticket").read_bytes() and not own.read_text()


def test_a_command_that_is_named_can_be_given(run: Run, made: pathlib.Path):
    pathlib.Path("my winner.ticket").write_bytes((made / "winner.ticket").read_bytes())
    assert 'tombola verify "my winner.ticket" --replay' in run("show", "my winner.ticket").out
    move = "stretch(to=mlp(hidden=(6, 6, 5)), fresh=('stages.0.1',))"
    told = " ".join(run("plan-move", "my winner.ticket", move).out.split())
    assert f'tombola carry "my winner.ticket" "{move}" --out FILE.ticket' in told


def test_a_carried_ticket_says_by_what(run: Run, made: pathlib.Path):
    run("carry", made / "winner.ticket", "shuffle(seed=1)", "--out", "dust.ticket")
    assert "by shuffle(seed=1))" in run("train", "dust.ticket").out
    assert ", by " not in run("show", made / "winner.ticket").out.splitlines()[0]


def test_a_file_that_is_not_there_is_no_damage(run: Run):
    assert "there is no file nowhere.ticket" in complaint(run("verify", "nowhere.ticket"), 2)


def test_a_forgotten_use_is_named(run: Run, forget_plugins: None):
    pathlib.Path("own.py").write_text(OWN)
    words = ("find", "my_net(hidden=(7,))", "my_digits", "--levels", "0", "--recipe", RECIPE, "--out", "a.ticket")
    assert run(*words, "--use", "own.py").code == 0
    del plugin.LOADED["arch", "my_net"]
    assert "--use FILE.py" in complaint(run("show", "a.ticket"), 1)
