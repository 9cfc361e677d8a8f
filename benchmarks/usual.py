"""The usual ways, as rivals: pictures one at a time through PIL and a DataLoader, and three ways to keep a mask.

The transforms do what those of the usual library do, in its order and no slower; in the loop nothing is read back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize, prune
from torch.utils.data import DataLoader, Dataset

from tombola.core.errors import Refused
from tombola.core.mask import Mask
from tombola.tasks import sources
from tombola.tasks.cifar import Cifar10, Cifar100Subset
from tombola.tasks.images import ImageTask
from tombola.train.optimizers import Adam, Optimizer, Sgd

Batch = tuple[Tensor, Tensor]


def cifar() -> Cifar10 | Cifar100Subset:
    """The pictures to measure on: CIFAR-10 where its folder is here, else the part of CIFAR-100."""
    return Cifar10() if sources.local_folder("cifar10") else Cifar100Subset()


class Crop:
    """A random window of a picture with a black border of so many pixels."""

    def __init__(self, border: int) -> None:
        self.border = border

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        padded = ImageOps.expand(image, border=self.border, fill=0)
        top = int(torch.randint(0, padded.height - height + 1, (1,)))
        left = int(torch.randint(0, padded.width - width + 1, (1,)))
        return padded.crop((left, top, left + width, top + height))


class Mirror:
    """Mirrored, or not, with equal chance."""

    def __call__(self, image: Image.Image) -> Image.Image:
        return ImageOps.mirror(image) if torch.rand(1) < 0.5 else image


class ToTensor:
    """Floats in [0, 1], channels first."""

    def __call__(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image)).view(image.height, image.width, -1)
        return pixels.permute(2, 0, 1).contiguous().float().div(255)


class Normalise:
    """Less the mean, by the deviation, of each channel; as a library does it, checked and on a copy."""

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        self.mean, self.deviation = mean, deviation

    def __call__(self, values: Tensor) -> Tensor:
        mean = torch.as_tensor(self.mean, dtype=values.dtype, device=values.device)
        deviation = torch.as_tensor(self.deviation, dtype=values.dtype, device=values.device)
        if (deviation == 0).any():
            raise Refused(f"normalise: a deviation of {self.deviation} divides by zero. Leave that channel as it is.")
        return values.clone().sub_(mean.view(-1, 1, 1)).div_(deviation.view(-1, 1, 1))


class Pictures(Dataset[tuple[Tensor, int]]):
    """A task's training pictures, one at a time: bytes to PIL, then one transform after the other.

    What is drawn comes from PyTorch's global generator, as is usual.
    """

    def __init__(self, task: ImageTask, *, augment: Literal["yes", "no"] = "yes") -> None:
        arrays, _ = sources.load(task.source())
        self.pixels, self.labels = arrays.train_images, arrays.train_labels
        self.transforms: list[Callable[[Any], Any]] = [ToTensor(), Normalise(*task.own_constants())]
        if augment == "yes" and task.flip == "yes":
            self.transforms.insert(0, Mirror())
        if augment == "yes" and task.crop:
            self.transforms.insert(0, Crop(task.crop))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.pixels[index]
        value: Any = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        for transform in self.transforms:
            value = transform(value)
        return value, int(self.labels[index])


def batches(task: ImageTask, *, size: int, workers: int = 0) -> Iterator[Batch]:
    """Shuffled batches without end; worker processes, if any, live on from epoch to epoch."""
    loader = DataLoader(
        Pictures(task), batch_size=size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    while True:
        yield from cast(Iterable[Batch], loader)


class Multiplied(nn.Module):
    """The weights are multiplied by the mask in place at the start of every forward pass."""

    def __init__(self, net: nn.Module, mask: Mask) -> None:
        super().__init__()
        self.net = net
        for name in mask:
            self.register_buffer(_buffer(name), mask[name].float())

    def forward(self, inputs: Tensor) -> Tensor:
        buffers = dict(self.named_buffers(recurse=False))
        for name, weight in self.net.named_parameters():
            if _buffer(name) in buffers:
                weight.data.mul_(buffers[_buffer(name)])
        return self.net(inputs)


def _buffer(name: str) -> str:
    return "mask of " + name.replace(".", " ")  # The name of a buffer has no dots.


class _Product(nn.Module):
    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.float())

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


def parametrized(net: nn.Module, mask: Mask) -> nn.Module:
    """Every weight becomes a product with its mask, by `torch.nn.utils.parametrize`."""
    for name in mask:
        module, _, leaf = name.rpartition(".")
        parametrize.register_parametrization(net.get_submodule(module), leaf, _Product(mask[name]))
    return net


def pruned(net: nn.Module, mask: Mask) -> nn.Module:
    """Every weight becomes a product with its mask, by `torch.nn.utils.prune`."""
    for name in mask:
        module, _, leaf = name.rpartition(".")
        prune.custom_from_mask(net.get_submodule(module), leaf, mask[name])
    return net


MASKINGS: dict[str, Callable[[nn.Module, Mask], nn.Module]] = {
    "multiplied in forward": Multiplied,
    "parametrize": parametrized,
    "torch prune": pruned,
}
"""By name: each turns a network and a mask into a network that is trained like any other."""


def optimizer(of: Optimizer, net: nn.Module) -> torch.optim.Optimizer:
    """PyTorch's optimiser with the numbers of a recipe's, and else as PyTorch makes it by default: not fused."""
    if type(of) is Sgd and of.nesterov == "no" and of.coupling == "coupled":
        return torch.optim.SGD(net.parameters(), lr=of.lr, momentum=of.momentum, weight_decay=of.decay)
    if type(of) is Adam:
        return torch.optim.Adam(net.parameters(), lr=of.lr, betas=of.betas, eps=of.eps, weight_decay=of.decay)
    raise Refused(f"the usual ways are measured with plain sgd and adam; the recipe has {of}. Take another recipe.")


def loop(net: nn.Module, stepper: torch.optim.Optimizer, feed: Iterator[Batch], *, steps: int) -> Callable[[], None]:
    """The plainest loop: so many steps each time it is called."""

    def train() -> None:
        for _ in range(steps):
            inputs, targets = next(feed)
            loss = functional.cross_entropy(net(inputs), targets)
            stepper.zero_grad()
            loss.backward()
            stepper.step()

    return train
