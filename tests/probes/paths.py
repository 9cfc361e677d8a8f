"""A network as a graph of units and pixels, and the search for what lies on a path in it."""

import itertools
from typing import Any

from tombola.core.layout import Interface
from tombola.core.mask import Mask

Node = tuple[Any, ...]


class Graph:
    """Edges between nodes, each with the weight that it needs, or none."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.edges: list[tuple[Node, Node, tuple[Any, ...] | None]] = []
        self.units: dict[str, list[list[Node]]] = {}

    def free(self, source: Node, target: Node) -> None:
        self.edges.append((source, target, None))

    def linear(self, name: str, sources: list[Node]) -> list[Node]:
        targets = [(name, unit) for unit in range(len(self.mask[name]))]
        self.units[name] = [[target] for target in targets]
        for (i, target), (j, source) in itertools.product(enumerate(targets), enumerate(sources)):
            if self.mask[name][i, j]:
                self.edges.append((source, target, (name, i, j)))
        return targets

    def conv(self, name: str, sources: list[list[list[Node]]], stride: int = 1) -> list[list[list[Node]]]:
        """A square kernel, padded by half of it; sources are channels of lines of pixels."""
        alive, height, width = self.mask[name], len(sources[0]), len(sources[0][0])
        out, into, kernel, _ = alive.shape
        rows, columns = range(0, height, stride), range(0, width, stride)
        targets = [[[(name, o, y, x) for x in columns] for y in rows] for o in range(out)]
        self.units[name] = [[node for line in channel for node in line] for channel in targets]
        for o, i, v, h in itertools.product(range(out), range(into), range(kernel), range(kernel)):
            for y, x in itertools.product(rows, columns):
                from_y, from_x = y + v - kernel // 2, x + h - kernel // 2
                if alive[o, i, v, h] and 0 <= from_y < height and 0 <= from_x < width:
                    self.edges.append((sources[i][from_y][from_x], (name, o, y, x), (name, o, i, v, h)))
        return targets

    def pool(self, sources: list[list[list[Node]]], size: int) -> list[list[list[Node]]]:
        height, width = len(sources[0]) // size, len(sources[0][0]) // size
        mark = ("pool", len(self.edges))
        targets = [[[(mark, c, y, x) for x in range(width)] for y in range(height)] for c in range(len(sources))]
        for c, y, x in itertools.product(range(len(sources)), range(height), range(width)):
            for v, h in itertools.product(range(size), range(size)):
                self.free(sources[c][y * size + v][x * size + h], targets[c][y][x])
        return targets

    def add(self, one: list[list[list[Node]]], other: list[list[list[Node]]]) -> list[list[list[Node]]]:
        mark = ("sum", len(self.edges))
        targets = [[[(mark, node) for node in line] for line in channel] for channel in one]
        for of in (one, other):
            for c, channel in enumerate(of):
                for y, line in enumerate(channel):
                    for x, node in enumerate(line):
                        self.free(node, targets[c][y][x])
        return targets

    def found(self, inputs: list[Node], outputs: list[Node]) -> dict[str, Any]:
        """What a search from either end finds."""
        reached = search(inputs, [(a, b) for a, b, _ in self.edges])
        leads = search(outputs, [(b, a) for a, b, _ in self.edges])
        on_path = {w for a, b, w in self.edges if w is not None and a in reached and b in leads}
        return {
            "effective": {name: sum(w[0] == name for w in on_path) for name in self.mask},
            "unreachable": {n: sum(not reached & set(unit) for unit in units) for n, units in self.units.items()},
            "dead": {n: sum(not leads & set(unit) for unit in units) for n, units in self.units.items()},
            "unused_inputs": sum(node not in leads for node in inputs),
            "unreachable_outputs": sum(node not in reached for node in outputs),
        }


def search(start: list[Node], edges: list[tuple[Node, Node]]) -> set[Node]:
    following: dict[Node, list[Node]] = {}
    for source, target in edges:
        following.setdefault(source, []).append(target)
    seen, waiting = set(start), list(start)
    while waiting:
        new = [node for node in following.get(waiting.pop(), []) if node not in seen]
        seen.update(new)
        waiting += new
    return seen


def pixels(io: Interface) -> list[list[list[Node]]]:
    channels, height, width = io.inputs
    return [[[("in", c, y, x) for x in range(width)] for y in range(height)] for c in range(channels)]


def flat(maps: list[list[list[Node]]]) -> list[Node]:
    return [node for channel in maps for line in channel for node in line]
