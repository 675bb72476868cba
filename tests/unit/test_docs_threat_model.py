"""The threat model and SECURITY.md: every proof they name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "threat-model.md"
SECURITY = REPOSITORY / "SECURITY.md"

PROOFS = re.findall(r"\]\(\.\./(tests/[\w/.]+)\)\s+`(test_\w+)`", PAGE.read_text())


def functions_in(file: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_it_names_many_proofs() -> None:
    assert len(PROOFS) > 40


@pytest.mark.parametrize(("file", "name"), PROOFS)
def test_a_proof_is_a_test_that_exists(file: str, name: str) -> None:
    assert name in functions_in(REPOSITORY / file)


@pytest.mark.parametrize("page", [PAGE, SECURITY], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_what_it_calls_not_allowed_is_in_no_role() -> None:
    for file in (REPOSITORY / "deploy" / "kubernetes").glob("*role*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            for rule in document.get("rules", ()):
                resources, verbs = set(rule["resources"]), set(rule["verbs"])
                assert not resources & {"secrets", "configmaps", "pods/exec", "*"}
                assert not verbs & {"*", "impersonate", "escalate", "bind", "deletecollection"}
                assert "pods" not in resources or verbs <= {"get", "list", "watch"}
                assert not set(rule["apiGroups"]) & {
                    "*",
                    "rbac.authorization.k8s.io",
                    "admissionregistration.k8s.io",
                }


def test_no_person_and_no_address_is_invented() -> None:
    assert "@" not in SECURITY.read_text()
