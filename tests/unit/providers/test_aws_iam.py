"""The shipped IAM policy allows exactly the calls that the code makes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.session import get_session

from springtide.providers import aws
from springtide.providers.aws.iam import POLICY, Operation, policy_of_one_cluster

SOURCES = sorted(Path(aws.__path__[0]).glob("*.py"))


def operations_in(source: Path) -> Iterator[str]:
    """Names X of all Operation.X that a module passes on as the operation of a call."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            for argument in node.args:
                if isinstance(argument, ast.Attribute) and ast.unparse(argument.value) == "Operation":
                    yield argument.attr


def test_the_policy_allows_exactly_the_operations_that_are_called() -> None:
    called = {Operation[name].value for source in SOURCES for name in operations_in(source)}
    allowed = [action for statement in POLICY["Statement"] for action in statement["Action"]]
    assert sorted(called) == sorted(allowed)


def test_nothing_reaches_the_sdk_but_through_an_operation() -> None:
    methods = {_snake(operation.call) for operation in Operation}
    used = {
        source.name
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in methods
    }
    assert used == set()


@pytest.mark.parametrize("operation", Operation, ids=lambda operation: operation.name)
def test_an_operation_exists_in_the_sdk(operation: Operation) -> None:
    assert operation.call in get_session().get_service_model(operation.service).operation_names


def test_changes_are_allowed_only_to_groups_that_carry_the_tag() -> None:
    [changing] = [statement for statement in POLICY["Statement"] if "Condition" in statement]
    assert set(changing["Action"]) == {operation.value for operation in Operation if operation.mutates}
    assert "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled" in changing["Condition"]["StringEquals"]


def test_where_clusters_share_an_account_changes_are_allowed_only_to_groups_that_this_one_owns() -> None:
    policy = policy_of_one_cluster("prod")
    assert policy["Statement"][0] == POLICY["Statement"][0]
    changing = policy["Statement"][1]
    # Several keys under one operator must all hold.
    assert changing["Condition"] == {
        "StringEquals": {
            "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true",
            "aws:ResourceTag/k8s.io/cluster-autoscaler/prod": "owned",
        }
    }
    assert changing["Action"] == POLICY["Statement"][1]["Action"]


def test_there_is_nothing_by_which_an_instance_could_be_ended_past_its_group() -> None:
    actions = {action for statement in POLICY["Statement"] for action in statement["Action"]}
    assert not actions & {
        "ec2:TerminateInstances",
        "ec2:StopInstances",
        "iam:PassRole",
        "ec2:RunInstances",
        "*",
    }
    assert not [action for action in actions if action.startswith(("iam:", "sts:")) or "*" in action]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
