"""What lies beneath the verdicts of the corpora (see test_corpora.py): every plugin alone, and many pods at once.

Each test counts what it compared and insists on a minimum.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.verdict import Plugin
from tests.conformance.corpus import cases
from tests.conformance.judges.clusters import cluster_of, pods_of, simulation_of

MODELLED = [plugin for plugin in Plugin if plugin is not Plugin.NOT_MODELLED]
RECORDED = [plugin for plugin in MODELLED if plugin is not Plugin.NODE_NAME]
"""No recorded pod names its node outside of matchFields, so the corpus only says that NodeName lets all pass."""

Record = Callable[[str, object], None]


# --- plugins -----------------------------------------------------------------------------------------------------


def plugin_answers(case: dict[str, Any]) -> Iterator[tuple[str, Plugin, bool, bool]]:
    """(node, plugin, ours, the scheduler's): does the plugin, alone, reject the node?"""
    cluster = cluster_of(case)
    assert cluster.pod is not None
    state, shape = cluster.simulation.state, cluster.pod.shape
    rejecting = {plugin: set[str]() for plugin in MODELLED}
    for each in FILTERS:
        mask = each.mask(shape, state)
        if mask is not None and each.plugin in rejecting:
            rejecting[each.plugin].update(state.nodes.names[i] for i in (~mask).nonzero()[0])
    for result in case["results"]:
        if result["fit"] or result["phase"] == "Filter":
            for plugin in MODELLED:
                said = plugin.value in result.get("rejects", ())
                yield result["node"], plugin, result["node"] in rejecting[plugin], said


def test_every_plugin_rejects_the_nodes_it_rejects_in_the_scheduler(
    record_testsuite_property: Record,
) -> None:
    compared: Counter[Plugin] = Counter()
    rejected: Counter[Plugin] = Counter()
    wrong: list[tuple[Any, ...]] = []
    for case in cases("scheduling-*.jsonl.gz"):
        for node, plugin, ours, theirs in plugin_answers(case):
            compared[plugin] += 1
            rejected[plugin] += theirs
            if ours != theirs:
                wrong.append((case["id"], node, plugin.value, ours, theirs))
    record_testsuite_property("plugin_verdicts_compared", sum(compared.values()))
    assert not wrong, f"{len(wrong)} of {sum(compared.values())} differ: {wrong[:10]}"
    assert min(compared.values()) >= 20_000
    assert min(rejected[plugin] for plugin in RECORDED) >= 300


# --- sequences ---------------------------------------------------------------------------------------------------


def test_a_run_of_equal_pods_is_placed_as_if_one_by_one() -> None:
    compared = 0
    for case in cases("sequence.jsonl.gz"):
        at_once = simulation_of(case)
        singly = at_once.fork()
        for shape, run in itertools.groupby(pods_of(case, "pendingPods"), key=lambda pod: pod.shape):
            count = len(list(run))
            batch = at_once.place(shape, count)
            single = [singly.place(shape, 1).indices.tolist() for _ in range(count)]
            there = np.repeat(batch.indices, batch.counts).tolist()
            assert there == sorted(itertools.chain(*single)), case["id"]
            compared += batch.placed
    assert compared >= 500
