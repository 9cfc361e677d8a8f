"""What works on this machine and what does not, with the way out."""

import dataclasses
import importlib.metadata
import pathlib
import shutil
import sys
from typing import Any

import torch

from tombola.core.errors import Refused
from tombola.core.files import check_writable
from tombola.study import provenance
from tombola.study.store import Store
from tombola.tasks.status import statuses
from tombola.train import bfloat, compiled

OLDEST_TORCH = (2, 11)
ROOM = 2**30


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `needed` things that are not ok make the doctor fail; others are only told."""

    name: str
    ok: bool
    detail: str
    needed: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


def examine(*, store: str = "runs") -> list[Finding]:
    """Everything that runs depend on: versions, devices, data, store, disk.

    Example:
        >>> [finding.name for finding in examine()][:2]
        ['python', 'torch']
    """
    return [*_versions(), *_devices(), *_data(), *_store(store)]


def _versions() -> list[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    numbers = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    torch_ok = numbers >= OLDEST_TORCH
    found = [
        Finding("python", sys.version_info >= (3, 11), python),
        Finding("torch", torch_ok, torch.__version__ + ("" if torch_ok else "; install torch 2.11 or newer")),
    ]
    for name, purpose, needed in (
        ("safetensors", "ticket files", True),
        ("datasets", "data sets", True),
        ("matplotlib", "figures as files: pip install 'tombola[report]'", False),
    ):
        try:
            found.append(Finding(name, True, importlib.metadata.version(name), needed))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, False, f"not installed ({purpose})", needed))
    return found


def _devices() -> list[Finding]:
    cores = provenance.cores()
    found = [Finding("processor", True, f"{provenance.processor()}, {cores} cores; one training a core is fastest")]
    units = torch.backends.cpu.get_cpu_capability()
    slow = "; no AVX2: everything works, several times slower" if units == "DEFAULT" else ""
    half = "with" if bfloat.native() else "without"
    found.append(Finding("vector units", not slow, f"{units}, {half} bfloat16{slow}", needed=False))
    compiler = next((name for name in compiled.COMPILERS if shutil.which(name)), "")
    way = compiler or 'none: --machine "machine(compile=network)" needs g++ or clang++'
    found.append(Finding("compiler", bool(compiler), way, needed=False))
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        found.append(Finding("cuda", True, ", ".join(names), needed=False))
    else:
        found.append(Finding("cuda", False, "no device; runs are on the processor", needed=False))
    return found


def _data() -> list[Finding]:
    found: list[Finding] = []
    for one in statuses():
        way = (
            f"`tombola data {one.task}` fetches it from the hub" if one.hub_id else "put its folder under TOMBOLA_DATA"
        )
        where = {"hub": f"not here; {way}"}.get(one.where, one.where)
        checked = ", checked" if one.checked else ""
        found.append(Finding(f"data: {one.task}", one.here, where + checked, needed=False))
    return found


def _store(store: str) -> list[Finding]:
    path = pathlib.Path(store)
    try:
        number = len(Store(path).keys())
        check_writable(path / "probe")
        detail = f"{path.resolve()}, {number} finished calls"
        found = [Finding("store", True, detail)]
    except (Refused, RuntimeError) as error:
        return [Finding("store", False, str(error))]
    free = shutil.disk_usage(path).free
    found.append(Finding("disk", free > ROOM, f"{free / 2**30:.1f} GiB free" + ("" if free > ROOM else "; make room")))
    return found
