"""What else changes an Auto Scaling group behind our back: scaling policies and AZRebalance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from springtide.providers.aws.groups import AutoScalingGroup
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import Region
from springtide.providers.base import ProviderError

READ_AGAIN_AFTER = timedelta(minutes=5)
"""Scaling policies are set up by people; one listing holds those of all groups of the region."""

POLICIES_PER_PAGE = 100


class ScalingPolicies:
    """Names of the enabled scaling policies of each group of one region, read seldom."""

    def __init__(self, region: Region, *, clock: Callable[[], datetime]) -> None:
        self._region = region
        self._clock = clock
        self._by_group: Mapping[str, tuple[str, ...]] = {}
        self._read_again_at: datetime | None = None
        self.problem = ""
        """Why the last reading failed, for users; empty when it succeeded."""

    async def refresh(self) -> None:
        """Read the policies when the last reading is old. Never raises ProviderError: then the last reading stays."""
        now = self._clock()
        if self._read_again_at is not None and now < self._read_again_at:
            return
        self._read_again_at = now + READ_AGAIN_AFTER
        try:
            raw = await self._region.pages(
                Operation.DESCRIBE_POLICIES, items="ScalingPolicies", MaxRecords=POLICIES_PER_PAGE
            )
        except ProviderError as error:
            self.problem = str(error)
            return
        self.problem = ""
        by_group: dict[str, tuple[str, ...]] = {}
        for policy in raw:
            if policy.get("Enabled", True):
                group = policy["AutoScalingGroupName"]
                by_group[group] = (*by_group.get(group, ()), policy["PolicyName"])
        self._by_group = by_group

    def of(self, group: str) -> Iterable[str]:
        """The policies of one group."""
        return self._by_group.get(group, ())


def interference(group: AutoScalingGroup, policies: Iterable[str]) -> tuple[str, ...]:
    """What else changes this group, one phrase each, for users."""
    found = [
        f"scaling policy {name} changes its size, too; delete or disable that policy"
        for name in sorted(policies)
    ]
    # In a single zone there is nothing to balance.
    if len(group.zones) > 1 and "AZRebalance" not in group.suspended:
        found.append(
            "AZRebalance is active, so AWS may replace nodes without draining them; suspend that process"
        )
    return tuple(found)
