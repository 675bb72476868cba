"""Shapes with rules between pods, from a vocabulary so small that they meet."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import HostPort, PodAffinityTerm, PodShape, SpreadConstraint
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL

APPS = ("a", "b", "c")
_NUMBERS = itertools.count(1_000_000)


def app_selector(*apps: str) -> LabelSelector:
    return LabelSelector((LabelRequirement("app", SelectorOperator.IN, tuple(apps)),))


def near(*apps: str, key: str = HOSTNAME_LABEL) -> PodAffinityTerm:
    return PodAffinityTerm(topology_key=key, selector=app_selector(*apps), namespaces=("default",))


def spread(
    *apps: str, key: str = HOSTNAME_LABEL, max_skew: int = 1, min_domains: int = 1
) -> SpreadConstraint:
    return SpreadConstraint(
        topology_key=key, max_skew=max_skew, selector=app_selector(*apps), min_domains=min_domains
    )


def app(
    name: str,
    cpu: int = 1,
    *,
    memory: int = 0,
    port: int = 0,
    affinity: tuple[PodAffinityTerm, ...] = (),
    anti: tuple[PodAffinityTerm, ...] = (),
    spreads: tuple[SpreadConstraint, ...] = (),
) -> PodShape:
    requests = {"cpu": cpu, "memory": memory}
    return PodShape(
        number=next(_NUMBERS),
        namespace="default",
        labels={"app": name},
        requests={resource: amount for resource, amount in requests.items() if amount},
        host_ports=(HostPort("TCP", "", port),) if port else (),
        pod_affinity=affinity,
        pod_anti_affinity=anti,
        spread=spreads,
    )


def apps(
    *keys: str, ports: tuple[int, ...] = (0, 0, 0, 80), sane: bool = False
) -> st.SearchStrategy[PodShape]:
    """Shapes with rules over these topology keys, and one of the host ports (0: none).

    `sane`: spreads count the pods that have them, as those of workloads do; else they may count others only.
    """
    names = st.sampled_from(APPS)
    some = st.lists(names, min_size=1, max_size=2, unique=True)
    over = st.sampled_from(keys)

    def rarely(rule: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
        return st.one_of(st.just(()), st.just(()), st.tuples(rule))

    terms = st.builds(lambda who, key: near(*who, key=key), some, over)
    spreads = st.builds(
        lambda who, key, skew, least: spread(*who, key=key, max_skew=skew, min_domains=least),
        some,
        over,
        st.integers(1, 3),
        st.sampled_from((1, 1, 2, 3)),
    )
    shapes = st.builds(
        app,
        names,
        st.integers(1, 5),
        memory=st.integers(0, 5),
        port=st.sampled_from(ports),
        affinity=rarely(terms),
        anti=rarely(terms),
        spreads=rarely(spreads),
    )
    return shapes.filter(_counts_itself) if sane else shapes


def _counts_itself(shape: PodShape) -> bool:
    return all(each.selector is not None and each.selector.matches(shape.labels) for each in shape.spread)
