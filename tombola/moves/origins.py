"""Where every part of a deeper or shallower network comes from: two layouts and a depth map, joined and proved."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tombola.core.errors import Refused, unknown
from tombola.core.expected import State, expected
from tombola.core.layout import Arch, Interface, Layout, Stage
from tombola.core.plugin import registration_of
from tombola.moves.depthmap import DepthMap, Listed, Sources


@dataclasses.dataclass(frozen=True)
class Origins:
    """A part is a module that a layout names: stem, head, a stage's entry or one of its blocks.

    `parts` gives for every part of the target, in its order, the part of the source that it is made of, "" for none;
    `stages` the numbers of the blocks, as the depth map gave them.
    """

    parts: Mapping[str, str]
    stages: tuple[Sources, ...]
    target: State

    @functools.cached_property
    def copies(self) -> frozenset[str]:
        """Parts that are made of a part which an earlier one is made of too."""
        seen: set[str] = set()
        found: set[str] = set()
        for part, source in self.parts.items():
            (found if source in seen else seen).add(part if source in seen else source)
        return frozenset(found) - self.fresh

    @functools.cached_property
    def fresh(self) -> frozenset[str]:
        """Parts that nothing is carried to."""
        return frozenset(part for part, source in self.parts.items() if not source)

    @functools.cached_property
    def times(self) -> Mapping[str, int]:
        """How many parts of the target each part of the source makes."""
        return Counter(source for source in self.parts.values() if source)

    @functools.cached_property
    def owners(self) -> Mapping[str, str]:
        """The part of the target that each entry of its state dict belongs to."""
        return {name: _owner(name, self.parts) for name in self.target}

    @functools.cached_property
    def entries(self) -> Mapping[str, str]:
        """For each entry of the target's state dict the source's entry, "" for none; in the target's order."""
        found: dict[str, str] = {}
        for name, part in self.owners.items():
            source = self.parts[part]
            found[name] = source + name[len(part) :] if source else ""
        return found


def origins(source: Arch, to: Arch, io: Interface, rule: DepthMap, fresh: tuple[str, ...] = ()) -> Origins:
    """How a network is made of the parts of another one of its family.

    Every part of the target is filled once, from a part whose tensors have the same names, shapes and types, or is
    named in `fresh`.

    Raises:
        Refused: If the networks are of different families or widths, or the map leaves a part unfilled.
    """
    if type(source) is not type(to):
        raise Refused(
            f"the ticket is of {source}, and the target is {to}: another family. Blocks are exchanged within one: give "
            f"a {registration_of(source).name} of another depth."
        )
    here, there = source.layout(), to.layout()
    if len(here.stages) != len(there.stages):
        raise Refused(
            f"{source} has {len(here.stages)} stages and {to} has {len(there.stages)}: a map of depths joins stage to "
            "stage. Give both as many."
        )
    for what, own, wanted in (("stem", here.stem, there.stem), ("head", here.head, there.head)):
        if own != wanted:
            raise Refused(
                f"the {what} of {source} is {', '.join(own) or 'none'}, that of {to} {', '.join(wanted) or 'none'}. "
                "Only the depth may differ: give a target whose other parts are the same."
            )
    if isinstance(rule, Listed) and rule.lists not in (1, len(there.stages)):
        raise Refused(
            f"{rule} has {rule.lists} lists, and {to} has {len(there.stages)} stages. Give one a stage, or one for all."
        )
    parts: dict[str, str] = {name: name for name in there.stem}
    stages: list[Sources] = []
    for number, (own, wanted) in enumerate(zip(here.stages, there.stages, strict=True), start=1):
        if bool(own.entry) != bool(wanted.entry):
            raise Refused(f"stage {number} has an entry in one of {source} and {to} and none in the other.")
        if wanted.entry:
            parts[wanted.entry] = own.entry
        stages.append(_mapped(own, wanted, rule, number))
        for block, came in zip(wanted.blocks, stages[-1], strict=True):
            parts[block] = own.blocks[came - 1] if came is not None else ""
    parts |= {name: name for name in there.head}
    for name in fresh:
        if name not in parts:
            raise unknown(f"part of {to}", name, parts)
        parts[name] = ""
    if unfilled := [part for part, came in parts.items() if not came and part not in fresh]:
        empty = {
            block
            for own, wanted in zip(here.stages, there.stages, strict=True)
            if not own.blocks
            for block in wanted.blocks
        }
        why = f"{source} has no block there to copy" if set(unfilled) <= empty else "Fill every block"
        raise Refused(
            f"{rule} leaves {', '.join(unfilled)} of {to} unfilled. {why}, or let them begin afresh and dense, "
            f"by name: fresh={tuple(unfilled)}."
        )
    found = Origins(parts, tuple(stages), expected(to, io))
    _check_shapes(source, to, expected(source, io), found, there)
    _check_options(source, to)
    return found


def _check_options(source: Arch, to: Arch) -> None:
    """Refuse networks that differ in more than depth, though their tensors agree: heads, norms, how they are drawn."""
    for field in dataclasses.fields(cast(Any, source)):
        own, other = getattr(source, field.name), getattr(to, field.name)
        if own == other:
            continue
        try:
            alone = dataclasses.replace(cast(Any, source), **{field.name: other}).layout()
            deeper = [len(stage.blocks) for stage in alone.stages] != [len(s.blocks) for s in source.layout().stages]
        except Refused:
            deeper = False
        if not deeper:
            raise Refused(
                f"{to} has {field.name}={other!r}, and the ticket's {source} has {own!r}. Only the depth may differ: "
                f"give the target {field.name}={own!r}."
            )


def _mapped(own: Stage, wanted: Stage, rule: DepthMap, number: int) -> Sources:
    """The numbers of a stage's blocks; where there are none to copy a rule is asked only if it speaks of that stage."""
    have, want = len(own.blocks), len(wanted.blocks)
    if not have and (want or not isinstance(rule, Listed) or rule.lists == 1):
        return (None,) * want
    found = tuple(rule(have, want, number))
    if len(found) != want or any(block is not None and not 1 <= block <= have for block in found):
        raise Refused(f"{rule} gives {found} for stage {number}, which has {have} blocks and is to have {want}.")
    return found


def _owner(name: str, parts: Mapping[str, str]) -> str:
    """The part that an entry belongs to; parts are disjoint and cover all."""
    head = name
    while head not in parts:
        head, _, _ = head.rpartition(".")
        if not head:
            raise Refused(f"'{name}' belongs to no part of the layout: stem, stages and head must cover the network.")
    return head


def _check_shapes(source: Arch, to: Arch, have: State, found: Origins, layout: Layout) -> None:
    """Whether parts that are joined have the same tensors."""
    inside = _grouped(have, source.layout())
    blocks = {block for stage in layout.stages for block in stage.blocks}
    for part, came in found.parts.items():
        own = {name[len(part) :]: spec for name, spec in found.target.items() if found.owners[name] == part}
        if not came or own == inside.get(came, {}):
            continue
        odd = next(key for key in (*own, *inside.get(came, {})) if own.get(key) != inside.get(came, {}).get(key))
        mine, theirs = inside.get(came, {}).get(odd, ("no such tensor",)), own.get(odd, ("no such tensor",))
        why = "These blocks are not interchangeable" if part in blocks else "Only the depth may differ"
        raise Refused(
            f"'{came}{odd}' of {source} is {_brief(mine)}, and '{part}{odd}' of {to} is {_brief(theirs)}. {why}: give "
            "a target of the same width, options and classes; widen() and narrow() change the width."
        )


def _grouped(state: State, layout: Layout) -> dict[str, dict[str, object]]:
    parts = {name: "" for name in _named(layout)}
    found: dict[str, dict[str, object]] = {name: {} for name in parts}
    for name, spec in state.items():
        owner = _owner(name, parts)
        found[owner][name[len(owner) :]] = spec
    return found


def _named(layout: Layout) -> Iterator[str]:
    yield from layout.stem
    for stage in layout.stages:
        yield from filter(None, (stage.entry, *stage.blocks))
    yield from layout.head


def _brief(spec: object) -> str:
    return " ".join(str(part) for part in spec) if isinstance(spec, tuple) else str(spec)
