"""A cluster of Ray of several nodes on this machine, bound to loopback: python ray_cluster.py NODES

It prints the head's address once all nodes are up. ``kill`` on standard input kills the newest
node as a power failure would; the end of the input ends them all.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

NODE = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
HEAD = {"num_cpus": 0, "include_dashboard": False}

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args=NODE | HEAD)
    nodes = [cluster.add_node(**NODE) for _ in range(int(sys.argv[1]))]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()
