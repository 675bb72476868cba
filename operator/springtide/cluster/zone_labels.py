"""Labels of nodes and volumes that name their zone and region: those of today, and the beta labels that they replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ZONE_LABELS: Final = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
"""Today's first."""
TODAYS_LABELS: Final[Mapping[str, str]] = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
"""Beta label -> what took its place; volumes may be older than their nodes."""
ZONE_AND_REGION_LABELS: Final = (*TODAYS_LABELS, *TODAYS_LABELS.values())
