"""o: all pods of a recorded production GPU cluster at once, any number of nodes of each of its kinds. See data/README.md."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.manifests import MIB, Manifest, pod
from benchmarks.scene import EAGER_POLICY, Pool, Scene, group

DATA = Path(__file__).parent / "data"
GPU = "nvidia.com/gpu"


def openb(policy: Mapping[str, Any] = EAGER_POLICY) -> Scene:
    """8,152 pods with whole GPUs, 27 kinds of node, at most 10,000 of each."""
    return Scene(pools=tuple(_pools()), pods=_pods, policy=policy)


def _pods() -> Iterator[Manifest]:
    with gzip.open(DATA / "openb_pods.csv.gz", "rt", encoding="ascii") as file:
        for number, row in enumerate(csv.DictReader(file)):
            requests = {"cpu": int(row["cpu_milli"]), "memory": int(row["memory_mib"]) * MIB}
            if row["num_gpu"] != "0":
                requests[GPU] = int(row["num_gpu"])
            yield pod(f"openb-{number:04}", requests)


def _pools() -> Iterator[Pool]:
    with (DATA / "openb_node_shapes.csv").open(encoding="ascii") as file:
        for row in csv.DictReader(file):
            cpu, memory_mib, gpu = int(row["cpu_milli"]), int(row["memory_mib"]), int(row["gpu"])
            resources = {"cpu": cpu, "memory": memory_mib * MIB, "pods": 110}
            if gpu:
                resources[GPU] = gpu
            name = f"{cpu // 1000}x{memory_mib // 1024}x{gpu}{row['model'].lower()}"
            yield Pool(name=name, groups=(group(name, resources, max_size=10_000),))
