"""What a group launches: instance types and root disk, read from launch templates and launch configurations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from springtide.providers.aws.groups import Launch, LaunchTemplateRef
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import Region
from springtide.providers.base import ProviderError, RefusedError

READ_AGAIN_AFTER = timedelta(minutes=5)
"""$Latest, $Default and unreadable ones; a numbered version never changes and is kept for good."""

CONFIGURATIONS_PER_CALL = 50
"""Most names DescribeLaunchConfigurations takes (API reference)."""

_ROOT_DEVICES = ("/dev/xvda", "/dev/sda1")
"""Root device names of the Linux images that run Kubernetes (Amazon Linux, Bottlerocket; Ubuntu)."""


@dataclass(frozen=True, slots=True)
class LaunchFacts:
    """What one launch template version or launch configuration says."""

    instance_type: str = ""
    min_vcpu: int = 0
    """From InstanceRequirements, when no type is named."""
    min_memory_mib: int = 0
    root_gib: int = 0
    """Size of the root disk; 0 = the image's default, unknown."""
    problem: str = ""
    """Why nothing is known, for users."""


@dataclass(frozen=True, slots=True)
class _Kept:
    facts: LaunchFacts
    until: datetime | None


class Launches:
    """Launch templates and configurations of one region, cached."""

    def __init__(self, region: Region, *, clock: Callable[[], datetime]) -> None:
        self._region = region
        self._clock = clock
        self._kept: dict[LaunchTemplateRef | str, _Kept] = {}

    async def refresh(self, launches: Iterable[Launch]) -> None:
        """Read what is not known yet, or may have changed. Never raises ProviderError: problems stand in the facts."""
        now = self._clock()
        wanted = {key for launch in launches for key in _keys(launch)}
        stale = {
            key
            for key in wanted
            if key not in self._kept or ((until := self._kept[key].until) and until <= now)
        }
        templates: dict[str, list[str]] = {}
        for key in stale:
            if isinstance(key, LaunchTemplateRef):
                templates.setdefault(key.id, []).append(key.version)
        await asyncio.gather(
            *(
                self._read_template(template, sorted(versions))
                for template, versions in sorted(templates.items())
            ),
            self._read_configurations(sorted(key for key in stale if isinstance(key, str))),
        )

    def facts(self, key: LaunchTemplateRef | str) -> LaunchFacts:
        """What is known of a launch template version, or of the launch configuration of this name."""
        kept = self._kept.get(key)
        return kept.facts if kept else LaunchFacts(problem="not read yet")

    async def _read_template(self, template_id: str, versions: list[str]) -> None:
        # One call a version: $Latest and $Default come back as numbers, and only so it is known which is which.
        for version in versions:
            key = LaunchTemplateRef(id=template_id, version=version)
            try:
                found = await self._region.pages(
                    Operation.DESCRIBE_LAUNCH_TEMPLATE_VERSIONS,
                    items="LaunchTemplateVersions",
                    LaunchTemplateId=template_id,
                    Versions=[version],
                )
            except ProviderError as error:
                self._keep_problem(key, error)
                continue
            data = found[0].get("LaunchTemplateData") if found else None
            facts = (
                _template_facts(data)
                if data
                else LaunchFacts(problem=f"launch template {template_id} is gone")
            )
            self._keep(key, facts, for_good=version.isdigit() and data is not None)

    async def _read_configurations(self, names: list[str]) -> None:
        for start in range(0, len(names), CONFIGURATIONS_PER_CALL):
            batch = names[start : start + CONFIGURATIONS_PER_CALL]
            try:
                found = await self._region.pages(
                    Operation.DESCRIBE_LAUNCH_CONFIGURATIONS,
                    items="LaunchConfigurations",
                    LaunchConfigurationNames=batch,
                )
            except ProviderError as error:
                for name in batch:
                    self._keep_problem(name, error)
                continue
            by_name = {raw["LaunchConfigurationName"]: raw for raw in found}
            for name in batch:
                raw = by_name.get(name)
                facts = (
                    LaunchFacts(
                        instance_type=raw.get("InstanceType") or "",
                        root_gib=_root_gib(raw.get("BlockDeviceMappings")),
                    )
                    if raw
                    else LaunchFacts(problem=f"launch configuration {name} is gone")
                )
                self._keep(name, facts, for_good=raw is not None)

    def _keep(self, key: LaunchTemplateRef | str, facts: LaunchFacts, *, for_good: bool) -> None:
        self._kept[key] = _Kept(facts, None if for_good else self._clock() + READ_AGAIN_AFTER)

    def _keep_problem(self, key: LaunchTemplateRef | str, error: ProviderError) -> None:
        # A passing fault (throttling, a timeout) must not make a known template unknown; a refusal is an answer.
        known = self._kept.get(key)
        if known and not known.facts.problem and not isinstance(error, RefusedError):
            self._keep(key, known.facts, for_good=False)
        else:
            self._keep(key, LaunchFacts(problem=str(error)), for_good=False)


def _keys(launch: Launch) -> Iterable[LaunchTemplateRef | str]:
    if launch.template:
        yield launch.template
    if launch.configuration:
        yield launch.configuration
    for override in launch.overrides:
        if override.template:
            yield override.template


def _template_facts(data: Mapping[str, Any]) -> LaunchFacts:
    requirements = data.get("InstanceRequirements") or {}
    return LaunchFacts(
        instance_type=data.get("InstanceType") or "",
        min_vcpu=(requirements.get("VCpuCount") or {}).get("Min") or 0,
        min_memory_mib=(requirements.get("MemoryMiB") or {}).get("Min") or 0,
        root_gib=_root_gib(data.get("BlockDeviceMappings")),
    )


def _root_gib(mappings: Iterable[Mapping[str, Any]] | None) -> int:
    """Size of the root disk in GiB, as far as the mappings tell: a named root device, or the only disk there is."""
    sizes = {
        mapping.get("DeviceName", ""): mapping["Ebs"]["VolumeSize"]
        for mapping in mappings or ()
        if (mapping.get("Ebs") or {}).get("VolumeSize")
    }
    for device in _ROOT_DEVICES:
        if device in sizes:
            return int(sizes[device])
    return int(next(iter(sizes.values()))) if len(sizes) == 1 else 0
