"""What the demo runs: pods of a production cluster by their shapes, in two waves, and what remains of them at night."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import cycle, islice
from typing import Any

NAMESPACE = "springtide-demo"
SELECTOR = "app.kubernetes.io/part-of=springtide-demo"
GPU = "nvidia.com/gpu"

FIRST_WAVE_PERCENT = 75
"""Share of the pods in the first burst; the others follow in the second wave."""

NIGHT_EVERY = 6
"""Of so many replicas of a Deployment without GPUs, one goes on in the quiet phase; GPU work has all ended."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Shape:
    """What one pod of the trace requests."""

    cpu_milli: int
    memory_mib: int
    gpus: int

    @property
    def name(self) -> str:
        """Of its Deployment: ``openb-c12500m-57344mi`` or ``openb-c16000m-32768mi-g1``."""
        gpus = f"-g{self.gpus}" if self.gpus else ""
        return f"openb-c{self.cpu_milli}m-{self.memory_mib}mi{gpus}"

    def requests(self) -> dict[str, str]:
        """As a container's requests."""
        requests = {"cpu": f"{self.cpu_milli}m", "memory": f"{self.memory_mib}Mi"}
        return requests | ({GPU: str(self.gpus)} if self.gpus else {})


Replicas = Mapping[Shape, int]
"""How many pods there shall be of each shape."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The three states of the demo's day."""

    burst: Replicas
    second_wave: Replicas
    """Includes the burst."""
    night: Replicas

    @classmethod
    def of(cls, pods: int) -> Workload:
        """The first so many pods of the packaged slice of the trace, which starts again when it ends."""
        shapes = list(islice(cycle(trace()), pods))
        everything = Counter(shapes)
        return cls(
            burst=Counter(shapes[: max(1, pods * FIRST_WAVE_PERCENT // 100)]),
            second_wave=everything,
            night={shape: _at_night(shape, count) for shape, count in everything.items()},
        )


def _at_night(shape: Shape, replicas: int) -> int:
    return 0 if shape.gpus else replicas // NIGHT_EVERY


def total(replicas: Replicas) -> int:
    """Pods altogether."""
    return sum(replicas.values())


@cache
def trace() -> tuple[Shape, ...]:
    """The packaged slice, in its order; see data/NOTICE."""
    table = files("springtide.cli.demo") / "data" / "openb_pods.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return tuple(
        Shape(cpu_milli=int(row["cpu_milli"]), memory_mib=int(row["memory_mib"]), gpus=int(row["num_gpu"]))
        for row in rows
    )


def describe(replicas: Replicas) -> str:
    """In words: "120 pods of 17 shapes, 30 of them with GPUs; 1297 CPU, 5044 GiB, 30 GPUs"."""
    present = {shape: count for shape, count in replicas.items() if count}
    cpu = sum(shape.cpu_milli * count for shape, count in present.items()) / 1000
    memory = sum(shape.memory_mib * count for shape, count in present.items()) / 1024
    gpus = sum(shape.gpus * count for shape, count in present.items())
    with_gpus = sum(count for shape, count in present.items() if shape.gpus)
    asking = f", {with_gpus} of them with GPUs" if with_gpus else ""
    return f"{total(present)} pods of {len(present)} shapes{asking}: {cpu:,.0f} CPU, {memory:,.0f} GiB, {gpus} GPUs"


def deployments(replicas: Replicas) -> list[dict[str, Any]]:
    """One Deployment a shape, largest first."""
    return [_deployment(shape, count) for shape, count in sorted(replicas.items(), reverse=True)]


def changed(before: Replicas, after: Replicas) -> Replicas:
    """What of `after` must be applied when `before` is there."""
    return {shape: count for shape, count in after.items() if before.get(shape) != count}


def _deployment(shape: Shape, replicas: int) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": NAMESPACE, "app.kubernetes.io/name": shape.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": shape.name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod_spec(shape)},
        },
    }


def _pod_spec(shape: Shape) -> dict[str, Any]:
    requests = shape.requests()
    # Extended resources cannot be overcommitted: Kubernetes wants the limit stated, and equal.
    limits = {GPU: requests[GPU]} if shape.gpus else {}
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {"name": "main", "image": "pause", "resources": {"requests": requests, "limits": limits}}
        ],
    }
    if shape.gpus:
        spec["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return spec
