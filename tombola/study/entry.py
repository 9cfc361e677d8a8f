"""The record of a result: the call, what came out, where and how it was made, and what that took."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from tombola.core.artifact import Artifact
from tombola.core.call import Call
from tombola.core.machine import Machine
from tombola.study import provenance
from tombola.study.environment import Environment
from tombola.study.shelf import Packed
from tombola.study.step import Meter


def record_of(
    call: Call,
    result: Artifact,
    packed: Packed,
    *,
    machine: Machine,
    environment: Environment,
    seconds: float,
    meter: Meter,
) -> dict[str, Any]:
    """What is written about a result.

    Args:
        packed: Its files.
        seconds: How long the call took, by the clock on the wall.
        meter: What it counted itself: operations, seconds of the device, images.
    """
    took = {
        "machine": str(machine),
        "device": machine.device,
        "seconds": seconds,
        "peak_memory": provenance.peak_memory(),
        **counted(meter, seconds),
        "bytes": packed.size,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return {
        "call": call.text,
        "key": call.key,
        "function": call.function,
        "version": call.version,
        "arguments": call.canonical,
        "inputs": call.inputs,
        "environment": dict(environment),
        "numbers": result.numbers(),
        "checks": result.proofs(),
        "header": packed.header,
        "groups": packed.groups,
        "files": packed.files,
        "provenance": {**provenance.software(), **provenance.hardware(), **took},
    }


def counted(meter: Meter, seconds: float) -> Mapping[str, float]:
    """What a call counted, and what follows from it: images a second, over the seconds of the whole call.

    Example:
        >>> counted(Meter(flops=2.0), 4.0)["flops"]
        2.0
    """
    found: dict[str, float] = dataclasses.asdict(meter)
    images = found.get("images", 0)
    return {**found, "images_per_second": images / seconds} if images and seconds > 0 else found
