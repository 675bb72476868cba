"""The elector in its own thread: it tells the main loop, survives its hanging, and ends what does not end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from springtide.cluster.api_errors import ApiError
from springtide.leadership import thread
from springtide.leadership.elector import Candidate, LeadershipLost
from springtide.leadership.gate import MutationGate
from springtide.leadership.lease import LeaseTimes, Manifest
from springtide.leadership.thread import Leadership, elected, unopposed

QUICK = LeaseTimes(duration=1, renew_deadline=0.6, retry_period=0.05)
PATIENCE = 5.0


class Server:
    """One Lease, for threads: what is written counts at once."""

    def __init__(self) -> None:
        self.lease: Manifest = {"kind": "Lease", "metadata": {"resourceVersion": "1"}, "spec": {}}
        self.writes = 0

    async def read(self, *, within: float) -> Manifest | None:
        return self.lease

    async def create(self, lease: Manifest, *, within: float) -> Manifest:
        raise ApiError(status=409, reason="AlreadyExists")

    async def replace(self, lease: Manifest, *, within: float) -> Manifest:
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(status=409, reason="Conflict")
        self.writes += 1
        self.lease = {**lease, "metadata": {"resourceVersion": f"w{self.writes}"}}
        return self.lease

    def steal(self) -> None:
        self.lease = {**self.lease, "spec": {"holderIdentity": "thief"}, "metadata": {"resourceVersion": "t"}}

    @property
    def holder(self) -> str:
        return str(self.lease["spec"].get("holderIdentity", ""))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Server]:
        yield self


def standing(server: Server, gate: MutationGate, name: str = "a", **more: Any) -> Any:
    return elected(server.connect, Candidate(identity=name, namespace="ns", times=QUICK), gate=gate, **more)


async def won(leadership: Leadership) -> None:
    async with asyncio.timeout(PATIENCE):
        await leadership.won.wait()


async def test_who_wins_finds_the_gate_open_and_gives_the_lease_back_in_the_end() -> None:
    server, gate = Server(), MutationGate()
    assert gate.why_closed()
    async with standing(server, gate) as leadership:
        await won(leadership)
        assert gate.why_closed() == ""
        assert server.holder == "a"
        await leadership.resign(release=True)
        assert "given its leadership up" in gate.why_closed()
    assert server.holder == ""


async def test_a_lease_that_should_run_out_is_not_given_back() -> None:
    server, gate = Server(), MutationGate()
    async with standing(server, gate) as leadership:
        await won(leadership)
        await leadership.resign(release=False)
    assert server.holder == "a"
    assert gate.why_closed()


async def test_a_main_loop_that_hangs_costs_nothing() -> None:
    server, gate = Server(), MutationGate()
    async with standing(server, gate) as leadership:
        await won(leadership)
        writes = server.writes
        time.sleep(1.2)  # noqa: ASYNC251 - longer than the lease: that is what is tested
        assert gate.why_closed() == ""
        assert server.writes > writes + 5
        assert not leadership.lost.done()


async def test_a_loss_is_told_and_the_gate_is_shut_before() -> None:
    server, gate = Server(), MutationGate()
    async with standing(server, gate) as leadership:
        await won(leadership)
        server.steal()
        with pytest.raises(LeadershipLost, match="thief holds it"):
            async with asyncio.timeout(PATIENCE):
                await leadership.lost
        assert "thief holds it" in gate.why_closed()
        await leadership.resign(release=True)
    assert server.holder == "thief"


async def test_a_process_that_does_not_end_after_a_loss_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread, "GRACE_SECONDS", 0.1)
    server, ended = Server(), threading.Event()
    async with standing(server, MutationGate(), end_process=ended.set) as leadership:
        await won(leadership)
        server.steal()
        # The main loop hangs, and never hears of it.
        assert ended.wait(PATIENCE)


async def test_of_two_in_one_process_one_leads_and_then_the_other() -> None:
    server, gates = Server(), (MutationGate(), MutationGate())
    async with standing(server, gates[0], "a") as first:
        await won(first)
        async with standing(server, gates[1], "b") as second:
            assert not second.won.is_set()
            await first.resign(release=True)
            await won(second)
            assert [bool(gate.why_closed()) for gate in gates] == [True, False]


async def test_a_connection_that_cannot_be_opened_is_a_loss() -> None:
    @asynccontextmanager
    async def refuse() -> AsyncIterator[Server]:
        raise OSError("no such file")
        yield Server()

    candidate = Candidate(identity="a", namespace="ns", times=QUICK)
    async with elected(refuse, candidate, gate=MutationGate()) as leadership:
        with pytest.raises(OSError, match="no such file"):
            async with asyncio.timeout(PATIENCE):
                await leadership.lost


async def test_without_an_election_one_leads_at_once() -> None:
    leadership = unopposed(MutationGate.always_open())
    assert leadership.won.is_set()
    assert not leadership.lost.done()
