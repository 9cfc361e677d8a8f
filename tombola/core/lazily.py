"""Mappings whose values are made when they are asked for: a network's scores need not lie in memory side by side."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from torch import Tensor


class Lazily(Mapping[str, Tensor]):
    """Names to tensors that a function makes, anew each time.

    Example:
        >>> import torch
        >>> squares = Lazily(("a", "b"), lambda name: torch.tensor([ord(name)]) ** 2)
        >>> list(squares), squares["b"].tolist()
        (['a', 'b'], [9604])
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], Tensor]) -> None:
        self._names, self._make = dict.fromkeys(names), make

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of a name, made now."""
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a name; nothing is made."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """The names, in order."""
        return iter(self._names)

    def __len__(self) -> int:
        """The number of tensors."""
        return len(self._names)


class Elementwise(Lazily):
    """Names to what a function makes of each number of their tensors by itself, such as `torch.abs`.

    Whoever needs only a part of a tensor may give the function just that part.

    Example:
        >>> import torch
        >>> Elementwise({"w": torch.tensor([-1.0, 2.0])}, torch.abs)["w"].tolist()
        [1.0, 2.0]
    """

    def __init__(self, tensors: Mapping[str, Tensor], function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(tensors, lambda name: function(tensors[name]))
        self.tensors, self.function = tensors, function
