"""One run's way through a set of pictures: the order of an epoch, and each picture's crop and mirroring.

What is drawn for an epoch comes down to one number for each example: where its window starts. A batch is a slice.
"""

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from tombola.core.seeds import numbers


@dataclasses.dataclass(eq=False)
class Way:
    """The epochs of a pair of seeds, with the one it is in: a long run keeps one epoch, a fleet one a member.

    `chosen` are the positions of the training examples among all of `labels`, which also name the windows: S of them
    where nothing is cropped, one for every byte row where windows overlap (see `images.prepared`). With a `fixed` order
    every epoch goes through them as the first one did.
    """

    chosen: np.ndarray
    labels: Tensor
    side: int
    crop: int
    mirrors: bool
    fixed: bool
    data: int
    augment: int
    epoch: int = -1
    windows: Tensor = dataclasses.field(default_factory=lambda: torch.empty(0))
    targets: Tensor = dataclasses.field(default_factory=lambda: torch.empty(0))

    def turns(self, steps: range, size: int) -> tuple[Tensor, Tensor]:
        """The windows and targets of consecutive steps of equal batch size, (steps, batch) each; not to be changed.

        Only a single step may be the last of an epoch, which may be smaller.
        """
        length, parts = math.ceil(len(self.chosen) / size), []
        start = steps[0]
        while start < steps[-1] + 1:
            epoch, first = divmod(start, length)
            if self.epoch != epoch:
                self._draw(epoch)
            last = min(steps[-1] + 1 - epoch * length, length)
            part = slice(first * size, min(last * size, len(self.chosen)))
            parts.append((self.windows[part], self.targets[part]))
            start = epoch * length + last
        windows, targets = parts[0] if len(parts) == 1 else (torch.cat(both) for both in zip(*parts, strict=True))
        return windows.view(len(steps), -1), targets.view(len(steps), -1)

    def _draw(self, epoch: int) -> None:
        """An epoch's order; crop and mirroring belong to the example and not to its turn."""
        total, example = len(self.labels), self.chosen[self._order(epoch)]
        random = numbers("augment", self.augment, epoch)
        start = example
        down, right = random.integers(0, 2 * self.crop + 1, size=(2, total))
        mirrored = random.integers(0, 2, size=total)
        if self.mirrors:
            start = mirrored[example] * total + start
        if self.crop:
            across = self.side + 2 * self.crop
            start = (start * across + down[example]) * across + right[example]
        device = self.labels.device
        self.epoch, self.windows = epoch, torch.from_numpy(start).to(device)
        self.targets = self.labels[torch.from_numpy(example).to(device)]

    def _order(self, epoch: int) -> np.ndarray:
        return numbers("order", self.data, 0 if self.fixed else epoch).permutation(len(self.chosen))
