"""Half a training on disk: enough to go on bit for bit. Batches need no state: they are functions of the step."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tombola.core import container, files
from tombola.core.artifact import Parts
from tombola.core.errors import Damaged

NAME = "checkpoint.safetensors"


@dataclasses.dataclass
class Progress:
    """Where a training stands: the next step, its curve so far, losses since the last point of it, the best weights."""

    step: int
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    losses: list[Tensor] = dataclasses.field(default_factory=list)
    best: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    best_accuracy: float = -1.0
    best_step: int = 0
    stale: int = 0
    seconds: float = 0.0
    device_seconds: float = 0.0


def pack(net: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> Parts:
    """A copy of everything that the rest of the training depends on."""
    header = {
        "step": progress.step,
        "best_accuracy": progress.best_accuracy,
        "best_step": progress.best_step,
        "stale": progress.stale,
        "seconds": progress.seconds,
        "device_seconds": progress.device_seconds,
    }
    state = {
        f"{index}.{name}": value.clone()
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if isinstance(value, Tensor)
    }
    groups: dict[str, Mapping[str, Tensor]] = {
        "weights": {name: value.detach().clone() for name, value in net.state_dict().items()},
        "optimizer": state,
        "best": progress.best,
        "losses": {"values": torch.stack(progress.losses)} if progress.losses else {},
    }
    return Parts(header, groups, tuple(progress.rows))


def unpack(parts: Parts, net: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put network and optimiser back where they were; the inverse of `pack`."""
    net.load_state_dict(dict(parts.groups["weights"]))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in parts.groups.get("optimizer", {}).items():
        index, _, entry = name.partition(".")
        like = parameters[int(index)]
        if value.shape == like.shape:  # Fused kernels run through memory: state must be laid out as its weight is.
            value = torch.empty_like(like).copy_(value)
        state.setdefault(int(index), {})[entry] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({**whole, "state": state})
    losses = parts.groups.get("losses", {})
    return Progress(
        rows=[dict(row) for row in parts.rows],
        losses=list(losses["values"].to(parameters[0].device)) if losses else [],  # Others are stacked behind them.
        best=dict(parts.groups.get("best", {})),
        **parts.header,
    )


def write(folder: pathlib.Path, parts: Parts) -> None:
    """Write the checkpoint, whole or not at all.

    Raises:
        Failed: If the disk is full; the checkpoint before it is kept.
    """
    files.write_bytes(folder / NAME, container.encode("checkpoint", parts))


def read(folder: pathlib.Path) -> Parts | None:
    """The checkpoint in a folder; None if there is none, or a damaged one, which counts for nothing."""
    if not (folder / NAME).exists():
        return None
    try:
        return container.decode("checkpoint", files.read_bytes(folder / NAME))
    except Damaged:
        return None
