"""The manifests under deploy/kubernetes, as a user applies them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "deploy" / "kubernetes"

Manifest = dict[str, Any]


def manifests() -> list[Manifest]:
    """What `kubectl apply -f deploy/kubernetes/` applies, in its order."""
    return [
        document
        for file in sorted(FOLDER.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document
    ]


def only(kind: str) -> Manifest:
    """The one manifest of a kind."""
    (found,) = [manifest for manifest in manifests() if manifest["kind"] == kind]
    return found
