"""spec.template laid over what a provider knows."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from springtide.api.nodepool import NodeTemplate
from springtide.cluster.records import Taint, TaintEffect
from springtide.providers.template_overrides import OverriddenTemplate, price_of, with_overrides

NO_SCHEDULE = TaintEffect.NO_SCHEDULE


def taint(key: str, value: str = "") -> Taint:
    return Taint(key, value, NO_SCHEDULE)


def overridden(spec: Mapping[str, object] | None, *known: Taint) -> OverriddenTemplate:
    base = OverriddenTemplate(
        capacity={"cpu": 4000, "memory": 100}, labels={"a": "1", "b": "1"}, taints=known
    )
    return with_overrides(base, None if spec is None else NodeTemplate.model_validate(spec))


def test_without_spec_template_allocatable_is_the_capacity() -> None:
    result = overridden(None)
    assert result.allocatable == result.capacity == {"cpu": 4000, "memory": 100}


def test_given_resources_replace_and_add_to_the_known_ones() -> None:
    result = overridden({"capacity": {"cpu": 2, "pods": 20}, "allocatable": {"memory": 90}})
    assert result.capacity == {"cpu": 2000, "memory": 100, "pods": 20}
    assert result.allocatable == {"cpu": 2000, "memory": 90, "pods": 20}


def test_labels_are_added_and_replaced() -> None:
    assert overridden({"labels": {"b": "2", "c": "2"}}).labels == {"a": "1", "b": "2", "c": "2"}


def test_a_taint_of_the_same_key_and_effect_is_replaced() -> None:
    spec = {"taints": [{"key": "k", "value": "new", "effect": "NoSchedule"}]}
    assert overridden(spec, taint("k", "old"), taint("other")).taints == (taint("k", "new"), taint("other"))


def test_a_known_taint_declared_as_startup_taint_does_not_stay() -> None:
    result = overridden({"startupTaints": [{"key": "cni", "effect": "NoSchedule"}]}, taint("cni"), taint("k"))
    assert (result.taints, result.startup_taints) == ((taint("k"),), (taint("cni"),))


@pytest.mark.parametrize(
    "key",
    [
        "startup-taint.cluster-autoscaler.kubernetes.io/cni",
        "ignore-taint.cluster-autoscaler.kubernetes.io/cni",
    ],
)
def test_cluster_autoscalers_startup_prefixes_are_understood(key: str) -> None:
    result = overridden(None, taint(key))
    assert (result.taints, result.startup_taints) == ((), (taint(key),))


@pytest.mark.parametrize(
    "key", ["node.kubernetes.io/not-ready", "status-taint.cluster-autoscaler.kubernetes.io/disk"]
)
def test_taints_that_tell_of_a_running_nodes_state_are_dropped(key: str) -> None:
    assert overridden(None, taint(key)).taints == ()


@pytest.mark.parametrize(("text", "price"), [("0.096", 0.096), ("96m", 0.096), (2, 2.0), (None, None)])
def test_prices_are_quantities(text: str | int | None, price: float | None) -> None:
    assert price_of(text) == price
