"""Depth maps: every mapping of Chen et al. 2021, as its scripts write them, and what no map may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.core import catalogue
from tombola.core.errors import Refused
from tombola.core.layout import Interface
from tombola.core.text import parse
from tombola.moves.stretch import Squeeze, Stretch

IO = Interface(inputs=(3, 32, 32), classes=10)

# Text of the map, blocks of the source's stage, and the sources of blocks 1, 2, ... of the target's.
CIFAR_STRETCHED = [
    *[("interpolate()", 1, "1" * n) for n in (2, 4, 6, 8)],  # 14 to 20, 32, 44, 56
    ("interpolate()", 2, "1122"),
    ("append()", 2, "1212"),
    ("early()", 2, "1112"),
    ("late()", 2, "1222"),
    ("interpolate()", 2, "111222"),
    ("early()", 2, "111112"),
    ("late()", 2, "122222"),
    ("append()", 2, "121212"),
    ("interpolate()", 2, "11112222"),
    ("explicit(blocks=((1, 1, 2, 2, 1, 1, 2, 2),))", 2, "11221122"),
    ("append()", 2, "12121212"),
    ("early()", 2, "11111112"),
    ("late()", 2, "12222222"),
    ("interpolate()", 4, "112234"),  # 32 to 44
    ("interpolate(blocks=(1, 2))", 4, "112234"),
    ("interpolate(blocks=(3, 4))", 4, "123344"),
    ("interpolate(extra='last')", 4, "123344"),
    ("append()", 4, "121234"),
    ("append_group(blocks=(1, 2))", 4, "121234"),
    ("append_group(blocks=(3, 4))", 4, "123434"),
    ("append(extra='last')", 4, "123434"),
    ("early()", 4, "111234"),
    ("late()", 4, "123444"),
    ("interpolate()", 6, "11223456"),  # 44 to 56
    ("append()", 6, "12123456"),
    ("interpolate()", 4, "11223344"),  # 32 to 56
    ("append()", 4, "12341234"),
    ("early()", 4, "11111234"),
    ("interpolate(blocks=(2,))", 4, "12222234"),
    ("interpolate(blocks=(3,))", 4, "12333334"),
    ("late()", 4, "12344444"),
    ("append_group(blocks=(1, 2))", 4, "12121234"),
    ("append_group(blocks=(2, 3))", 4, "12323234"),
    ("append_group(blocks=(3, 4))", 4, "12343434"),
    ("interpolate(blocks=(1, 2))", 4, "11122234"),
    ("early(blocks=2)", 4, "11122234"),
    ("interpolate(blocks=(2, 3))", 4, "12223334"),
    ("interpolate(blocks=(3, 4))", 4, "12333444"),
    ("late(blocks=2)", 4, "12333444"),
]
CIFAR_SQUEEZED = [
    ("keep_last()", 2, "2"),
    ("keep_first()", 2, "1"),
    *[(f"keep(blocks=({n},))", 4, str(n)) for n in (1, 2, 3, 4)],
    *[(f"keep(blocks=({a}, {b}))", 4, f"{a}{b}") for a, b in ((1, 3), (2, 4), (3, 4), (1, 2), (1, 4))],
    ("keep_even()", 4, "13"),
    ("keep_even(start='last')", 4, "24"),
    ("keep_first()", 6, "1"),
    ("keep_last()", 6, "6"),
    ("keep(blocks=(1, 4))", 6, "14"),
    ("keep_even()", 6, "14"),
    ("keep_last()", 6, "56"),
    ("keep_first()", 6, "12"),
    ("keep(blocks=(1, 2, 3, 5))", 6, "1235"),
    ("keep_first()", 6, "1234"),
    ("keep_first()", 8, "1"),
    ("keep_last()", 8, "8"),
    ("keep(blocks=(1, 5))", 8, "15"),
    ("keep_last()", 8, "78"),
    ("keep_first()", 8, "12"),
    ("keep(blocks=(1, 2, 3, 4, 5, 7))", 8, "123457"),
    ("keep_last()", 8, "345678"),
    ("keep_first()", 8, "123456"),
    ("keep_even()", 8, "1357"),
    ("keep_even(start='last')", 8, "2468"),
    *[
        (f"keep(blocks={tuple(map(int, kept))})", 8, kept)
        for kept in ("1478", "1258", "1236", "1458", "5678", "1678", "1278", "1238", "1234")
    ],
    *[(f"explicit(blocks=({tuple(map(int, o))},))", 6, o) for o in ("623451", "653421", "654321")],  # Swapped pairs.
]
IMAGENET = [
    (18, 26, "interpolate()", "1 11 111 11"),
    (18, 34, "interpolate()", "11 111 11111 11"),
    (26, 18, "keep_first()", "1 1 1 1"),
    (26, 18, "keep_last()", "1 2 3 2"),
    (26, 34, "interpolate()", "11 112 11223 12"),
    (26, 34, "append()", "11 112 12123 12"),
    (26, 34, "append(extra='last')", "11 122 12323 12"),
    (34, 18, "keep_first()", "1 1 1 1"),
    (34, 26, "keep_first()", "1 12 123 12"),
]
CHAINS = [  # VGG: its convolutions behind the first of each stage, then the hidden linear layers.
    ("vgg(depth=13)", "vgg(depth=16)", "interpolate()", "1 1 11 11 11 -"),
    ("vgg(depth=13)", "vgg(depth=19)", "interpolate()", "1 1 111 111 111 -"),
    ("vgg(depth=16)", "vgg(depth=19)", "interpolate()", "1 1 112 112 112 -"),
    ("vgg(depth=16)", "vgg(depth=13)", "keep_first()", "1 1 1 1 1 -"),
    ("vgg(depth=19)", "vgg(depth=13)", "keep_first()", "1 1 1 1 1 -"),
    ("vgg(depth=19)", "vgg(depth=16)", "keep_first()", "1 1 12 12 12 -"),
    ("vgg(linear=2)", "vgg(linear=3)", "interpolate()", "1 1 1 1 1 11"),
    ("vgg(linear=2)", "vgg(linear=5)", "interpolate()", "1 1 1 1 1 1111"),
    ("vgg(linear=3)", "vgg(linear=5)", "interpolate()", "1 1 1 1 1 1122"),
    ("vgg(linear=3)", "vgg(linear=2)", "keep_first()", "1 1 1 1 1 1"),
    ("vgg(linear=5)", "vgg(linear=2)", "keep_first()", "1 1 1 1 1 1"),
    ("vgg(linear=5)", "vgg(linear=3)", "keep_first()", "1 1 1 1 1 12"),
]


def mlp(layers: int) -> str:
    """MLP-n of the paper."""
    return f"mlp(hidden=({'300, ' * layers}100))"


CHAINS += [
    (mlp(2), mlp(3), "interpolate()", "11 -"),
    (mlp(2), mlp(4), "interpolate()", "111 -"),
    (mlp(3), mlp(4), "early()", "112 -"),
    (mlp(3), mlp(2), "keep_first()", "1 -"),
    (mlp(4), mlp(2), "keep_first()", "1 -"),
    (mlp(4), mlp(3), "keep_first()", "12 -"),
]


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(digit) for digit in text.replace("-", ""))


@pytest.mark.parametrize(("text", "have", "sources"), CIFAR_STRETCHED + CIFAR_SQUEEZED)
def test_the_mappings_of_the_paper(text: str, have: int, sources: str):
    rule = parse("depth_map", text)
    assert rule(have, len(sources), 1) == numbers(sources)
    source, target = (parse("arch", f"resnet(depth={6 * blocks + 8})") for blocks in (have, len(sources)))
    assert Stretch(to=target, by=rule).maps(source, IO) == (numbers(sources),) * 3


@pytest.mark.parametrize(("have", "want", "text", "stages"), IMAGENET)
def test_the_mappings_of_the_paper_on_imagenet(have: int, want: int, text: str, stages: str):
    source, target = (parse("arch", f"imagenet_resnet(depth={depth})") for depth in (have, want))
    move = Stretch(to=target, by=parse("depth_map", text))
    assert move.maps(source, Interface(inputs=(3, 64, 64), classes=1000)) == tuple(map(numbers, stages.split()))


@pytest.mark.parametrize(("source", "target", "text", "stages"), CHAINS)
def test_the_mappings_of_the_paper_on_chains(source: str, target: str, text: str, stages: str):
    move = Stretch(to=parse("arch", target), by=parse("depth_map", text))
    assert move.maps(parse("arch", source), IO) == tuple(map(numbers, stages.split()))


@pytest.mark.parametrize(
    ("have", "text", "sources"),
    [
        (3, "interpolate(extra='last')", (1, 2, 2, 3, 3)),
        (5, "interpolate()", (1, 1, 2, 2, 3, 3, 4, 4, 5, 5)),
        (3, "interpolate()", (1, 1, 1, 1, 2, 2, 2, 3, 3, 3)),
        (5, "keep_first()", (1, 2, 3)),
        (10, "keep_first()", (1, 2, 3)),
        (10, "keep_first()", (1, 2, 3, 4, 5)),
    ],
)
def test_the_mappings_of_the_code_on_mobilenet(have: int, text: str, sources: tuple[int, ...]):
    source, target = (parse("arch", f"mobilenet(repeats={units})") for units in (have, len(sources)))
    found = Stretch(to=target, by=parse("depth_map", text)).maps(source, IO)
    assert sorted(found, key=len)[-1] == sources and max(len(other) for other in sorted(found, key=len)[:-1]) <= 1


def test_squeeze_keeps_the_first():
    deep, flat = parse("arch", "resnet(depth=56)"), parse("arch", "resnet(depth=32)")
    assert Squeeze(to=flat).maps(deep, IO) == ((1, 2, 3, 4),) * 3


def test_the_notation_of_the_original_code():
    rule = parse("depth_map", "pairs(text='0:0;1:1,2;2:3,4;3:5,6;4:7,8')")
    assert rule(4, 8, 1) == numbers("11223344")
    staged = parse("depth_map", "pairs(text='1:1,2|1:1,2;2:3|2:4,5;1:1,2,3|0:0')")
    assert [staged(*sizes) for sizes in ((1, 2, 1), (2, 3, 2), (2, 5, 3))] == [(1, 1), (1, 1, 2), (1, 1, 1, 2, 2)]
    assert parse("depth_map", "pairs(text='1:1')")(2, 3, 1) == (1, None, None)


COPYING = ["interpolate()", "interpolate(extra='even')", "interpolate(extra='last')", "append()"]
COPYING += [
    "append(extra='last')",
    "early()",
    "early(blocks=3)",
    "late()",
    "late(blocks=2)",
    "append_group(blocks=(1,))",
]
KEEPING = ["keep_first()", "keep_last()", "keep_even()", "keep_even(start='last')"]
counts = st.integers(1, 12)


@given(text=st.sampled_from(COPYING), have=counts, more=st.integers(0, 12))
def test_maps_that_copy_use_every_block_and_fill_every_place(text: str, have: int, more: int):
    sources = parse("depth_map", text)(have, have + more, 1)
    assert len(sources) == have + more and set(sources) == set(range(1, have + 1))
    first = [sources.index(block) for block in range(1, have + 1)]
    assert first == sorted(first)  # A copy may come before a block that is new, never the order of those change.
    if text.startswith(("interpolate", "early", "late")):
        assert list(sources) == sorted(sources)
    if text in COPYING[:3]:
        times = [sources.count(block) for block in set(sources)]
        assert max(times) - min(times) <= 1


@given(text=st.sampled_from(KEEPING), have=counts, want=counts)
def test_maps_that_keep_take_blocks_once_and_in_order(text: str, have: int, want: int):
    want = min(have, want)
    sources = parse("depth_map", text)(have, want, 1)
    assert len(sources) == want and list(sources) == sorted(set(sources)) and set(sources) <= set(range(1, have + 1))
    if text.startswith("keep_even"):
        gaps = {b - a for a, b in zip(sources, sources[1:], strict=False)}
        assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("text", COPYING + KEEPING + ["keep(blocks=(1,))"])
def test_a_stage_of_the_same_depth_stays_as_it_is(text: str):
    assert parse("depth_map", text)(3, 3, 1) == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "have", "want", "message"),
    [
        ("interpolate()", 4, 2, r"interpolate\(\) copies blocks, and stage 2 has 4 of them and is to have 2. Use one"),
        ("append()", 4, 2, "squeeze"),
        ("keep_first()", 2, 4, r"keep_first\(\) drops blocks, and stage 2 has 2 of them and is to have 4. .*stretch"),
        ("interpolate(blocks=(5,))", 4, 8, "stage 2 has blocks 1 to 4, and no block 5"),
        ("interpolate(blocks=(0, 1))", 4, 8, "block 0 of stage 2 is the entry, where there is one"),
        ("interpolate(blocks=(2, 1))", 4, 8, "blocks 2, 1 are not in their order"),
        ("interpolate(blocks=(1, 1))", 4, 8, "not in their order, each once"),
        ("append_group(blocks=(1, 3))", 4, 8, "blocks 1, 3 do not follow one another"),
        ("append_group(blocks=(1, 2, 3))", 4, 8, "4 more than there are, and a group of 3 does not divide that"),
        ("keep(blocks=(3, 1))", 4, 2, "not in their order, each once"),
        ("keep(blocks=(1, 1))", 4, 4, "not in their order, each once"),
        ("keep(blocks=(0, 1))", 4, 4, "block 0 of stage 2 is the entry"),
        ("interpolate(blocks=(0,))", 4, 4, "block 0 of stage 2 is the entry"),
        ("keep(blocks=(1,))", 4, 2, "leaves block 2 of stage 2 unfilled: it is to have 2 blocks, not 1"),
        ("keep(blocks=(1, 2, 3))", 4, 2, "names 3 blocks for stage 2, which is to have 2"),
        ("explicit(blocks=((1, 1),))", 1, 3, "leaves block 3 of stage 2 unfilled"),
        ("explicit(blocks=((0, 1),))", 1, 2, "block 0 of stage 2 is the entry"),
        ("explicit(blocks=((1,), (1,), (1,)))", 2, 2, "leaves block 2 of stage 2 unfilled"),
        ("pairs(text='1:1,2;2:2')", 2, 2, "fills block 2 of stage 2 twice, from 1 and 2"),
        ("pairs(text='1:1,3')", 1, 2, "stage 2 of the target has 2 blocks, and none is number 3"),
        ("pairs(text='1:0,1')", 1, 2, "place 0 of stage 2 is its entry, which only block 0 goes to"),
        ("pairs(text='0:1')", 1, 2, "block 0 of stage 2 is the entry"),
        ("pairs(text='1:one')", 1, 2, "cannot read '1:one'. Write source:place,place"),
    ],
)
def test_what_no_map_may_do(text: str, have: int, want: int, message: str):
    with pytest.raises(Refused, match=message):
        parse("depth_map", text)(have, want, 2)


@pytest.mark.parametrize("text", ["keep(blocks=(1, 2))", "interpolate(blocks=(3,))", "append_group(blocks=(1, 2, 3))"])
def test_a_stage_that_keeps_its_depth_keeps_all(text: str):
    """Those of a VGG: keep(blocks=(1, 2)) leads from 19 to 16 layers, where the first two stages have one block."""
    assert [parse("depth_map", text)(have, have, 1) for have in (1, 2, 3)] == [(1,), (1, 2), (1, 2, 3)]


@pytest.mark.parametrize("text", ["early(blocks=0)", "late(blocks=-1)", "explicit()", "pairs()"])
def test_maps_that_say_nothing(text: str):
    with pytest.raises(Refused):
        parse("depth_map", text)


def test_lists_for_other_stages():
    rule = parse("depth_map", "explicit(blocks=((1,), (1,)))")
    with pytest.raises(Refused, match="has 2 lists, and there is a stage 3"):
        rule(1, 1, 3)


def test_there_are_no_others():
    known = {text.split("(")[0] for text in (*COPYING, *KEEPING, "keep(", "explicit(", "pairs(")}
    assert {entry.name for entry in catalogue.entries("depth_map")} == known


@given(have=counts, more=st.integers(0, 12))
def test_keeping_at_even_distances_undoes_copying_evenly(have: int, more: int):
    sources = parse("depth_map", "interpolate(extra='even')")(have, have + more, 1)
    kept = parse("depth_map", "keep_even()")(have + more, have, 1)
    assert [sources[place - 1] for place in kept if place] == list(range(1, have + 1))
