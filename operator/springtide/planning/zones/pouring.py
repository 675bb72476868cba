"""Pouring: the pods of one hard spread over its domains, as water finds its level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from springtide.cluster.shape import SpreadConstraint
from springtide.scheduling.packing.dealing import deal


@dataclass(frozen=True, slots=True)
class Water:
    """Pods of one spread as water over its domains."""

    constraint: SpreadConstraint
    counts: Mapping[str, int]
    growing: Mapping[str, int]
    """Domain -> how many more pods it can take."""
    existing: Set[str]
    """Domains that are there whatever happens: each bounds the others."""
    load: Mapping[str, int]
    counts_itself: bool

    def poured(self, count: int) -> dict[str, int]:
        """Domain -> pods. A domain that new nodes would add is left out if it would take so few that the others get
        more without it."""
        domains = sorted({*self.existing, *self.growing}, key=lambda value: (self.load.get(value, 0), value))
        best = self._over(domains, count)
        optional = sorted(
            (d for d in domains if d not in self.existing), key=lambda d: self.growing.get(d, 0)
        )
        for domain in optional:
            if sum(best.values()) == count or len(domains) == 1:
                break
            domains = [each for each in domains if each != domain]
            other = self._over(domains, count)
            if sum(other.values()) > sum(best.values()):
                best = other
        return best

    def _over(self, domains: Sequence[str], count: int) -> dict[str, int]:
        if not domains:
            return {}
        counts = np.array([self.counts.get(value, 0) for value in domains], dtype=np.int64)
        growing = np.array([self.growing.get(value, 0) for value in domains], dtype=np.int64)
        if not self.counts_itself:
            growing = growing * (counts <= self._least(domains, int(counts.min())) + self.constraint.max_skew)
            dealt = deal(count, levels=np.zeros_like(counts), room=growing)
        else:
            top = self._least(domains, int((counts + growing).min())) + self.constraint.max_skew
            dealt = deal(count, levels=counts, room=np.minimum(growing, top - counts))
        shares = dealt.sums(np.ones_like(counts)).tolist()
        return {value: share for value, share in zip(domains, shares, strict=True) if share}

    def _least(self, domains: Sequence[str], least: int) -> int:
        return 0 if len(domains) < self.constraint.min_domains else least

    def obstacle(self, by_domain: Mapping[str, int], why: Callable[[str, str], str]) -> str:
        """What keeps the other pods away, for users."""
        key, skew = self.constraint.topology_key, self.constraint.max_skew
        domains = sorted({*self.existing, *self.growing})
        if len(domains) < self.constraint.min_domains:
            return f"{key} has {len(domains)} domains of minDomains {self.constraint.min_domains}"
        ends = {d: self.counts.get(d, 0) + self.growing.get(d, 0) for d in domains}
        if not ends:
            return f"no group adds nodes with {key}"
        lowest = min(ends, key=lambda domain: (ends[domain], domain))
        reason = why(key, lowest)
        return (
            f"{key} {lowest} cannot grow{' enough' if self.growing.get(lowest) else ''}"
            f"{': ' + reason if reason else ''}; with maxSkew {skew} it keeps the others down"
        )
