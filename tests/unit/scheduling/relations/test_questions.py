"""Which pods a term or a constraint speaks of, and how they are counted."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.cluster.manifests import pod_from_manifest
from springtide.cluster.records import PodRecord
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, SpreadConstraint
from springtide.scheduling.relations.label_index import QuestionIndex, ShapeIndex
from springtide.scheduling.relations.questions import (
    Condition,
    Question,
    affinity_question,
    anti_affinity_question,
    labels_of_namespace,
    matches,
    repelled_question,
    spread_question,
)
from springtide.scheduling.simulation import Simulation
from tests.unit.scheduling.build import node, shape

NAMESPACES = {"default": {"team": "red"}, "shop": {"team": "blue"}}
ANY, NONE = LabelSelector(), None


def having(key: str, *values: str, operator: SelectorOperator = SelectorOperator.IN) -> LabelSelector:
    return LabelSelector((LabelRequirement(key, operator, values),))


WEB = having("app", "web")
NOT_BLUE = having("team", "blue", operator=SelectorOperator.NOT_IN)


@pytest.mark.parametrize(
    ("selector", "namespaces", "chosen", "meant"),
    [
        (WEB, ("default",), None, ["default"]),
        (WEB, ("default", "shop"), None, ["default", "shop"]),
        (WEB, (), having("team", "blue"), ["shop"]),
        (WEB, ("default",), having("team", "blue"), ["default", "shop"]),
        (WEB, (), ANY, ["default", "shop", "new"]),
        (WEB, (), having("kubernetes.io/metadata.name", "new"), ["new"]),
        (WEB, (), None, []),
        (ANY, ("default",), None, ["default"]),
        (NONE, ("default",), ANY, []),
        (having("app", "db"), ("default",), ANY, []),
    ],
)
def test_a_term_means_pods_by_labels_in_the_namespaces_named_or_chosen(
    selector: LabelSelector | None,
    namespaces: tuple[str, ...],
    chosen: LabelSelector | None,
    meant: list[str],
) -> None:
    term = PodAffinityTerm("zone", selector, namespaces, chosen)
    for question in (anti_affinity_question(term), repelled_question(term)):
        found = [
            name
            for name in ("default", "shop", "new")
            if matches(question, shape(namespace=name, labels={"app": "web"}), NAMESPACES)
        ]
        assert found == meant


def test_only_a_newcomers_negative_choice_of_namespaces_means_all_of_them() -> None:
    term = PodAffinityTerm("zone", WEB, (), NOT_BLUE)
    in_blue = shape(namespace="shop", labels={"app": "web"})
    assert matches(anti_affinity_question(term), in_blue, NAMESPACES)
    assert not matches(repelled_question(term), in_blue, NAMESPACES)


def test_one_pod_must_match_all_terms_of_an_affinity() -> None:
    terms = tuple(PodAffinityTerm(key, having(key, "x"), ("default",)) for key in ("a", "b"))
    question = affinity_question(shape(pod_affinity=terms))
    assert question is not None
    assert not matches(question, shape(labels={"a": "x"}), {})
    assert matches(question, shape(labels={"a": "x", "b": "x"}), {})
    assert affinity_question(shape()) is None
    assert not matches(Question(()), shape(), {})


@pytest.mark.parametrize("selector", [ANY, NONE], ids=["empty", "absent"])
def test_a_spread_without_requirements_counts_no_pod(selector: LabelSelector | None) -> None:
    question = spread_question(SpreadConstraint("zone", 1, selector), "default")
    assert not matches(question, shape(), {})


def test_a_namespace_always_has_its_name() -> None:
    name = "kubernetes.io/metadata.name"
    assert labels_of_namespace("new", {}) == {name: "new"}
    assert labels_of_namespace("shop", NAMESPACES) == {"team": "blue", name: "shop"}
    assert labels_of_namespace("odd", {"odd": {name: "other"}}) == {name: "other"}


# --- many questions, many shapes ---------------------------------------------------------------------------------


def asking(key: str, value: str) -> Question:
    return Question(
        (
            Condition(
                LabelSelector((*having("tier", "t").requirements, *having(key, value).requirements)),
                ("default",),
            ),
        )
    )


def test_a_shape_meets_few_of_many_questions_and_a_question_few_of_many_shapes() -> None:
    questions, shapes = QuestionIndex(), ShapeIndex()
    for number in range(1000):
        questions.add(number, asking("app", f"a{number}"))
        shapes.add(shape(labels={"tier": "t", "app": f"a{number}"}))
    assert len(list(questions.candidates(shape(labels={"tier": "t", "app": "a7"})))) <= 2
    (found,) = shapes.candidates(asking("app", "a7"))
    assert found.labels["app"] == "a7"


@pytest.mark.parametrize(
    "selector", [having("app", "a", "b"), having("app", operator=SelectorOperator.EXISTS), ANY]
)
@pytest.mark.parametrize("chosen", [None, ANY])
def test_whoever_is_meant_is_found(selector: LabelSelector, chosen: LabelSelector | None) -> None:
    question = Question((Condition(selector, ("default", "shop"), chosen),))
    questions, shapes = QuestionIndex(), ShapeIndex()
    questions.add(0, question)
    for one in (shape(labels={"app": "a"}), shape(labels={"app": "b"}, namespace="shop")):
        assert list(questions.candidates(one)) == [0]
        shapes.add(one)
    assert len(list(shapes.candidates(question))) == 2


# --- labels of one pod alone -------------------------------------------------------------------------------------

FIRST_ONLY = Question((Condition(having("statefulset.kubernetes.io/pod-name", "db-0"), ("default",)),))


def stateful(name: str, **status: Any) -> PodRecord:
    labels = {"app": "db", "statefulset.kubernetes.io/pod-name": name}
    return pod_from_manifest({"metadata": {"name": name, "namespace": "default", "labels": labels, **status}})


def test_a_question_about_one_pod_is_answered_pod_by_pod() -> None:
    pods = {"a": [stateful("db-0"), stateful("db-1")], "b": [stateful("db-2")]}
    assert pods["a"][0].shape is pods["b"][0].shape
    simulation = Simulation.of([node("a"), node("b")], pods)
    assert simulation.matching(FIRST_ONLY).tolist() == [1, 0]
    db = pods["a"][0]
    fork = simulation.fork()
    fork.remove(db.shape, 0, own_labels=db.own_labels)
    fork.place_on(db.shape, 1, own_labels=db.own_labels)
    fork.place_on(db.shape, 1)
    assert fork.matching(FIRST_ONLY).tolist() == [0, 1]
    assert simulation.matching(FIRST_ONLY).tolist() == [1, 0]


def test_what_happened_before_a_question_was_asked_counts() -> None:
    db = stateful("db-0")
    simulation = Simulation.of([node("a"), node("b")], {"a": [db]})
    simulation.remove(db.shape, 0, own_labels=db.own_labels)
    simulation.place_on(db.shape, 1, 2)
    assert simulation.matching(FIRST_ONLY).tolist() == [0, 0]
    assert simulation.matching(Question((Condition(having("app", "db"), ("default",)),))).tolist() == [0, 2]


def test_terminating_pods_count_for_affinity_and_not_for_spread() -> None:
    dying = stateful("db-0", deletionTimestamp="2026-01-01T00:00:00Z")
    simulation = Simulation.of([node("a")], {"a": [dying, stateful("db-1")]})
    near = Question((Condition(having("app", "db"), ("default",)),))
    spread = spread_question(SpreadConstraint("zone", 1, having("app", "db")), "default")
    assert (simulation.matching(near).tolist(), simulation.matching(spread).tolist()) == ([2], [1])
