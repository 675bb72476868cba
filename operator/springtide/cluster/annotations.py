"""Which annotations of pods and nodes mean something to us; all others are dropped when objects are decoded.

Sources: Cluster Autoscaler's pod and node annotations, Karpenter's do-not-disrupt, the kubelet's mark of
mirror pods, and our own prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
SAFE_TO_EVICT_LOCAL_VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
POD_SCALE_UP_DELAY = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
ENABLE_DS_EVICTION = "cluster-autoscaler.kubernetes.io/enable-ds-eviction"
SCALE_DOWN_DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
DELAY_DELETION_PREFIX = "delay-deletion.cluster-autoscaler.kubernetes.io/"
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
MIRROR_POD = "kubernetes.io/config.mirror"
OWN_PREFIX = "springtide.dev/"
REMOVAL = "springtide.dev/removal"

_KEPT_KEYS = frozenset({DO_NOT_DISRUPT, MIRROR_POD})
_KEPT_PREFIXES = (
    OWN_PREFIX,
    # All of CA's keys, so that a key it adds later needs no change here.
    "cluster-autoscaler.kubernetes.io/",
    DELAY_DELETION_PREFIX,
    # consume-provisioning-request and provisioning-class-name of ProvisioningRequests.
    "autoscaling.x-k8s.io/",
)
_NONE: Mapping[str, str] = {}


# The same few keys come with every object.
@lru_cache(maxsize=4096)
def is_kept(key: str) -> bool:
    """Whether records carry this annotation."""
    return key in _KEPT_KEYS or key.startswith(_KEPT_PREFIXES)


def kept_annotations(annotations: Mapping[str, str] | None) -> Mapping[str, str]:
    """The annotations that records carry; one shared empty mapping when there are none."""
    if not annotations:
        return _NONE
    return {key: value for key, value in annotations.items() if is_kept(key)} or _NONE
