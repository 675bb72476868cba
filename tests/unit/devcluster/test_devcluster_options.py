"""The command line of ``python -m devcluster``."""

from __future__ import annotations

from pathlib import Path

import pytest

from devcluster.cloud import GroupSpec
from devcluster.cloud.failures import NeverRegisters, NoCapacity, Vanishes
from devcluster.options import read_options, read_pool, read_seconds


@pytest.mark.parametrize(
    ("text", "group"),
    [
        pytest.param("name=a", GroupSpec(name="a"), id="a name is enough"),
        pytest.param(
            "name=general,type=c5.large,zones=us-east-1a:us-east-1b,min=1,max=5,desired=2",
            GroupSpec(
                name="general",
                instance_type="c5.large",
                zones=("us-east-1a", "us-east-1b"),
                min_size=1,
                max_size=5,
                desired=2,
            ),
            id="type, zones and sizes",
        ),
        pytest.param(
            "name=gpu,label.accelerator=t4,taint.nvidia.com/gpu=true:NoSchedule,tag.team=ml,resource.x.io/y=2",
            GroupSpec(
                name="gpu",
                labels={"accelerator": "t4"},
                taints={"nvidia.com/gpu": "true:NoSchedule"},
                tags={"team": "ml"},
                resources={"x.io/y": "2"},
            ),
            id="labels, taints, tags and resources",
        ),
        pytest.param(
            "name=mixed,override=m5.large:m5.xlarge",
            GroupSpec(name="mixed", override_types=("m5.large", "m5.xlarge")),
            id="mixed instances",
        ),
    ],
)
def test_pools(text: str, group: GroupSpec) -> None:
    assert read_pool(text) == group


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("general", "'general' is not KEY=VALUE"),
        ("type=m5.large", "a pool needs a name"),
        ("name=a,max=many", "max must be a whole number, not 'many'"),
        ("name=a,size=3", "unknown key 'size'; known are name, type"),
    ],
)
def test_wrong_pools_are_explained(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_pool(text)


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5d"])
def test_wrong_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        read_seconds(text)


def test_without_arguments_there_is_one_pool_and_nothing_fails() -> None:
    options = read_options([])
    assert options.cloud is not None
    assert [group.name for group in options.cloud.groups] == ["general"]
    assert options.cloud.failures == ()


def test_failure_modes_add_up() -> None:
    options = read_options(
        [
            *("--no-capacity", "us-east-1b", "--never-registers", "gpu"),
            *("--fail", "vanishes:group=gpu,seconds=60", "--boot-delay", "2s", "--logs", "/logs"),
        ]
    )
    assert options.cloud is not None
    assert options.cloud.timings.boot_s == 2
    assert options.cloud.logs == options.control_plane.logs == Path("/logs")
    assert options.cloud.failures == (
        NoCapacity(zone="us-east-1b"),
        NeverRegisters(group="gpu"),
        Vanishes(group="gpu", seconds=60),
    )


def test_the_cloud_can_be_left_out() -> None:
    assert read_options(["--no-cloud"]).cloud is None


def test_a_wrong_argument_exits_with_our_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        read_options(["--pool", "general"])
    assert exit_.value.code == 2
    assert "argument --pool: 'general' is not KEY=VALUE" in capsys.readouterr().err
