"""Our own resources as models: each NodePool and AutoscalerPolicy is parsed once per change, not once per pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from springtide.api.metadata import ObjectMeta
from springtide.api.nodepool import NodePool
from springtide.api.parse import InvalidResource, parse_nodepool, parse_policy
from springtide.api.policy import AutoscalerPolicy
from springtide.cluster.picture import Manifest

Model = TypeVar("Model", NodePool, AutoscalerPolicy)


class ParsedResources(Generic[Model]):
    """The resources of one kind, parsed. Unchanged objects (same uid and resourceVersion) are not parsed again."""

    def __init__(self, parse: Callable[[Mapping[str, Any]], Model | InvalidResource]) -> None:
        self._parse: Callable[[Mapping[str, Any]], Model | InvalidResource] = parse
        self._parsed: dict[tuple[str, str], Model | InvalidResource] = {}

    def read(self, manifests: Iterable[Manifest]) -> tuple[Model | InvalidResource, ...]:
        """The models of exactly these objects, in their order."""
        parsed = {}
        for manifest in manifests:
            metadata = manifest["metadata"]
            key = (metadata.get("uid", ""), metadata.get("resourceVersion", ""))
            parsed[key] = self._parsed.get(key) or self._parse(manifest)
        self._parsed = parsed
        return tuple(parsed.values())


class Resources:
    """NodePools and policies as of the last picture."""

    def __init__(self) -> None:
        self._pools = ParsedResources(parse_nodepool)
        self._policies = ParsedResources(parse_policy)
        self.pools: tuple[NodePool, ...] = ()
        self.invalid_pools: tuple[InvalidResource, ...] = ()
        self.policies: tuple[AutoscalerPolicy | InvalidResource, ...] = ()
        self.metadata: Mapping[tuple[str, str], ObjectMeta] = {}
        """By (kind, name), of valid and invalid resources alike."""

    def refresh(self, pools: Iterable[Manifest], policies: Iterable[Manifest]) -> None:
        """Take over what the informers know now."""
        pools, policies = tuple(pools), tuple(policies)
        read = self._pools.read(pools)
        self.pools = tuple(pool for pool in read if isinstance(pool, NodePool))
        self.invalid_pools = tuple(pool for pool in read if isinstance(pool, InvalidResource))
        self.policies = self._policies.read(policies)
        self.metadata = {
            **{("NodePool", m["metadata"]["name"]): ObjectMeta.model_validate(m["metadata"]) for m in pools},
            **{
                ("AutoscalerPolicy", m["metadata"]["name"]): ObjectMeta.model_validate(m["metadata"])
                for m in policies
            },
        }

    def uid(self, kind: str, name: str) -> str:
        """The uid of one of our resources; empty when there is none of that name."""
        found = self.metadata.get((kind, name))
        return found.uid if found is not None else ""
