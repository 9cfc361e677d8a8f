import copy
import dataclasses
import hashlib
import importlib
import itertools
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tombola.core import files
from tombola.core.call import Call
from tombola.core.errors import Damaged, Failed, Refused
from tombola.core.layout import Interface, initial_weights, shapes
from tombola.core.lineage import Lineage
from tombola.core.mask import Mask
from tombola.core.seeds import Seeds, numbers
from tombola.core.text import parse
from tombola.core.ticket import Ticket

verify = importlib.import_module("tombola.verify").verify

Apart = Callable[[Ticket], tuple[dict[str, Any], dict[str, Tensor]]]
Forge = Callable[..., bytes]


def same(a: Ticket, b: Ticket) -> bool:
    """Equal in every field, to the bit."""
    weights = list(a.weights) == list(b.weights) and all(
        a.weights[n].dtype == b.weights[n].dtype and a.weights[n].equal(b.weights[n]) for n in a.weights
    )
    rest = [f.name for f in dataclasses.fields(Ticket) if f.name != "weights"]
    return weights and all(getattr(a, name) == getattr(b, name) for name in rest)


def test_golden_file(bare: Ticket):
    """The format, byte for byte. If this changes, the format has: give it another version and read the old one too."""
    assert (
        hashlib.sha256(bare.encoded()).hexdigest() == "11c842c38e24611d20d11e06ff64b96d86581d44b22edd3ff15b5dec6f58476b"
    )
    assert bare.digest == "0474b30ccb6cefc7077fa4275a3176dc"
    alive = bare.rebuilt(weights=bare.masked(), holding="alive")
    assert (
        hashlib.sha256(alive.encoded()).hexdigest()
        == "750e5582a09d303a6b44211f9cc8fbe65a1da8fed88ca051548fdd086cac5ca1"
    )
    assert alive.digest == "c3526b64fac9bdc2c3043f507ff8eafe"


def test_round_trip(bare: Ticket, whole: Ticket, tmp_path: pathlib.Path):
    path = tmp_path / "a.ticket"
    for ticket in (
        bare,
        whole,
        whole.alive(),
        bare.rebuilt(step=7, restart="rate", task="", recipe="", data=""),
        bare.rebuilt(weights={n: v.to(torch.bfloat16) for n, v in bare.weights.items()}),
        bare.rebuilt(mask=Mask.dense(bare.mask.shapes)),
        bare.rebuilt(mask=~Mask.dense(bare.mask.shapes)).alive(),
        bare.rebuilt(mask=Mask({})).alive(),
        bare.rebuilt(task="hub(id='né/\"quoted\"')"),
    ):
        ticket.save(path)
        back = Ticket.load(path)
        assert same(back, ticket)
        assert (back.digest, back.key, back.encoded()) == (ticket.digest, ticket.key, path.read_bytes())
    assert [p.name for p in tmp_path.iterdir()] == ["a.ticket"]


def test_networks_with_statistics_come_back(tmp_path: pathlib.Path):
    arch, io = parse("arch", "resnet(depth=8, width=2)"), Interface(inputs=(3, 8, 8), classes=2)
    weights = initial_weights(arch, io, "init", 0)
    weights["stem.bn.running_mean"] += 0.5
    weights["stem.bn.num_batches_tracked"] += 7
    dense = Mask.dense({name: tuple(weights[name].shape) for name in arch.layout().prunable})
    ticket = Ticket(arch=arch, io=io, mask=dense, weights=weights)
    for each in (ticket, ticket.alive()):
        each.save(tmp_path / "a.ticket")
        assert same(Ticket.load(tmp_path / "a.ticket"), each)
        assert each.module().state_dict()["stem.bn.num_batches_tracked"] == 7


def test_equal_tickets_have_equal_bytes(bare: Ticket):
    other = Ticket(
        arch=parse("arch", "mlp(hidden=[2], init=kaiming_uniform)"),
        io=Interface(inputs=(3,), classes=2),
        mask=Mask({name: value.clone() for name, value in bare.mask.items()}),
        weights={n: bare.weights[n].t().contiguous().t() for n in reversed(bare.weights)},
        recipe=bare.recipe, task=bare.task, data=bare.data,
    )  # fmt: skip
    assert other.encoded() == bare.encoded() and other.digest == bare.digest


def changed(ticket: Ticket) -> Iterator[tuple[str, Ticket]]:
    """The ticket, altered by hand in every way there is."""
    flipped = {n: value.clone() for n, value in ticket.mask.items()}
    flipped["head.weight"][0, 0] ^= True
    nudged = dict(ticket.weights)
    nudged["head.bias"] = torch.nextafter(nudged["head.bias"], torch.tensor(9.0))
    dead = {n: value.clone() for n, value in ticket.weights.items()}
    dead["head.weight"][~ticket.mask["head.weight"]] += 1
    signed = dict(ticket.weights)
    signed["head.bias"] = signed["head.bias"] * 0
    minus = dict(signed)
    minus["head.bias"] = signed["head.bias"] * -1
    yield "mask", ticket.rebuilt(mask=Mask(flipped))
    yield "weights", ticket.rebuilt(weights=nudged)
    yield "dead weights", ticket.rebuilt(weights=dead)
    yield "zeros", ticket.rebuilt(weights=signed)
    yield "minus zeros", ticket.rebuilt(weights=minus)
    yield "type", ticket.rebuilt(weights={**ticket.weights, "head.bias": ticket.weights["head.bias"].double()})
    yield "arch", ticket.rebuilt(arch=parse("arch", "mlp(hidden=(2,), init=torch_default)"))
    yield "step", ticket.rebuilt(step=ticket.step + 1)
    yield "restart", ticket.rebuilt(restart="rate")
    yield "holding", ticket.rebuilt(holding="alive", weights=ticket.masked())
    for name in ("task", "recipe", "data"):
        yield name, ticket.rebuilt(**{name: "other"})


def test_what_is_changed_by_hand_never_keeps_its_key(whole: Ticket):
    keys = {whole.key}
    assert whole.key == whole.lineage.last.key
    for what, other in changed(whole):
        assert other.key == f"ticket:{other.digest[:16]}", what
        assert other.key not in keys, what
        keys.add(other.key)
        assert not verify(other).ok, what


def test_the_lineage_is_no_part_of_the_content(whole: Ticket):
    assert whole.rebuilt(lineage=Lineage()).digest == whole.digest
    assert whole.rebuilt(lineage=Lineage()).key == f"ticket:{whole.digest[:16]}"
    assert whole.rebuilt(lineage=Lineage()).encoded() != whole.encoded()


def test_what_it_says_of_itself(whole: Ticket, bare: Ticket):
    assert (whole.level, bare.level, bare.density) == (1, 0, 0.6)
    assert repr(bare) == "Ticket(mlp(hidden=(2,)) on digits(), level 0, density 0.6)"
    assert [event.function for event in whole.lineage] == ["draw", "train", "cut"]
    assert verify(whole).ok


def test_a_move_is_written_down(bare: Ticket):
    move = parse("move", "reinit(seed=3)")
    moved = bare | move
    assert moved.lineage.last.call == f"carry(ticket={bare.key}, by=reinit(seed=3))"
    assert moved.key == moved.lineage.last.key == Call("carry", 1, {"ticket": bare, "by": move}).key
    assert (moved | move).lineage.last.call == f"carry(ticket={moved.key}, by=reinit(seed=3))"


def test_survivors_only(whole: Ticket):
    alive = whole.alive()
    assert alive.holding == "alive" and alive.alive() is alive
    assert all(
        not alive.weights[n][~m].any() and alive.weights[n][m].equal(whole.weights[n][m]) for n, m in whole.mask.items()
    )
    assert alive.lineage.last.call == f"alive(ticket={whole.key})"
    assert len(alive.encoded()) < len(whole.encoded())
    assert whole.needs_all("shuffle") is whole.weights
    with pytest.raises(Refused, match=r"shuffle needs the rewind values under dead positions; Ticket\(.*\) holds its "):
        alive.needs_all("shuffle")
    mixed = whole.rebuilt(weights={**whole.weights, "head.weight": whole.weights["head.weight"].double()})
    with pytest.raises(Refused, match="the masked weights are of several types; a file of survivors needs one."):
        mixed.alive()


def test_the_module_is_plain(whole: Ticket):
    module = whole.module()
    plain = whole.arch.build(whole.io)
    assert type(module) is type(plain)
    assert list(module.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(module.state_dict(), strict=True)
    x = torch.from_numpy(numbers("x").standard_normal((4, 1, 8, 8)).astype("float32"))
    with torch.no_grad():
        expected = module(x)
        assert plain(x).equal(expected)
        assert copy.deepcopy(module)(x).equal(expected)
        assert pickle.loads(pickle.dumps(module))(x).equal(expected)
    state = pickle.loads(pickle.dumps(module.state_dict()))
    for name, mask in whole.mask.items():
        assert not state[name][~mask].any() and state[name][mask].equal(whole.weights[name][mask])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in module.modules())


def test_a_deep_copy_and_a_pickle_of_a_ticket(whole: Ticket):
    for other in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert other.encoded() == whole.encoded() and other.key == whole.key


def test_training_the_module_leaves_the_ticket_alone(whole: Ticket):
    before = whole.encoded()
    module = whole.module()
    module(torch.ones(2, 1, 8, 8)).sum().backward()
    with torch.no_grad():
        for value in module.parameters():
            value.sub_(1.0)
    whole.masked()["head.weight"].fill_(7)
    assert whole.encoded() == before and dataclasses.replace(whole).digest == whole.digest
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.step = 3  # type: ignore[misc]


def test_a_failed_write_leaves_the_old_ticket(
    whole: Ticket, bare: Ticket, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.ticket"
    whole.save(path)
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(Failed, match="cannot write .*a.ticket: No space left on device."):
        bare.save(path)
    assert Ticket.load(path).key == whole.key and [p.name for p in tmp_path.iterdir()] == ["a.ticket"]


# Sizes.


@pytest.fixture(scope="module")
def resnet20() -> Ticket:
    """ResNet-20 for CIFAR-10 with 5 % of its weights alive, after fourteen levels."""
    arch, io = parse("arch", "resnet(depth=20)"), Interface(inputs=(3, 32, 32), classes=10)
    weights = initial_weights(arch, io, "init", 0)
    alive = {
        n: torch.from_numpy(numbers("alive", n).random(tuple(weights[n].shape)) < 0.0499)
        for n in arch.layout().prunable
    }
    recipe = parse("recipe", "recipe(steps=62560, schedule=step(at=(31280, 46920)), rewind=1000)")
    ticket = Ticket(
        arch=arch, io=io, mask=Mask(alive), weights=weights, step=1000, task="cifar10()", recipe=str(recipe),
        data="0" * 32,
    )  # fmt: skip
    task = parse("recipe", "recipe(batch=64)")  # It stands for the task, whose key would read its data.
    drawn = ticket.stamped(Call("draw", 1, {"arch": arch, "task": task, "recipe": recipe, "seeds": Seeds(3)}))
    for _ in range(14):
        trained = drawn.stamped(Call("train", 1, {"ticket": drawn, "task": task, "recipe": recipe, "seeds": Seeds(3)}))
        drawn = trained.stamped(Call("cut", 1, {"trained": trained, "keep": 0.8}))
    assert drawn.level == 14 and drawn.density < 0.05
    return drawn


def test_sizes_of_resnet20(resnet20: Ticket):
    assert len(resnet20.encoded()) < 1_200_000
    assert len(resnet20.alive().encoded()) < 120_000
    assert len(resnet20.mask.packed()) < 40_000
    assert len(resnet20.alive().rebuilt(lineage=Lineage()).encoded()) < 120_000


# Damage.


def refused(data: bytes) -> str:
    """The message of the one error that a damaged file gives."""
    with pytest.raises(Damaged) as caught:
        Ticket.decoded(data, source="a.ticket")
    message = str(caught.value)
    assert message.startswith("a.ticket") and len(message) < 1000, message
    return message


def flips(data: bytes, step: int) -> Iterator[bytes]:
    for bit in range(0, len(data) * 8, step):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        yield bytes(flipped)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 7], ids=["every bit", "every 7th bit"])
@pytest.mark.parametrize("holding", ["all", "alive"])
def test_a_flipped_bit_is_caught(step: int, holding: str, whole: Ticket, tmp_path: pathlib.Path):
    data = (whole if holding == "all" else whole.alive()).encoded()
    path = tmp_path / "a.ticket"
    path.write_bytes(data)
    assert verify(path).ok
    body = 8 + int.from_bytes(data[:8], "little")
    for altered in flips(data, step):
        try:
            Ticket.decoded(altered)
        except Damaged:
            continue
        assert altered[body:] == data[body:]  # No change of a value gets as far as this.
        path.write_bytes(altered)
        assert not verify(path).ok


def test_truncated_anywhere(whole: Ticket):
    data = whole.encoded()
    for length in range(0, len(data), 3):
        refused(data[:length])
    for more in (b"\0", b"\0" * 8, data):
        refused(data + more)


def test_bytes_of_two_tickets_do_not_mix(whole: Ticket, bare: Ticket):
    a, b = whole.encoded(), bare.encoded()
    start = 8 + int.from_bytes(a[:8], "little")
    refused(a[:start] + b[-(len(a) - start) :])


class Pickled:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return pathlib.Path.touch, (pathlib.Path(MARKER),)


MARKER = "a_pickle_was_run"


def test_a_pickle_is_not_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    refused(pickle.dumps(Pickled()))
    torch.save({"weights": torch.ones(3)}, tmp_path / "a.ticket")
    refused((tmp_path / "a.ticket").read_bytes())
    (tmp_path / "b.ticket").write_bytes(pickle.dumps(Pickled()))
    assert not verify(tmp_path / "b.ticket").ok
    assert not pathlib.Path(MARKER).exists()


HUGE = 2**70
OBEYED = "a\x1b[2Jb"
HEADERS: list[tuple[str, dict[str, Any], str]] = [
    ("unknown arch", {"arch": "resnot(depth=20)"}, "no arch called 'resnot'"),
    ("no arch", {"arch": ""}, "cannot read ''"),
    ("arch of another kind", {"arch": "magnitude()"}, "no arch called 'magnitude'"),
    ("arch that is code", {"arch": "__import__('os').system('true')"}, "does not name a plug-in"),
    ("arch of another size", {"arch": "mlp(hidden=(3,))"}, "does not fit mlp"),
    ("terabytes of linear layers", {"arch": "mlp(hidden=(65536,65536,65536))"}, "8,590,"),
    ("terabytes of width", {"arch": f"mlp(hidden=({HUGE},))"}, "65,536"),
    ("terabytes of depth", {"arch": "resnet(depth=20000000)"}, "2,000"),
    ("terabytes of depth and width", {"arch": "vgg(depth=19, width=65536)"}, ""),
    ("many layers", {"arch": f"mlp(hidden=({'1,' * 9000}))"}, "1,000"),
    ("a number of 40,000 bits", {"arch": f"mlp(hidden=(0x{'f' * 10_000},))"}, "bits"),
    ("a long arch", {"arch": "a" * 100_000}, "100,000 characters"),
    ("a deep arch", {"arch": "mlp(hidden=" + "-" * 9_000 + "x)"}, ""),
    ("arch that is no text", {"arch": ["mlp"]}, "the header's 'arch' is not text"),
    ("task that is no text", {"task": None}, "the header's 'task' is not text"),
    ("recipe that is no text", {"recipe": 3}, "the header's 'recipe' is not text"),
    ("data that is no text", {"data": {}}, "the header's 'data' is not text"),
    ("negative step", {"step": -1}, "it starts at step -1"),
    ("broken step", {"step": 0.5}, "it starts at step 0.5"),
    ("step that is a truth", {"step": True}, "it starts at step True"),
    ("endless step", {"step": 10**400}, "it starts at step a int"),
    ("step that is a text", {"step": "1"}, "it starts at step '1'"),
    ("unknown restart", {"restart": "wights"}, "'restart' is 'wights'; it must be one of weights, rate, fine-tune"),
    ("restart that is a list", {"restart": ["rate"]}, "'restart' is a list"),
    ("unknown holding", {"weights": "some"}, "'weights' is 'some'; it must be one of all, alive"),
    ("kept", {"kept": 7}, "the header says kept 7; counted: 6"),
    ("kept that is a float", {"kept": 6.0}, "the header says kept 6.0; counted: 6"),
    ("kept that is endless", {"kept": 10**400}, "the header says kept a int; counted: 6"),
    ("size", {"size": 9}, "the header says size 9; counted: 10"),
    ("level", {"level": 3}, "the header says level 3; counted: 0"),
    ("level that is a truth", {"level": False}, "the header says level False; counted: 0"),
    ("lineage that is a dict", {"lineage": {}}, "the lineage is not a list"),
    ("lineage with a hole", {"lineage": [["a", "b"]]}, "not [call, key, digest]"),
    ("lineage that is deep", {"lineage": [[["a"]]]}, "not [call, key, digest]"),
    ("io that is a list", {"io": [3, 2]}, ""),
    ("io without classes", {"io": {"inputs": [3]}}, "'classes' is missing"),
    ("io without inputs", {"io": {"classes": 3}}, "'inputs' is missing"),
    ("io with text", {"io": {"inputs": "3", "classes": 2}}, "field 'inputs'"),
    ("io with floats", {"io": {"inputs": [3.0], "classes": 2}}, "field 'inputs' is 3.0"),
    ("io with truths", {"io": {"inputs": [3], "classes": True}}, "field 'classes' is True"),
    ("io with a number for a list", {"io": {"inputs": 3, "classes": 2}}, ""),
    ("io that is huge", {"io": {"inputs": [HUGE], "classes": 2}}, "1,180,591,620,717,411,303,424"),
    ("io that is huge together", {"io": {"inputs": [2**31] * 3, "classes": 2}}, "must be between"),
    ("io that is negative", {"io": {"inputs": [-3], "classes": 2}}, "(-3,)"),
    ("io that is empty", {"io": {"inputs": [0], "classes": 2}}, "(0,)"),
    ("io of many axes", {"io": {"inputs": [1] * 10_000, "classes": 2}}, ""),
    ("io with no axis", {"io": {"inputs": [], "classes": 2}}, ""),
    ("no classes", {"io": {"inputs": [3], "classes": 0}}, "classes"),
    ("negative classes", {"io": {"inputs": [3], "classes": -2}}, "classes"),
    ("huge classes", {"io": {"inputs": [3], "classes": HUGE}}, "classes"),
    ("mask that is a number", {"mask": 3}, ""),
    ("mask that is a text", {"mask": "head.weight"}, ""),
    ("mask with half a row", {"mask": [["head.weight"]]}, ""),
    ("mask with a long row", {"mask": [["head.weight", [2, 2], 1]]}, ""),
    ("mask with a number for a shape", {"mask": [["head.weight", 4]]}, ""),
    ("mask with a list for a name", {"mask": [[["head.weight"], [2, 2]]]}, ""),
    ("mask of an unknown tensor", {"mask": [["tail.weight", [2, 2]]]}, "the mask of 'tail.weight' does not fit mlp"),
    ("mask of another shape", {"mask": [["head.weight", [4]]]}, "the mask of 'head.weight' does not fit mlp"),
    ("mask of a huge shape", {"mask": [["head.weight", [2**40, 2**40]]]}, "the mask of 'head.weight' does not fit mlp"),
    ("mask with less", {"mask": [["head.weight", [2, 2]]]}, "2 bytes of mask for 4 weights; 1 are needed"),
    ("mask with one twice", {"mask": [["head.weight", [2, 2]]] * 2}, "a tensor stands twice in the mask"),
    ("rows that are no list", {"rows": {}}, "its rows are not a list"),
    *(
        (f"{name} that a terminal obeys", changes, "with characters that cannot be printed: 'a\\x1b[2Jb'")
        for name, changes in {
            **{name: {name: OBEYED} for name in ("arch", "task", "recipe", "data", "more", OBEYED)},
            "mask": {"mask": [[OBEYED, [2, 2]]]},
            "call": {"lineage": [[OBEYED, "draw:0123456789abcdef", "0"]]},
            "key": {"lineage": [["draw()", OBEYED, "0"]]},
        }.items()
    ),
    ("task of two lines", {"task": "digits()\nsound"}, "cannot be printed: 'digits()\\nsound'"),
]  # fmt: skip


@pytest.mark.parametrize("changes, message", [case[1:] for case in HEADERS], ids=[case[0] for case in HEADERS])
def test_headers_by_someone_who_knows_the_format(
    changes: dict[str, Any], message: str, bare: Ticket, taken_apart: Apart, forged: Forge
):
    header, tensors = taken_apart(bare)
    assert same(Ticket.decoded(forged(header, tensors)), bare)
    assert message in refused(forged({**header, **changes}, tensors))


def test_headers_with_something_missing(bare: Ticket, taken_apart: Apart, forged: Forge):
    header, tensors = taken_apart(bare)
    for name in header:
        assert name in refused(forged({n: v for n, v in header.items() if n != name}, tensors))


TENSORS: list[tuple[str, Callable[[dict[str, Tensor]], dict[str, Any]], str]] = [
    ("no bits", lambda t: {"mask.bits": None}, "'mask' is missing"),
    ("few bits", lambda t: {"mask.bits": t["mask.bits"][:1]}, "1 bytes of mask for 10 weights; 2 are needed"),
    ("many bits", lambda t: {"mask.bits": t["mask.bits"].repeat(2)}, "4 bytes of mask for 10 weights; 2 are needed"),
    (
        "bits beyond the end",
        lambda t: {"mask.bits": t["mask.bits"] | 0x80},
        "bits are set after the mask's last weight",
    ),
    ("another bit", lambda t: {"mask.bits": t["mask.bits"] ^ 1}, "the header says kept 6; counted: "),
    (
        "bits with a sign",
        lambda t: {"mask.bits": t["mask.bits"].to(torch.int8)},
        "the mask's bits are not a row of bytes",
    ),
    ("bits in a square", lambda t: {"mask.bits": t["mask.bits"][None]}, "the mask's bits are not a row of bytes"),
    ("a missing weight", lambda t: {"weights.head.bias": None}, "'head.bias' of mlp(hidden=(2,)) is missing"),
    ("a weight too many", lambda t: {"weights.tail": torch.ones(1)}, "'tail' is not a tensor of mlp(hidden=(2,))"),
    (
        "a weight turned",
        lambda t: {"weights.stages.0.0.weight": torch.ones(3, 2)},
        "has shape (3, 2); mlp(hidden=(2,)) needs",
    ),
    ("a name that a terminal obeys", lambda t: {f"weights.{OBEYED}": torch.ones(1)}, "cannot be printed: 'a\\x1b[2Jb'"),
    ("a scalar", lambda t: {"weights.head.bias": torch.tensor(1.0)}, "'head.bias' has shape ()"),
    ("an empty weight", lambda t: {"weights.head.bias": torch.zeros(0)}, "'head.bias' has shape (0,)"),
    *(
        (
            f"{dtype}",
            lambda t, dtype=dtype: {"weights.head.bias": t["weights.head.bias"].to(dtype)},
            f"'head.bias' is of type {dtype}; mlp(hidden=(2,)) needs torch.float32",
        )
        for dtype in (torch.int32, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn)
    ),
]


@pytest.mark.parametrize("change, message", [case[1:] for case in TENSORS], ids=[case[0] for case in TENSORS])
def test_tensors_by_someone_who_knows_the_format(
    change: Callable[[dict[str, Tensor]], dict[str, Any]],
    message: str,
    bare: Ticket,
    taken_apart: Apart,
    forged: Forge,
):
    header, tensors = taken_apart(bare)
    altered = {name: value for name, value in {**tensors, **change(tensors)}.items() if value is not None}
    assert message in refused(forged(header, altered))


def test_survivors_by_someone_who_knows_the_format(bare: Ticket, taken_apart: Apart, forged: Forge):
    header, tensors = taken_apart(bare.rebuilt(weights=bare.masked(), holding="alive"))
    values = tensors["alive.values"]
    assert values.tolist() == [v for n in bare.mask for v in bare.weights[n][bare.mask[n]].tolist()]
    for other, message in (
        (values[:-1], "(5,) survivors for 6 living weights"),
        (values.repeat(2), "(12,) survivors for 6 living weights"),
        (values[None], "(1, 6) survivors for 6 living weights"),
        (values.to(torch.int32), "is of type torch.int32"),
    ):
        assert message in refused(forged(header, {**tensors, "alive.values": other}))
    assert "'alive' is missing" in refused(forged(header, {n: v for n, v in tensors.items() if n != "alive.values"}))


def test_what_was_added_is_seen(whole: Ticket, taken_apart: Apart, forged: Forge, tmp_path: pathlib.Path):
    """A file with more in it than a ticket may load, but it is not canonical."""
    header, tensors = taken_apart(whole)
    path = tmp_path / "a.ticket"
    for altered in (
        forged({**header, "more": 1}, tensors),
        forged({**header, "rows": [1]}, tensors),
        forged(header, {**tensors, "more.of": torch.ones(1)}),
        forged(header, {**tensors, "more": torch.ones(1)}),
        forged({**header, "arch": "mlp(hidden=[2])"}, tensors),
        forged({**header, "io": {**header["io"], "more": 1}}, tensors),
        forged({**header, "version": True}, tensors),
        forged({**header, "more": "é"}, tensors),
    ):
        path.write_bytes(altered)
        assert Ticket.load(path).key == whole.key
        assert not verify(path).ok


LINEAGES = [
    "cut(trained=_key_())",
    "cut(trained=_key_(x))",
    "cut(trained=_key_('train:0123456789abcdef'))",
    "draw(arch=1)",
    "draw(arch=mlp())",
    "draw()",
    "cut(",
    "",
    "cut(x=(lambda: 1)())",
    "draw(seeds=5)",
    "draw(arch=mlp(), seeds='a')",
    "draw(arch=mlp(hidden=(65536, 65536, 65536)))",
    "cut(x=0x" + "f" * 9000 + ")",
    "cut(x={1: 2})",
    "cut(x=1j)",
    "cut(x=" + "-" * 900 + "x)",
    "cut(x=1e999)",
    "print(x=1)",
    "alive(ticket=1)",
    "carry(by=magnitude())",
    "draw(arch=x.y)",
    "cut(x='é')",
    "draw(arch=mlp(), arch=mlp())",
    "cut(x=..., y=b'1')",
    "train(ticket=train:0123456789abcdef)",
]


@pytest.mark.parametrize("place", ["alone", "first", "last"])
@pytest.mark.parametrize("text", LINEAGES, ids=lambda text: ascii(text[:30]))
def test_hostile_lineages(
    text: str, place: str, whole: Ticket, taken_apart: Apart, forged: Forge, tmp_path: pathlib.Path
):
    header, tensors = taken_apart(whole)
    name = text.partition("(")[0] or "cut"
    event = [text, f"{name}:0123456789abcdef", whole.digest]
    old = header["lineage"]
    lineage = {"alone": [event], "first": [event, *old], "last": [*old, event]}[place]
    level = sum(key.startswith("cut:") for _, key, _ in lineage)
    path = tmp_path / "a.ticket"
    path.write_bytes(forged({**header, "lineage": lineage, "level": level}, tensors))
    assert Ticket.load(path).lineage.to_json() == lineage
    assert not verify(path).ok


TEXTS = [
    "[1]",
    "null",
    "1",
    '"x"',
    "{}",
    "",
    "{",
    "NaN",
    "-Infinity",
    '{"format":"ticket"}',
    '{"format":"ticket","version":1}',
    '{"format":"ticket","version":2}',
    '{"format":"ticket","version":"1"}',
    '{"format":"trained","version":1}',
    '{"format":["ticket"],"version":1}',
    '{"format":"ticket","version":1,"digest":null}',
    '{"format":"ticket","version":[1]}',
    '{"format":"ticket","version":1,"x":NaN}',
    '{"format":"ticket","version":1,"x":1e999}',
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"format":"ticket","version":1,"x":"\\ud800"}',
    '{"format":"ticket","version":1,"x":' + "9" * 5000 + "}",
    *(
        '{"format":"ticket","version":1,"x":' + "[" * n + "]" * n + "}"
        for n in (500, 900, 960, 980, 985, 990, 995, 1000)
    ),
    *('{"format":"ticket","version":' + "[" * n + "]" * n + "}" for n in (900, 980, 990, 995)),
    *('{"format":' + "[" * n + "]" * n + "}" for n in (900, 980, 990, 995)),
]


@pytest.mark.parametrize("text", TEXTS, ids=[f"{i}-{text[:30]}" for i, text in enumerate(TEXTS)])
def test_headers_that_are_no_header(text: str, forged: Forge, bare: Ticket, taken_apart: Apart):
    refused(forged({}, taken_apart(bare)[1], text=text))


def test_deep_values_in_a_header(bare: Ticket, taken_apart: Apart, forged: Forge):
    header, tensors = taken_apart(bare)
    for depth, name in itertools.product((1, 100, 800), header):
        deep: Any = "x"
        for _ in range(depth):
            deep = [deep]
        refused(forged({**header, name: deep}, tensors))


OUTER = [
    [],
    None,
    1,
    {},
    {"__metadata__": {}},
    {"__metadata__": []},
    {"__metadata__": {"tombola": {}}},
    {"__metadata__": "x"},
    {"__metadata__": {"tombola": "{}"}},
    {"__metadata__": {"tombola": '{"format":"ticket","version":1}'}},
    b"\xff\xfe\x00",
    b"{" * 1000,
    b"[" * 100_000,
    b" " * 100,
]


@pytest.mark.parametrize("outer", OUTER, ids=lambda outer: ascii(outer)[:30])
def test_outer_headers(outer: Any, raw: Callable[[Any, bytes], bytes]):
    for body in (b"", b"\0" * 64):
        refused(raw(outer, body))


@pytest.mark.parametrize(
    "shape",
    [
        [0, 2**63],
        [2**63, 0],
        [0, 2**64],
        [0, 2**62, 2],
        [0, 2**40, 2**40],
        [2**62] * 2 + [0],
        [-1, 0],
        [2**61],
        [0.5],
        "x",
    ],
    ids=str,
)
def test_shapes_that_overflow(shape: Any, raw: Callable[[Any, bytes], bytes]):
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
    refused(raw({"__metadata__": {"tombola": '{"format":"ticket","version":1}'}, "mask.bits": tensor}, b""))


@pytest.mark.parametrize("length", [0, 1, 2, 2**24, 2**31, 2**32, 2**62, 2**63, 2**63 + 1, 2**64 - 1])
def test_announced_lengths(length: int, bare: Ticket):
    data = bare.encoded()
    refused(length.to_bytes(8, "little") + data[8:])
    refused(length.to_bytes(8, "little"))
    refused(length.to_bytes(8, "little") + b"{}")


SCRIPT = """
import pathlib, resource, sys, time
from tombola.core.errors import Damaged
from tombola.core.ticket import Ticket
paths = sorted(pathlib.Path(sys.argv[1]).iterdir())
Ticket.load(paths[0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in paths[1:]:
    start = time.process_time()
    try:
        Ticket.load(path)
    except Damaged:
        took = time.process_time() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if took > 5 or grown > 100:
            print(f"{path.name}: {took:.1f} s, {grown:.0f} MB more")
        continue
    print(f"{path.name} was read")
"""


def test_hostile_files_take_no_memory_and_no_time(
    bare: Ticket, taken_apart: Apart, forged: Forge, raw: Callable[[Any, bytes], bytes], tmp_path: pathlib.Path
):
    header, tensors = taken_apart(bare)
    bare.save(tmp_path / "0")
    for name, changes, _ in HEADERS:
        (tmp_path / name.replace(" ", "_")).write_bytes(forged({**header, **changes}, tensors))
    for number, text in enumerate(TEXTS):
        (tmp_path / f"text_{number}").write_bytes(forged({}, tensors, text=text))
    (tmp_path / "announced").write_bytes((2**63).to_bytes(8, "little") + bare.encoded()[8:])
    shape = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    (tmp_path / "terabyte").write_bytes(raw({"__metadata__": {"tombola": "{}"}, "weights.x": shape}, b"\0" * 64))
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert shapes(bare.module())  # What was good before is good still.
