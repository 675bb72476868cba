"""Offers: a candidate's packing of what is still pending, ready to be ranked, and to be put on the landscape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from springtide.cluster.shape import PodShape
from springtide.planning.expanders.options import ExpansionOption
from springtide.planning.landscape import GroupKey, Landscape, imagined_prefix
from springtide.planning.pods.pending import Demand
from springtide.planning.scale_up.catalog import Candidate
from springtide.scheduling.packing.packing import Bin, Packing, apply_packing, pack

Contents = tuple[tuple[int, int], ...]
"""What is on one new node: (place in an offer's `asking`, number of pods)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A candidate's packing, and what the expanders see of it."""

    candidate: Candidate
    asking: tuple[int, ...]
    """Numbers of the demands that were packed, in the packing's order."""
    shapes: tuple[PodShape, ...]
    """Theirs."""
    packing: Packing
    option: ExpansionOption

    @classmethod
    def made(
        cls, candidate: Candidate, left: Sequence[Demand], asking: Sequence[int], *, max_nodes: int
    ) -> Offer:
        """Pack the demands with these numbers on the candidate's nodes."""
        demands = [(left[number].shape, left[number].count) for number in asking]
        return cls.of(candidate, left, asking, pack(candidate.fresh, demands, max_nodes=max_nodes))

    @classmethod
    def of(
        cls, candidate: Candidate, left: Sequence[Demand], asking: Sequence[int], packing: Packing
    ) -> Offer:
        """A packing of these demands on nodes like the candidate's."""
        shapes = tuple(left[number].shape for number in asking)
        served = ((shape, placed) for shape, placed in zip(shapes, packing.placed, strict=True) if placed)
        option = ExpansionOption(
            pool=candidate.pool,
            group=candidate.label,
            nodes=packing.nodes,
            served=tuple(served),
            capacity=candidate.fresh.capacity,
        )
        return cls(candidate=candidate, asking=tuple(asking), shapes=shapes, packing=packing, option=option)

    def nodes(self) -> list[Contents]:
        """What is on each node, one entry for each."""
        return [contents for each in self.packing.bins for contents in [each.contents] * each.nodes]

    def nodes_by_site(self) -> list[tuple[tuple[GroupKey, ...], list[Contents]]]:
        """The same for each site of the candidate: its groups, and the nodes to be spread over them."""
        by_site: list[list[Contents]] = [[] for _ in self.candidate.sites]
        for each in self.packing.bins:
            by_site[each.site] += [each.contents] * each.nodes
        return list(zip(self.candidate.sites.values(), by_site, strict=True))

    def put(self, landscape: Landscape, key: GroupKey, nodes: Sequence[Contents]) -> None:
        """Add these of its nodes, as nodes of one of the candidate's groups, with their pods."""
        bins = tuple(Bin(nodes=1, contents=contents) for contents in nodes)
        apply_packing(
            landscape.simulation,
            landscape.fresh[key],
            [(shape, 0) for shape in self.shapes],
            Packing(nodes=len(bins), placed=(), bins=bins),
            prefix=imagined_prefix(key),
        )
