"""Providers are found by their kind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from springtide.providers.base import Provider
from springtide.providers.registry import ProviderNotInstalledError, ProviderSettings, kinds, load

SETTINGS = ProviderSettings(cluster_name="demo")

THIRD_PARTY = """
class Cloud:
    kind = "mycloud"
    def __init__(self, settings): self.cluster_name = settings.cluster_name
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution on the path that brings providers by entry points."""
    (tmp_path / "mycloud_provider.py").write_text(THIRD_PARTY)
    metadata = tmp_path / "mycloud-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mycloud\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[springtide.providers]\nmycloud = mycloud_provider:Cloud\nbroken = no_such_module:Cloud\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["aws", "simulated"])
async def test_a_built_in_kind_is_made(kind: str) -> None:
    provider = load(kind, SETTINGS)
    assert isinstance(provider, Provider)
    assert provider.kind == kind
    await provider.aclose()


def test_an_unknown_kind_says_which_are_known() -> None:
    with pytest.raises(ProviderNotInstalledError, match=r"no provider 'gce'; known are aws, simulated"):
        load("gce", SETTINGS)


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("springtide.providers.aws")]:
        monkeypatch.delitem(sys.modules, name)
    # None makes the import system raise ModuleNotFoundError, as when the package is absent.
    monkeypatch.setitem(sys.modules, "aioboto3", None)
    with pytest.raises(ProviderNotInstalledError, match=r"pip install 'springtide\[aws\]'"):
        load("aws", SETTINGS)


@pytest.mark.usefixtures("installed")
def test_other_packages_add_kinds_by_entry_points() -> None:
    assert "mycloud" in kinds()
    assert load("mycloud", SETTINGS).kind == "mycloud"


@pytest.mark.usefixtures("installed")
def test_a_package_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(ProviderNotInstalledError, match="no_such_module"):
        load("broken", SETTINGS)
