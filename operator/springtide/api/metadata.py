"""The part of metadata that Springtide reads from its own resources."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, Field

from springtide.api.model import ApiModel


class ObjectMeta(ApiModel):
    """metadata of a NodePool or AutoscalerPolicy."""

    name: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: AwareDatetime | None = None
    deletion_timestamp: AwareDatetime | None = None
    finalizers: tuple[str, ...] = ()
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def being_deleted(self) -> bool:
        return self.deletion_timestamp is not None

    @property
    def seniority(self) -> tuple[bool, datetime | None, str, str]:
        """Sort key: the older of two resources comes first, also when both were created in the same
        second."""
        return (self.creation_timestamp is None, self.creation_timestamp, self.name, self.uid)
