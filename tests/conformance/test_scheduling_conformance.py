"""Verdicts equal those that kube-scheduler 1.36 gave on the same clusters (README.md tells where they come from).

Three comparisons. *Plugins*: every modelled filter on every node against what that plugin said when run alone,
whatever else is in the cluster. *Verdicts*: the first rejecting plugin, in clusters where nothing is left unmodelled.
*Sequences*: pods that come one after the other, each put where
the scheduler put it before the next is judged. Each counts what it compared and insists on a minimum.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from springtide.cluster.records import PodRecord
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Plugin
from tests.conformance.corpus import cases
from tests.conformance.judges.clusters import cluster_of, pods_of, simulation_of
from tests.conformance.judges.scheduling import differs, verdicts

MODELLED = [plugin for plugin in Plugin if plugin is not Plugin.NOT_MODELLED]
RECORDED = [plugin for plugin in MODELLED if plugin is not Plugin.NODE_NAME]
"""No recorded pod names its node outside of matchFields, so the corpus only says that NodeName lets all pass."""

Record = Callable[[str, object], None]


def wholly_modelled(pods: Iterable[PodRecord]) -> bool:
    """No pod has a constraint that is not modelled, nor may keep others away by one."""
    return not any(pod.shape.unmodelled or pod.shape.repels_others for pod in pods)


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
    assert min(rejected[plugin] for plugin in RECORDED) >= 400


# --- verdicts ----------------------------------------------------------------------------------------------------


def test_the_first_rejecting_plugin_is_the_schedulers(record_testsuite_property: Record) -> None:
    compared: Counter[str] = Counter()
    wrong: list[tuple[Any, ...]] = []
    for case in cases("scheduling-*.jsonl.gz"):
        cluster = cluster_of(case)
        pod = cluster.pod
        assert pod is not None
        everybody = [pod, *cluster.pods["pods"], *cluster.pods["nominatedPods"]]
        if pod.gated or not wholly_modelled(everybody):
            continue
        compared["cases"] += 1
        for result, misfit in zip(case["results"], verdicts(case), strict=True):
            compared[result.get("plugin", "fit")] += 1
            if differs(result, misfit):
                wrong.append((case["id"], result["node"], result, misfit))
    record_testsuite_property("cases_compared", compared["cases"])
    record_testsuite_property("verdicts_compared", sum(compared.values()) - compared["cases"])
    assert not wrong, f"{len(wrong)} differ: {wrong[:10]}"
    assert compared["cases"] >= 550
    assert min(compared[plugin.value] for plugin in RECORDED) >= 100, compared


# --- sequences ---------------------------------------------------------------------------------------------------


def modelled_part(simulation: Simulation, pod: PodRecord) -> list[str]:
    """The nodes that all modelled filters let the pod on."""
    fits = np.ones(simulation.size, dtype=np.bool_)
    for each in FILTERS:
        mask = each.mask(pod.shape, simulation.state)
        if mask is not None and each.plugin in MODELLED:
            fits &= mask
    return [simulation.name(int(index)) for index in np.flatnonzero(fits)]


def test_pods_in_sequence_go_to_the_first_node_that_fits(record_testsuite_property: Record) -> None:
    compared: Counter[str] = Counter()
    wrong: list[tuple[Any, ...]] = []
    for case in cases("sequence.jsonl.gz"):
        simulation = simulation_of(case)
        for pod, place in zip(pods_of(case, "pendingPods"), case["placements"], strict=True):
            fitting = modelled_part(simulation, pod)
            if pod.shape.unmodelled or simulation.repelled.any():
                # What is not modelled can only take nodes away: the scheduler's choice must be among ours.
                kind, right = "one-sided", place is None or place in fitting
            else:
                kind, right = "exact", place == (fitting[0] if fitting else None)
            compared[kind if place else f"{kind}, no place"] += 1
            if not right:
                wrong.append((case["id"], pod.key, place, fitting))
            if place:
                simulation.place_on(pod.shape, simulation.index(place))
    record_testsuite_property("sequence_pods_compared", str(dict(compared)))
    assert not wrong, f"{len(wrong)} of {sum(compared.values())} differ: {wrong[:3]}"
    assert compared["exact"] >= 300
    assert compared["one-sided"] >= 5_000


def test_a_run_of_equal_pods_is_placed_as_if_one_by_one() -> None:
    compared = 0
    for case in cases("sequence.jsonl.gz"):
        at_once = simulation_of(case)
        singly = at_once.fork()
        for shape, run in itertools.groupby(pods_of(case, "pendingPods"), key=lambda pod: pod.shape):
            count = len(list(run))
            batch = at_once.place(shape, count)
            single = [singly.place(shape, 1).indices.tolist() for _ in range(count)]
            assert np.repeat(batch.indices, batch.counts).tolist() == list(itertools.chain(*single)), case[
                "id"
            ]
            compared += batch.placed
    assert compared >= 500
