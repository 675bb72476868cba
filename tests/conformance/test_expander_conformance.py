"""Expanders keep the options that Cluster Autoscaler's keep: 180 recorded choices, for the expanders we have."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from springtide.api.settings import Expander
from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.planning.expanders import best
from springtide.planning.options import ExpansionOption

Case = dict[str, Any]
CORPUS = Path(__file__).parent / "data" / "expander.jsonl.gz"
OURS = {expander.value for expander in Expander}


def corpus() -> list[Case]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def chains(case: Case) -> list[str]:
    return [chain for chain in case["answer"] if set(chain.split(",")) <= OURS]


CASES = corpus()


def options(case: Case) -> list[ExpansionOption]:
    nodes = {group: node_from_manifest(manifest) for group, manifest in case["nodeInfos"].items()}
    return [
        ExpansionOption(
            pool="pool",
            group=option["id"],
            nodes=option["nodeCount"],
            served=tuple((pod_from_manifest(each["pod"]).shape, each["count"]) for each in option["pods"]),
            capacity=nodes[option["id"]].capacity if option["id"] in nodes else {},
        )
        for option in case["options"]
    ]


def kept(left: Sequence[ExpansionOption], chain: str) -> list[str]:
    for name in chain.split(","):
        left = best(left, Expander(name))
    return [option.group for option in left]


def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 180
    assert {chain for case in CASES for chain in chains(case)} >= {
        "least-waste",
        "most-pods",
        "least-nodes",
        "most-pods,least-nodes,least-waste",
    }


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_the_recorded_options_are_kept(case: Case) -> None:
    expected = {chain: case["answer"][chain] for chain in chains(case)}
    assert {chain: kept(options(case), chain) for chain in expected} == expected
