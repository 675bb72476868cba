"""AWS that throttles, denies, answers late or not at all: each is shown, buys nothing twice, and is over when it is over."""

from __future__ import annotations

import pytest

from devcluster.cloud.failures import AnswerLost, CallRule, Denied, Latency, ServerError, Throttled
from tests.e2e.test_scale_down import QUICK
from tests.e2e.world import LIST, SET, TERMINATE, World
from tests.faults.real.aws import Stage, stage
from tests.faults.real.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        pytest.param(Throttled(action=LIST), "ProviderThrottled", id="throttled"),
        pytest.param(Denied(action=LIST), "CredentialsDenied", id="denied"),
        pytest.param(ServerError(action=LIST), "ProviderError", id="broken"),
    ],
)
async def test_listings_that_fail_are_shown_and_nothing_is_bought_meanwhile(
    world: World, witness: Witness, rule: CallRule, reason: str
) -> None:
    async with stage(world, witness) as on:
        world.cloud.failures.add(rule)
        message = await on.condition("ProviderReachable", "False", reason=reason)
        assert LIST in message
        assert LIST in await on.told(reason)
        app = await on.pods(2)
        await world.refused(app, 2)
        # The group is read again right before it is raised, and that fails, too.
        assert world.raises(on.group) == []
        assert await on.metric("springtide_degraded", mode=reason) == 1
        world.cloud.failures.remove(rule)
        await world.running(app, 2, timeout=90)
        await on.condition("ProviderReachable", "True")
        assert await on.metric("springtide_degraded", mode=reason) == 0
        await on.at_rest({on.group: 2})
        assert on.most_wanted() == 2


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(Throttled(action=SET), id="throttled"),
        pytest.param(Denied(action=SET), id="denied"),
        pytest.param(ServerError(action=SET), id="broken"),
    ],
)
async def test_purchases_that_are_refused_are_shown_and_made_when_that_ends(
    world: World, witness: Witness, rule: CallRule
) -> None:
    async with stage(world, witness) as on:
        world.cloud.failures.add(rule)
        app = await on.pods(2)
        assert SET in await on.told("FailedToScaleUpGroup", timeout=60)
        assert on.refused(SET) > 0
        await on.counted("springtide_purchase_failures_total", group=on.group)
        message = await on.condition("Degraded", "True", reason="GroupsBackingOff")
        assert on.group in message
        world.cloud.failures.remove(rule)
        await world.running(app, 2, timeout=90)
        await on.condition("Degraded", "False")
        await on.at_rest({on.group: 2})
        assert on.most_wanted() == 2


async def idle_nodes(on: Stage, count: int) -> None:
    """So many nodes that nobody needs any more."""
    app = await on.pods(count)
    await on.world.running(app, count, timeout=60)
    await on.world.scale(app, 0)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(Throttled(action=TERMINATE), id="throttled"),
        pytest.param(Denied(action=TERMINATE), id="denied"),
        pytest.param(ServerError(action=TERMINATE), id="broken"),
    ],
)
async def test_terminations_that_are_refused_are_made_when_that_ends(
    world: World, witness: Witness, rule: CallRule
) -> None:
    async with stage(world, witness, scale_down=QUICK) as on:
        world.cloud.failures.add(rule)
        await idle_nodes(on, 2)

        async def tried() -> bool:
            return on.refused(TERMINATE) > 1

        await world.until(tried, "terminations to be refused")
        await on.condition("ScalingDown", "True")
        assert len(on.in_service()) == 2
        world.cloud.failures.remove(rule)
        await on.at_rest({on.group: 0}, timeout=120)


async def test_purchases_and_terminations_that_may_not_be_made_say_which_permission_is_missing(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, scale_down=QUICK) as on:
        await idle_nodes(on, 1)
        denied = [world.cloud.failures.add(Denied(action=action)) for action in (SET, TERMINATE)]
        told = await on.told("ScaleDownFailed", timeout=60)
        assert "autoscaling:TerminateInstanceInAutoScalingGroup" in told
        await on.counted("springtide_removal_failures_total", group=on.group)
        for rule in denied:
            world.cloud.failures.remove(rule)
        await on.at_rest({on.group: 0}, timeout=90)


async def test_answers_that_take_twenty_seconds_buy_nothing_twice(world: World, witness: Witness) -> None:
    async with stage(world, witness) as on:
        slow = world.cloud.failures.add(Latency(action=SET, seconds=22, next_calls=1))
        app = await on.pods(3)
        await world.running(app, 3, timeout=90)
        world.cloud.failures.remove(slow)
        await on.at_rest({on.group: 3}, timeout=90)
        assert on.most_wanted() == 3


async def test_listings_that_take_twelve_seconds_are_shown_and_purchases_go_on(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness) as on:
        slow = world.cloud.failures.add(Latency(action=LIST, seconds=12))
        message = await on.condition("ProviderReachable", "False", reason="ProviderError", timeout=90)
        assert LIST in message
        app = await on.pods(1)
        await world.refused(app, 1)
        world.cloud.failures.remove(slow)
        await world.running(app, 1, timeout=90)
        await on.condition("ProviderReachable", "True", timeout=60)
        await on.at_rest({on.group: 1})
        assert on.most_wanted() == 1


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_lost_answers_to_a_purchase_buy_nothing_twice(
    world: World, witness: Witness, lost: int
) -> None:
    async with stage(world, witness) as on:
        world.cloud.failures.add(AnswerLost(action=SET, next_calls=lost))
        app = await on.pods(3)
        await world.running(app, 3, timeout=90)
        await on.at_rest({on.group: 3})
        assert on.most_wanted() == 3
        assert witness.launched[on.group] == 3


@pytest.mark.parametrize("lost", [1, 3])
async def test_lost_answers_to_a_termination_terminate_nothing_else(
    world: World, witness: Witness, lost: int
) -> None:
    async with stage(world, witness, scale_down=QUICK) as on:
        app = await on.pods(3)
        await world.running(app, 3, timeout=60)
        world.cloud.failures.add(AnswerLost(action=TERMINATE, next_calls=lost))
        await world.scale(app, 1)
        await on.at_rest({on.group: 1}, timeout=120)
        await world.running(app, 1)
        # Each instance was asked to go once: after a lost answer its state is read first.
        asked = [call.params["InstanceId"] for call in world.cloud.calls.of(TERMINATE, outcome="ok")]
        assert len(asked) == len(set(asked)) == 2


async def test_two_calls_a_second_slow_things_down_and_break_nothing(world: World, witness: Witness) -> None:
    async with stage(world, witness, scale_down=QUICK) as on:
        world.cloud.failures.add(Throttled(per_second=2))
        app = await on.pods(4)
        await world.running(app, 4, timeout=120)
        await world.scale(app, 1)
        await on.at_rest({on.group: 1}, timeout=120)
        await world.running(app, 1)
        assert on.most_wanted() == 4
