"""Two real Ray nodes on this machine, on 127.0.0.1 only. Says "ADDRESS" when they are up, kills one on "kill"."""

import os
import signal
import subprocess
import sys

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", OMP_NUM_THREADS="1")

from ray.cluster_utils import Cluster  # noqa: E402


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def main() -> None:
    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, connect=False, head_node_args={**node, "include_dashboard": False})
    second = cluster.add_node(**node)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":  # As when a machine dies: all of its processes at once.
            processes = [one.process.pid for kind in second.all_processes.values() for one in kind]
            for child in [found for pid in processes for found in children(pid)]:
                os.kill(child, signal.SIGKILL)
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
