"""Where a computation runs: never part of a key or of what a result means."""

from tombola.core.plugin import plugin


@plugin("machine", "machine")
class Machine:
    """Device, threads and habits of the machine that a run happens on.

    `threads` of 1 is right for small networks and for many runs side by side; `checkpoint` is the number of seconds
    between checkpoints of a training.

    Example:
        >>> Machine(threads=2)
        machine(threads=2)
    """

    device: str = "cpu"
    threads: int = 1
    checkpoint: float = 30.0
