"""What the probes say of the pass loop, in virtual time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from springtide.cluster.picture import ClusterPicture
from springtide.runtime.engine import Engine
from springtide.runtime.memory import Memories
from springtide.runtime.settings import OperatorSettings

pytestmark = pytest.mark.looptime

POLICY = {
    "metadata": {"name": "default", "uid": "u", "resourceVersion": "1"},
    "spec": {"scanInterval": "10s"},
}


class Cluster:
    """Informers that are synced, or not, or hang."""

    def __init__(self) -> None:
        self.is_synced = True

    def picture(self, *, now: datetime) -> ClusterPicture:
        raise AssertionError("no pass is wanted here")

    def problems(self) -> tuple[str, ...]:
        return ("pods: 403 Forbidden",)


class Silent:
    """A reporter nobody listens to."""

    def pass_failed(self) -> None:
        return None


def engine(cluster: Cluster) -> Engine:
    made = Engine(
        cluster=cluster,
        clouds=cast("Any", None),
        providers={},
        actuator=cast("Any", None),
        reporter=cast("Any", Silent()),
        memories=Memories(),
        settings=OperatorSettings(),
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )
    made.resources.refresh([], [POLICY])
    return made


async def test_until_the_informers_are_synced_it_is_not_ready_and_says_which_is_not() -> None:
    cluster = Cluster()
    made = engine(cluster)
    assert made.unready() == ""
    cluster.is_synced = False
    assert made.unready() == "pods: 403 Forbidden"


async def test_without_any_pass_for_long_it_is_unhealthy() -> None:
    cluster = Cluster()
    cluster.is_synced = False
    made = engine(cluster)
    running = asyncio.create_task(made.run())
    await made.requests.ask("scan", settle=False)
    assert made.unhealthy() == ""
    await asyncio.sleep(119)
    assert made.unhealthy() == ""
    await asyncio.sleep(2)
    assert made.unhealthy() == "no pass for 121 s"
    await made.requests.ask("scan", settle=False)
    assert made.unhealthy() == ""
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_without_a_policy_nobody_expects_passes() -> None:
    cluster = Cluster()
    cluster.is_synced = False
    made = engine(cluster)
    made.resources.refresh([], [])
    running = asyncio.create_task(made.run())
    await made.requests.ask("start", settle=False)
    await asyncio.sleep(3600)
    assert made.unhealthy() == ""
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_pass_that_fails_is_answered_and_the_next_one_runs() -> None:
    made = engine(Cluster())
    running = asyncio.create_task(made.run())
    outcome = await made.requests.ask("scan", settle=False)
    assert outcome.error == "no pass is wanted here"
    again = await made.requests.ask("scan", settle=False)
    assert again.plan_id != outcome.plan_id
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
