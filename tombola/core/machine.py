"""Where a computation runs: never part of a key or of what a result means."""

from typing import Literal

from tombola.core.errors import Refused
from tombola.core.plugin import plugin

MOST = 32
"""Networks that share a GPU, if nothing is said and its memory holds them."""


@plugin("machine", "machine")
class Machine:
    """Device, threads and habits of the machine that a run happens on.

    `threads` of 1 is right for small networks and for many runs side by side; `checkpoint` is the number of seconds
    between checkpoints of a training. `layout` is how pictures and their weights lie in memory, `compile` what is
    compiled. `fleet` is how many networks train as one program (0: one on a CPU; as many as its memory holds, up to 32,
    on a GPU).

    Device, threads, layout and compilation change results within rounding: they are a result's environment.

    Example:
        >>> Machine(threads=2)
        machine(threads=2)
    """

    device: str = "cpu"
    threads: int = 1
    checkpoint: float = 30.0
    layout: Literal["channels_last", "contiguous"] = "channels_last"
    compile: Literal["nothing", "network"] = "nothing"
    fleet: int = 0

    @property
    def places(self) -> int:
        """How many networks train as one program at most."""
        return self.fleet or (1 if self.device == "cpu" else MOST)

    def __post_init__(self) -> None:
        """Numbers are checked as soon as they are written."""
        for name, low in (("threads", 1), ("fleet", 0), ("checkpoint", 0)):
            if getattr(self, name) < low:
                raise Refused(f"machine: field '{name}' is {getattr(self, name)}. It is {low} or more.")
