"""How alike two networks represent the same examples, layer by layer: linear CKA."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tombola.core.errors import Refused
from tombola.core.layout import Arch
from tombola.core.measurement import Measurement
from tombola.core.task import Split, Task
from tombola.probes.held import held
from tombola.probes.paired import check_two
from tombola.probes.predictions import in_split, typed
from tombola.study.step import Context, step
from tombola.train.device import threads
from tombola.train.trained import Trained

FEWEST = 4
"""The estimator is of pairs of pairs."""


@step("cka", prepare=in_split)
def cka(
    a: Trained,
    b: Trained,
    task: Task | None = None,
    split: Split = "test",
    examples: int = 1000,
    at_once: int = 250,
    *,
    context: Context = Context(),
) -> Measurement:
    """Linear centred kernel alignment of what the parts of two networks give for the same examples.

    1 where one representation is the other turned and scaled, 0 where they have nothing in common (Kornblith et al.
    2019); with the unbiased estimator of HSIC, averaged over batches (Nguyen et al. 2021), so that wide layers do not
    look alike by chance. It may come out below 0. Parts are the stem and the entries and blocks of all stages.

    `cka_mean` is the mean over pairs of the same part, `cka_last` that of the last one. The table `parts` has these
    pairs, `pairs` every part of `a` with every one of `b`, and the picture the same as a grid.

    Args:
        task: That of a's training unless told.
        examples: At most so many, always the same ones; 0: all.
        at_once: Examples of a batch, 4 or more: so many squared numbers are held for each part.

    Raises:
        Refused: If the two differ in architecture, interface, task or held-out examples, or a batch is too small.

    Example:
        >>> from tombola.archs.mlp import Mlp
        >>> from tombola.find import draw
        >>> from tombola.tasks.digits import Digits
        >>> from tombola.train.loop import train
        >>> from tombola.train.recipe import Recipe
        >>> recipe = Recipe(steps=20, batch=60)
        >>> one = train(draw(Mlp(hidden=(8,)), Digits(), recipe), Digits(), recipe)
        >>> round(cka(one, one).numbers()["cka_mean"], 6)
        1.0
    """
    task = check_two("cka", a, b, task, (split,))
    if at_once < FEWEST or 0 < examples < FEWEST:
        raise Refused(f"cka: batches of {min(at_once, examples or at_once)} examples. Give {FEWEST} or more.")
    device = torch.device(context.machine.device)
    names = parts_of(a.ticket.arch)
    both = [_Parts(one.module().to(device).eval(), names) for one in (a, b)]
    sums, own = np.zeros((len(names), len(names))), [np.zeros(len(names)), np.zeros(len(names))]
    batches = 0
    with threads(context.machine), torch.no_grad():
        for inputs, _ in held("cka", a, task, split, examples, device)():
            for part in inputs.split(at_once):
                if len(part) < FEWEST:
                    continue  # What is left over at the end.
                grams = [one.grams(part) for one in both]
                for i, first in enumerate(grams[0]):
                    for j, second in enumerate(grams[1]):
                        sums[i, j] += hsic(first, second)
                for place, each in enumerate(grams):
                    own[place] += [hsic(gram, gram) for gram in each]
                batches += 1
    if not batches:
        raise Refused(f"cka: {task} has fewer than {FEWEST} examples in its {split} part.")
    scale = np.sqrt(np.outer(*(one.clip(min=0) for one in own)))
    found = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > 0)
    same = np.diag(found)
    numbers = {"cka_mean": float(same.mean()), "cka_last": float(same[-1]), "parts": len(names)}
    tables = {
        "parts": tuple({"part": name, "cka": float(value)} for name, value in zip(names, same, strict=True)),
        "pairs": tuple(
            {"a": one, "b": other, "cka": float(found[i, j])}
            for i, one in enumerate(names)
            for j, other in enumerate(names)
        ),
    }
    caption = "Parts of a (lines) and of b (columns), from stem to head; 1 where they represent examples alike"
    picture = {"name": "cka", "caption": caption, "values": found.clip(0, 1).tolist(), "full": 1.0}
    return Measurement(numbers, tables=tables, pictures=(picture,))


def parts_of(arch: Arch) -> list[str]:
    """The stem and the entries and blocks of all stages, by the names of their modules."""
    layout = arch.layout()
    return [*layout.stem, *(name for stage in layout.stages for name in (stage.entry, *stage.blocks) if name)]


def hsic(one: Tensor, other: Tensor) -> float:
    """The unbiased Hilbert-Schmidt independence criterion of two Gram matrices (Song et al. 2012, equation 5).

    Args:
        one: Products of all pairs of examples, (examples, examples), four or more.

    Example:
        >>> gram = torch.outer(*[torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)] * 2)
        >>> round(hsic(gram, gram), 6)  # (12 + 16 / 6 - 4) / 4
        2.666667
    """
    size = len(one)
    first, second = (gram - torch.diag(gram.diagonal()) for gram in (one, other))
    lines = first.sum(0), second.sum(0)
    total = (first * second).sum() + lines[0].sum() * lines[1].sum() / ((size - 1) * (size - 2))
    return float((total - 2 * (lines[0] @ lines[1]) / (size - 2)) / (size * (size - 3)))


class _Parts:
    """What the parts of a network give for a batch, as Gram matrices."""

    def __init__(self, net: nn.Module, names: list[str]) -> None:
        self.net, self.names = net, names
        self.given: dict[str, Tensor] = {}
        for name in names:
            net.get_submodule(name).register_forward_hook(self._hook(name))

    def grams(self, inputs: Tensor) -> list[Tensor]:
        """Products of all pairs of examples, in double precision, part by part."""
        self.net(typed(inputs, self.net))
        flat = [self.given[name].flatten(1).double() for name in self.names]
        return [values @ values.T for values in flat]

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def note(module: nn.Module, given: Any, output: Tensor) -> None:
            self.given[name] = output

        return note
