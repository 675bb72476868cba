"""The demo's workload: deterministic, of real shapes, and smaller at night."""

from __future__ import annotations

import pytest

from springtide.cli.demo.command import MAX_PODS
from springtide.cli.demo.stage import GENERAL_TYPE, GPU_TYPE
from springtide.cli.demo.workload import Shape, Workload, changed, deployments, describe, total, trace
from springtide.providers.aws.instance_types import packaged_types


@pytest.mark.parametrize("pods", [10, 160, MAX_PODS])
def test_the_second_wave_adds_to_the_burst_up_to_what_was_asked_for(pods: int) -> None:
    load = Workload.of(pods)
    assert total(load.second_wave) == pods
    assert 0 < total(load.burst) < pods
    assert all(load.second_wave[shape] >= count for shape, count in load.burst.items())


def test_it_is_the_same_every_time() -> None:
    assert Workload.of(160) == Workload.of(160)


def test_at_night_some_work_goes_on_but_none_with_gpus() -> None:
    night = Workload.of(160).night
    assert 0 < total(night) < 160 // 5
    assert not any(count for shape, count in night.items() if shape.gpus)


def test_every_pod_fits_the_machines_that_are_there_for_it() -> None:
    types = packaged_types()
    for shape in trace():
        machine = types[GPU_TYPE if shape.gpus else GENERAL_TYPE]
        assert shape.cpu_milli <= machine.capacity["cpu"]
        assert shape.memory_mib <= machine.memory_mib
        assert shape.gpus <= machine.gpus.get("nvidia.com/gpu", 0)


def test_only_what_differs_is_applied_again() -> None:
    small, large = (
        Shape(cpu_milli=1000, memory_mib=1024, gpus=0),
        Shape(cpu_milli=2000, memory_mib=1024, gpus=1),
    )
    assert changed({small: 1, large: 2}, {small: 1, large: 0}) == {large: 0}
    assert changed({}, {small: 1}) == {small: 1}


def test_a_pod_with_gpus_tolerates_their_taint_and_states_its_limit() -> None:
    (manifest,) = deployments({Shape(cpu_milli=12_000, memory_mib=16_384, gpus=2): 3})
    spec = manifest["spec"]["template"]["spec"]
    assert manifest["metadata"]["name"] == "openb-c12000m-16384mi-g2"
    assert manifest["spec"]["replicas"] == 3
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "12000m", "memory": "16384Mi", "nvidia.com/gpu": "2"},
        "limits": {"nvidia.com/gpu": "2"},
    }


def test_it_says_what_it_is_in_words() -> None:
    shapes = {
        Shape(cpu_milli=1500, memory_mib=2048, gpus=0): 2,
        Shape(cpu_milli=1000, memory_mib=1024, gpus=2): 1,
        Shape(cpu_milli=9000, memory_mib=1024, gpus=2): 0,
    }
    assert describe(shapes) == "3 pods of 2 shapes, 1 of them with GPUs: 4 CPU, 5 GiB, 2 GPUs"
