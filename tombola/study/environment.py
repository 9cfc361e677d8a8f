"""The environment of a result: what of a machine changes bits, within rounding. Kept beside the key, never part of it.

It is a kind of device, a number of threads, a layout, what is compiled, and a version of PyTorch. How many workers
there are, how many networks train as one program and how often a checkpoint is written are not in it.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from tombola.core.canon import digest_of
from tombola.core.errors import Damaged
from tombola.core.machine import Machine

FIELDS = ("device", "threads", "layout", "compile", "torch")
UNKNOWN = "?"
"""What a record does not tell. It counts as equal to anything."""
DIGITS = 8
NAME = re.compile(rf"[0-9a-f]{{{DIGITS}}}")

Environment = Mapping[str, str]
Reuse = Literal["any", "same"]
"""Whether results of any environment count as done, or only those of the same one."""


def environment(machine: Machine) -> dict[str, str]:
    """The environment of what runs on this machine, in this process.

    Example:
        >>> found = environment(Machine(threads=2))
        >>> found["threads"], found["layout"], found["device"].split()[0]
        ('2', 'channels_last', 'cpu')
    """
    import torch

    return {
        "device": _device(machine.device),
        "threads": str(machine.threads),
        "layout": machine.layout,
        "compile": machine.compile,
        "torch": _public(str(torch.__version__)),
    }


def _device(device: str) -> str:
    """A kind of device and its make: those of one make give the same bits, whichever of them it is."""
    import torch

    kind = device.partition(":")[0]
    if kind == "cpu":
        return f"cpu {torch.backends.cpu.get_cpu_capability()}"
    if kind == "cuda":  # Who plans a run need not have the devices that it will run on.
        return f"cuda {torch.cuda.get_device_name(device)}" if torch.cuda.is_available() else f"cuda {UNKNOWN}"
    return kind


def _public(version: str) -> str:
    """A version without what tells of its build: it follows from the device."""
    return version.partition("+")[0]


def environment_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The environment that a record tells; of an older record what follows from its provenance.

    Raises:
        Damaged: If what it tells is no environment.

    Example:
        >>> old = {"provenance": {"machine": "machine(threads=2)", "device": "cpu", "torch": "2.13.0+cpu"}}
        >>> in_words(environment_of(old))
        'cpu ?, 2 threads, layout ?, compile ?, torch 2.13.0'
    """
    if "environment" in record:
        return checked(record["environment"], f"the record of {record.get('key')}")
    told: Any = record.get("provenance")
    took = cast(dict[str, Any], told) if isinstance(told, dict) else {}
    device = took.get("device")
    version = took.get("torch")
    return {
        "device": f"{device.partition(':')[0]} {UNKNOWN}" if isinstance(device, str) else UNKNOWN,
        "threads": _threads(took.get("machine")),
        "layout": UNKNOWN,
        "compile": UNKNOWN,
        "torch": _public(version) if isinstance(version, str) else UNKNOWN,
    }


def _threads(machine: Any) -> str:
    if not isinstance(machine, str) or not machine.startswith("machine"):
        return UNKNOWN
    told = re.search(r"\bthreads=(\d+)", machine)
    return told[1] if told else "1"  # A machine's text leaves out what is at its default.


def checked(told: Any, where: str) -> dict[str, str]:
    """An environment as it was written somewhere; fields that only a later tombola knows stay in it.

    Raises:
        Damaged: If it is none.
    """
    members = cast(dict[Any, Any], told) if isinstance(told, dict) else {}
    wrong = [name for name in FIELDS if not isinstance(members.get(name), str) or not members[name]]
    if wrong or not all(isinstance(part, str) for pair in members.items() for part in pair):
        raise Damaged(
            f"{where} tells no sound environment: {told!r}. It is an object with a text for each of "
            f"{', '.join(FIELDS)} ('{UNKNOWN}' where it is not known)."
        )
    return cast(dict[str, str], members)


def name_of(environment: Environment) -> str:
    """Eight digits that name an environment.

    Example:
        >>> len(name_of(environment(Machine())))
        8
    """
    return _name_of(tuple(environment.items()))


@functools.cache
def _name_of(members: tuple[tuple[str, str], ...]) -> str:
    return digest_of(dict(members))[:DIGITS]


def alike(one: Environment, other: Environment) -> bool:
    """Whether two environments may be one: whatever both tell is equal.

    Example:
        >>> here = environment(Machine())
        >>> alike(here, {**here, "layout": "?"}), alike(here, {**here, "threads": "8"})
        (True, False)
    """
    return all(_alike(value, other.get(name, UNKNOWN)) for name, value in one.items())


def _alike(one: str, other: str) -> bool:
    if one == other or UNKNOWN in (one, other):
        return True
    kinds, makes = zip(one.partition(" ")[::2], other.partition(" ")[::2], strict=True)
    return kinds[0] == kinds[1] and UNKNOWN in makes


def in_words(environment: Environment) -> str:
    """An environment in words.

    Example:
        >>> in_words(
        ...     {"device": "cpu AVX2", "threads": "1", "layout": "contiguous", "compile": "network", "torch": "2.13.0"}
        ... )
        'cpu AVX2, 1 thread, contiguous, compile network, torch 2.13.0'
    """
    threads = f"{environment['threads']} thread{'s' * (environment['threads'] != '1')}"
    layout = environment["layout"] if environment["layout"] != UNKNOWN else f"layout {UNKNOWN}"
    compiled = [f"compile {environment['compile']}"] * (environment["compile"] != "nothing")
    more = [f"{name} {value}" for name, value in environment.items() if name not in FIELDS]
    words = [environment["device"], threads, layout, *compiled, f"torch {environment['torch']}", *more]
    return ", ".join(words)
