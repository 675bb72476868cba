"""Who stands for election, and what the metrics say of it."""

from __future__ import annotations

import asyncio

import pytest

from springtide.cluster.access import Access
from springtide.cluster.api_errors import ApiError
from springtide.leadership.gate import MutationGate
from springtide.reporting.metrics import Metrics
from springtide.runtime.election import Counted, Whereabouts, candidate, connected, make_gate
from springtide.runtime.settings import parse_settings
from tests.kube_api import KubeApi, refusal, serving


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


async def test_a_server_that_wants_quiet_for_as_long_as_a_lease_lasts_costs_no_lease() -> None:
    """Other clients of ours leave it alone for 10 s then; who renews a Lease has no such time."""
    stands = candidate(parse_settings([], {}), Whereabouts())
    async with serving(KubeApi()) as api:

        async def access() -> Access:
            return Access(server=api.url, ssl_context=None)

        async with connected(access, stands) as leases:
            api.any_faults.append(refusal(429, "TooManyRequests", retry_after=10))
            api.any_faults.append(refusal(404, "NotFound"))
            with pytest.raises(ApiError):
                await leases.read(within=1)
            async with asyncio.timeout(stands.times.retry_period):
                assert await leases.read(within=1) is None
