"""Labels of metrics: names of pools and groups only, any text in them, and never more series than a Prometheus bears."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from springtide.actuation.outcome import UnregisteredTerminated
from springtide.reporting.metrics import MANY_OTHERS, MAX_GROUPS, MAX_POOLS, Metrics
from tests.hostile import NOW


def terminated(pool: str, group: str) -> UnregisteredTerminated:
    return UnregisteredTerminated(at=NOW, pool=pool, group=group, instances=("i-1",), message="")


def series(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Values of a counter by its label values."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_groups_beyond_the_bound_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(MAX_GROUPS + 500):
        metrics.count(terminated("general", f"asg-{number}"))
    metrics.count(terminated("general", "asg-0"))
    counted = series(metrics, "springtide_unregistered_instances_terminated_total")
    assert len(counted) == MAX_GROUPS + 1
    assert counted[MANY_OTHERS, MANY_OTHERS] == 500
    assert counted["general", "asg-0"] == 2


def test_so_are_pools() -> None:
    metrics = Metrics()
    for number in range(MAX_POOLS + 7):
        metrics.purchase_fulfilled(f"pool-{number}", NOW - NOW)
    assert series(metrics, "springtide_purchase_duration_seconds_count")[(MANY_OTHERS,)] == 7


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=255))
def test_a_group_of_any_name_is_written_so_that_it_can_be_read_back(name: str) -> None:
    metrics = Metrics()
    metrics.count(terminated("general", name))
    text = generate_latest(metrics.registry).decode()
    read = [
        sample.labels["group"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "springtide_unregistered_instances_terminated_total"
    ]
    assert read == [name]


def test_no_label_is_named_after_a_pod_or_a_node() -> None:
    """There are too many of them, and they come and go."""
    names = {label for counter in vars(Metrics()).values() for label in getattr(counter, "_labelnames", ())}
    assert "pool" in names
    assert {"pod", "node", "namespace", "instance", "shape", "uid"}.isdisjoint(names)
