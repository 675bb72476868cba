"""How patient actuation is: every wait and retry that no policy sets, with the source of its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ActuationSettings:
    """All in seconds."""

    delay_after_taint: float = 5.0
    """So long the scheduler gets to see the hard taint before the node's pods are looked at again. Cluster
    Autoscaler: --node-delete-delay-after-taint."""

    conflict_interval: float = 0.75
    """Between two attempts to write a Node that others write too. Cluster Autoscaler's constant."""
    conflict_patience: float = 5.0
    """After so long such a write is given up. Cluster Autoscaler's constant."""

    kube_call_timeout: float = 10.0
    """Longest a single mutation at the API server may take; later its answer counts as lost."""

    rollback_patience: float = 60.0
    """Undoing is tried longer than doing: a taint left behind makes a node useless."""

    read_patience: float = 30.0
    """How long a read of the API server is repeated while it is overloaded or unreachable."""

    eviction_first_retry: float = 1.0
    """First wait after a refused eviction; doubled up to `eviction_retry`, as budgets often free up in seconds."""
    eviction_retry: float = 10.0
    """Longest wait between two attempts to evict one pod. Cluster Autoscaler's constant."""
    parallel_evictions: int = 20
    """Pods of one node whose eviction is requested at a time."""
    parallel_evictions_of_budget: int = 32
    """Pods of one PodDisruptionBudget, of all nodes, whose eviction is requested at a time (budget_turns)."""
    termination_slack: float = 30.0
    """An evicted pod may take this much longer than its grace. Cluster Autoscaler's constant."""
    pod_poll_first: float = 0.25
    """First wait between two looks at the pods that are still on a draining node: most end at once."""
    pod_poll_interval: float = 2.0
    """The first wait is doubled up to this: some take their whole grace."""

    detachment_poll_first: float = 0.5
    """First wait between two looks at the volumes that are still attached to a drained node."""
    detachment_poll: float = 5.0
    """The first wait is doubled up to this: each look reads all VolumeAttachments of the cluster."""

    delay_deletion_timeout: float = 120.0
    """How long annotations delay-deletion.cluster-autoscaler.kubernetes.io/* hold up a termination. Cluster
    Autoscaler: --node-deletion-delay-timeout."""
    delay_deletion_poll: float = 5.0

    cloud_call_timeout: float = 20.0
    """Longest a single mutation in the cloud may take, its fresh read included; later its answer counts as lost."""
    cloud_retry_first: float = 1.0
    """First wait after a throttled or lost call; doubled up to `cloud_retry_most`."""
    cloud_retry_most: float = 10.0
    write_ahead_patience: float = 5.0
    """So long writing a purchase down is tried before the cloud is asked: less than a scan interval, too."""
    purchase_patience: float = 8.0
    """A throttled purchase is repeated for so long: less than a scan interval, for the next pass decides anew."""
    terminate_patience: float = 120.0
    """How long a termination is tried, or its effect read, before the removal is rolled back or put off."""

    node_gone_timeout: float = 900.0
    """How long the cloud's node controller may take to delete the Node of a terminated instance."""
    node_gone_poll: float = 5.0
    instance_off_poll: float = 30.0
    """Between two questions to the cloud whether a terminated instance is off, while its Node is still there."""
    node_deletion_grace: float = 120.0
    """So long after an instance is off its Node is left to the cloud's node controller; then we delete it. Cluster
    Autoscaler never does, Karpenter at once. 0: never."""

    retry_first: float = 30.0
    """First wait before an interrupted or failed removal is taken up again; doubled up to `retry_most`."""
    retry_most: float = 600.0

    deadline_slack: float = 60.0
    """A removal's deadline lies so much later than its steps can take together."""
    parallel_soft_taints: int = 10
    """Soft taints written at a time. Cluster Autoscaler: --max-bulk-soft-taint-count."""
