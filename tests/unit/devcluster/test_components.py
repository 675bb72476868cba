"""The command lines of the components."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from devcluster.components import ControlPlaneOptions, Layout, component_flags, lay_out, write_kwok_config


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return lay_out(tmp_path)


def test_etcd_comes_first_and_then_the_api_server(layout: Layout) -> None:
    assert list(component_flags(layout, ControlPlaneOptions()))[:2] == ["etcd", "kube-apiserver"]


def test_everything_listens_on_loopback(layout: Layout) -> None:
    flags = [flag for own in component_flags(layout, ControlPlaneOptions()).values() for flag in own]
    addresses = [flag for flag in flags if "address=" in flag or "-urls=" in flag]
    assert len(addresses) >= 8
    assert all("127.0.0.1" in flag for flag in addresses)


def test_access_is_by_role(layout: Layout) -> None:
    assert (
        "--authorization-mode=Node,RBAC" in component_flags(layout, ControlPlaneOptions())["kube-apiserver"]
    )


def test_extra_flags_come_last_so_that_they_win(layout: Layout) -> None:
    options = ControlPlaneOptions(extra_flags={"kube-scheduler": ["--v=4"]})
    assert component_flags(layout, options)["kube-scheduler"][-1] == "--v=4"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(ControlPlaneOptions(extra_flags={"kubelet": ["--v=4"]}), id="no such component"),
        pytest.param(ControlPlaneOptions(kwok=False, extra_flags={"kwok": ["--v=4"]}), id="switched off"),
    ],
)
def test_flags_for_an_absent_component_are_refused(layout: Layout, options: ControlPlaneOptions) -> None:
    with pytest.raises(ValueError, match="not components of this devcluster"):
        component_flags(layout, options)


def test_without_kwok_there_is_no_kwok(layout: Layout) -> None:
    assert "kwok" not in component_flags(layout, ControlPlaneOptions(kwok=False))


def test_a_node_may_be_silent_as_long_as_its_lease(layout: Layout) -> None:
    flags = component_flags(layout, ControlPlaneOptions(node_lease_seconds=400))
    assert "--node-monitor-grace-period=400s" in flags["kube-controller-manager"]
    assert "--node-lease-duration-seconds=400" in flags["kwok"]


def test_each_user_has_a_token_of_their_own_that_others_cannot_read(layout: Layout) -> None:
    assert len(set(layout.tokens.values())) == len(layout.tokens)
    for path in (layout.token_file, layout.kubeconfig("admin")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_kwoks_configuration_holds_our_stages(tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(write_kwok_config(tmp_path).read_text()))
    assert [document["kind"] for document in documents] == ["KwokConfiguration"] + 4 * ["Stage"]
    assert {stage["metadata"]["name"] for stage in documents[1:]} == {
        "node-initialize",
        "pod-ready",
        "pod-complete",
        "pod-delete",
    }
