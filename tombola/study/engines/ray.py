"""A Ray cluster: Ray places the calls on CPUs and GPUs, and repeats those whose process or node died.

Results meet in the store, which every node must see under the same path.
"""

import functools
import os
import pickle
import socket
import time
from collections.abc import Sequence
from typing import Any

from tombola.core.errors import Failed, Refused
from tombola.core.machine import Machine
from tombola.study.deferred import Deferred
from tombola.study.driver import ATTEMPTS
from tombola.study.engines import allocator
from tombola.study.engines.engine import Lost, Told
from tombola.study.execute import Job, Outcome, execute, job_of
from tombola.study.store import Store

PAUSE = 1.0
"""Seconds between two words of progress from one call: they cross the network."""
LOCAL = "local"
"""Ray's word for a cluster of one's own; without it Ray joins whichever was last started on the machine."""
AHEAD = 2
"""So many calls for each place are handed to Ray at once, so that none stands idle between two."""


class Ray:
    """Calls as Ray tasks.

    Args:
        address: "host:port" of a cluster's head, "auto" for the one of this machine; "" for the one that the
            environment variable RAY_ADDRESS names, as inside of a Ray job, or else to start one here.
        machine: Threads and device of one call: what is asked of Ray for it.

    Raises:
        Refused: If Ray is not installed, or no cluster answers.
    """

    name = "ray"

    def __init__(self, address: str = "", *, machine: Machine = Machine()) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Nobody is told of what runs here.
        address = address or os.environ.get("RAY_ADDRESS") or LOCAL
        if address.partition(":")[0] in (LOCAL, "auto", "127.0.0.1", "localhost"):
            # Else Ray takes 127.0.0.1 for the machine's outer address, and a cluster that listens inside only never
            # answers. The variable's name tells of another use; all that it does for `init` is this.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            import ray
        except ImportError as error:
            raise Refused("--engine ray needs Ray, which is not installed: pip install 'tombola[ray]'.") from error
        self.ray: Any = ray
        _check(address)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        own: dict[str, Any] = {} if address != LOCAL else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            self.ray.init(address=address, **quiet, **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise Refused(f"no Ray cluster can be used at '{address}': {error}") from error
        gpus = 1 if machine.device.startswith("cuda") else 0
        self.task = self.ray.remote(_run).options(num_cpus=machine.threads, num_gpus=gpus, max_retries=ATTEMPTS - 1)
        self.machine, self.looked, self.places = machine, 0.0, 1
        self.ears = self._new_ears()
        self.keys: dict[Any, list[str]] = {}
        self.begun: dict[str, int] = {}

    @property
    def slots(self) -> int:
        """As many calls as the cluster has places for now, and as many again."""
        if time.monotonic() - self.looked > 5:
            there = self.ray.cluster_resources()
            gpus = there.get("GPU", 0) if self.machine.device.startswith("cuda") else float("inf")
            self.places = max(1, int(min(there.get("CPU", 1) // self.machine.threads, gpus)))
            self.looked = time.monotonic()
        return AHEAD * self.places

    def submit(self, calls: Sequence[Deferred], store: Store) -> str:
        """Hand calls to Ray."""
        jobs = [job_of(call, store=store) for call in calls]
        for job in jobs:
            self.begun.pop(job.key, None)
        self.keys[self.task.remote(pickle.dumps(jobs), self.ears)] = [job.key for job in jobs]
        return "ray"

    def wait(self, timeout: float) -> list[Told | Outcome | Lost]:
        """What calls say, and what has become of them."""
        refs = list(self.keys)
        done, _ = self.ray.wait(refs, num_returns=len(refs), timeout=min(timeout, 0.2))
        heard: list[Told | Outcome | Lost] = []
        for words in self._words():
            heard += self._told(*words)
        if not done:
            first, _ = self.ray.wait(refs, num_returns=1, timeout=0 if heard else timeout)
            done = first
        return heard + [outcome for ref in done for outcome in self._outcomes(ref)]

    def close(self, *, stop: bool) -> None:
        """Leave the cluster; with `stop` what is under way is ended."""
        for ref in self.keys if stop else ():
            self.ray.cancel(ref, force=True)
        self.ray.shutdown()

    def _new_ears(self) -> Any:
        node = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self.ray.get_runtime_context().get_node_id(), soft=False
        )
        return self.ray.remote(_Ears).options(num_cpus=0, scheduling_strategy=node).remote()

    def _words(self) -> list[tuple[str, str, dict[str, Any]]]:
        try:
            return self.ray.get(self.ears.drain.remote())
        except self.ray.exceptions.RayActorError:  # Words of progress are lost with it, and nothing else.
            self.ears = self._new_ears()
            return []

    def _told(self, key: str, happening: str, facts: dict[str, Any]) -> list[Told]:
        if happening != "begun":
            return [Told(key, happening, facts)]
        self.begun[key] = times = self.begun.get(key, 0) + 1
        lost = {**facts, "why": "was lost with its process or its node", "attempt": times - 1}
        return [Told(key, "lost", lost)] if times > 1 else []  # Ray itself has begun it again.

    def _outcomes(self, ref: Any) -> list[Outcome]:
        keys = self.keys.pop(ref)
        try:
            return self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:  # Before or after the step itself, which raises nothing.
            raise Failed(f"a Ray worker cannot run calls of tombola: {error.cause}") from error
        except self.ray.exceptions.RayError as error:
            said = f"Ray gave up after {ATTEMPTS} attempts: {str(error).splitlines()[0]}"
            return [Outcome(key, "failed", error=said, trace=str(error)) for key in keys]


def _check(address: str) -> None:
    """Find out quickly whether a cluster answers: Ray itself would try for long."""
    if address.startswith("ray://"):
        raise Refused(f"--address {address}: run tombola on a node of the cluster, with --address auto or HOST:PORT.")
    if address in ("auto", LOCAL):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Refused(f"--address is '{address}'. It is HOST:PORT of the cluster's head, or auto.")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise Refused(
            f"no Ray cluster answers at {address} ({error.strerror or error}). Start one there (ray start --head), or "
            "leave --address out: then one is started on this machine."
        ) from error


class _Ears:
    """An actor on the driver's node that keeps what calls say until the driver asks for it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any]]] = []

    def hear(self, key: str, happening: str, facts: dict[str, Any]) -> None:
        self.heard.append((key, happening, facts))

    def drain(self) -> list[tuple[str, str, dict[str, Any]]]:
        heard, self.heard = self.heard, []
        return heard


def _run(payload: bytes, ears: Any) -> list[Outcome]:
    """The Ray task: jobs that run together, in whatever process Ray has chosen."""
    jobs: list[Job] = pickle.loads(payload)
    last: dict[str, float] = {}
    allocator.keep_memory()

    def tell(key: str, happening: str, facts: dict[str, Any]) -> None:
        if happening != "progress" or time.monotonic() - last.get(key, 0.0) > PAUSE:
            last[key] = time.monotonic()
            ears.hear.remote(key, happening, facts)

    for job in jobs:
        tell(job.key, "begun", {"worker": _where()})
    return list(execute(jobs, tell))


@functools.cache
def _where() -> str:
    import ray

    context: Any = ray.get_runtime_context()
    return f"{context.get_node_id()[:8]}/{os.getpid()}"
