"""Who stands for election, and what the metrics say of it."""

from __future__ import annotations

import pytest

from springtide.leadership.gate import MutationGate
from springtide.reporting.metrics import Metrics
from springtide.runtime.election import Counted, Whereabouts, candidate, make_gate
from springtide.runtime.settings import parse_settings


@pytest.mark.parametrize(
    ("flags", "here", "namespace"),
    [
        pytest.param([], Whereabouts(), "springtide-system", id="outside of pods"),
        pytest.param([], Whereabouts(namespace="autoscaling"), "autoscaling", id="the pod's own"),
        pytest.param(
            ["--lease-namespace=kube-system"],
            Whereabouts(namespace="autoscaling"),
            "kube-system",
            id="the one that was asked for",
        ),
    ],
)
def test_in_which_namespace_the_lease_is(flags: list[str], here: Whereabouts, namespace: str) -> None:
    assert candidate(parse_settings(flags, {}), here).namespace == namespace


def test_every_start_has_an_identity_of_its_own_that_begins_with_the_pod() -> None:
    settings, here = parse_settings([], {}), Whereabouts(pod="springtide-7d4b9-x2x1z")
    first, second = candidate(settings, here).identity, candidate(settings, here).identity
    assert first != second
    assert first.startswith("springtide-7d4b9-x2x1z_")


def test_the_gate_is_shut_until_someone_leads_and_open_without_an_election() -> None:
    gates: list[MutationGate] = [
        make_gate(parse_settings([f"--leader-elect={flag}"], {})) for flag in ("true", "false")
    ]
    assert [bool(gate.why_closed()) for gate in gates] == [True, False]


def test_the_metrics_tell_who_leads() -> None:
    metrics = Metrics()
    witness = Counted(metrics)
    read = metrics.registry.get_sample_value
    assert read("springtide_leader") == 0
    witness.leads(transitions=7)
    witness.renewed(0.02)
    witness.renewal_failed()
    assert (read("springtide_leader"), read("springtide_leader_transitions")) == (1, 7)
    assert read("springtide_lease_renewal_duration_seconds_count") == 1
    assert read("springtide_lease_renewal_failures_total") == 1
    witness.leads_no_more()
    assert read("springtide_leader") == 0
