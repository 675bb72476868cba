"""kubeconfig files with one cluster and one user, who has a bearer token."""

from __future__ import annotations

from pathlib import Path

import yaml

NAME = "devcluster"


def write_kubeconfig(path: Path, *, server: str, ca_path: Path, token: str) -> Path:
    """Write a kubeconfig that only its owner can read; return its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {"server": server, "certificate-authority": str(ca_path)}}],
        "users": [{"name": NAME, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
