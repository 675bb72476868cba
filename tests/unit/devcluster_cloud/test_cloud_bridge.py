"""Instances become Nodes, and gone instances take theirs along, against a small API server of its own."""

import json
from collections import defaultdict

import pytest
from aiohttp import web

from devcluster.api import Api, wait_for
from devcluster.cloud.bridge import Bridge, BridgeOptions, hollow_node
from devcluster.cloud.catalogue import instance_types
from devcluster.cloud.failures import Failures, NeverRegisters
from devcluster.cloud.fleet import Fleet, Timings
from devcluster.cloud.model import Definition, Instance, Subnet
from devcluster.nodes import FAKE_NODE_ANNOTATION

TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"


def instance(**changes) -> Instance:
    values = {
        "instance_id": "i-0123456789abcdef0",
        "group": "workers",
        "zone": "us-east-1b",
        "subnet_id": "subnet-1",
        "instance_type": "m5.xlarge",
        "private_ip": "10.0.1.7",
        "launch_template": None,
        "tags": {},
    }
    return Instance(**{**values, **changes})


def test_a_node_is_what_its_instance_type_and_place_say():
    node = hollow_node(instance(), BridgeOptions()).manifest()
    assert node["metadata"]["name"] == "ip-10-0-1-7.ec2.internal"
    assert node["metadata"]["labels"] == {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": "ip-10-0-1-7.ec2.internal",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "m5.xlarge",
        "topology.kubernetes.io/region": "us-east-1",
        "topology.kubernetes.io/zone": "us-east-1b",
    }
    assert node["spec"] == {"providerID": "aws:///us-east-1b/i-0123456789abcdef0"}
    assert node["status"]["capacity"] == {
        "cpu": "4",
        "memory": "16384Mi",
        "ephemeral-storage": "100Gi",
        "pods": "58",
    }
    assert node["status"]["allocatable"] == node["status"]["capacity"]


def test_tags_of_the_group_describe_its_nodes():
    tags = {
        f"{TEMPLATE}label/team": "blue",
        f"{TEMPLATE}taint/dedicated": "blue:NoSchedule",
        f"{TEMPLATE}taint/bare": ":NoExecute",
        f"{TEMPLATE}resources/example.com/fpga": "2",
        "unrelated": "tag",
    }
    node = hollow_node(instance(tags=tags), BridgeOptions()).manifest()
    assert node["metadata"]["labels"]["team"] == "blue"
    assert node["spec"]["taints"] == [
        {"key": "dedicated", "value": "blue", "effect": "NoSchedule"},
        {"key": "bare", "value": "", "effect": "NoExecute"},
    ]
    assert node["status"]["capacity"]["example.com/fpga"] == "2"


@pytest.mark.parametrize(
    ("instance_type", "arch", "gpus", "pods"),
    [("g4dn.12xlarge", "amd64", "4", "234"), ("m6g.large", "arm64", None, "29")],
)
def test_gpus_architecture_and_pod_limit_come_from_the_catalogue(instance_type, arch, gpus, pods):
    node = hollow_node(instance(instance_type=instance_type), BridgeOptions())
    assert node.labels["kubernetes.io/arch"] == arch
    assert node.capacity.get("nvidia.com/gpu") == gpus
    assert node.capacity["pods"] == pods


def test_every_type_of_the_catalogue_makes_a_node():
    for name in instance_types():
        node = hollow_node(instance(instance_type=name), BridgeOptions())
        assert int(node.capacity["cpu"]) > 0
        assert node.labels["kubernetes.io/arch"] in {"amd64", "arm64"}


def test_reserved_quantities_and_missing_provider_ids_are_options():
    options = BridgeOptions(reserved={"cpu": "3920m"}, provider_ids=False)
    node = hollow_node(instance(), options).manifest()
    assert (node["status"]["allocatable"]["cpu"], node["status"]["capacity"]["cpu"]) == ("3920m", "4")
    assert "providerID" not in node["spec"]


# The bridge at work.


class Cluster:
    """An API server that knows nodes and pods, and what was done to them."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict] = {}
        self.pods: dict[str, str] = {}
        self.history: dict[str, list[str]] = defaultdict(list)
        self.refusals = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/v1/nodes", self.create)
        app.router.add_patch("/api/v1/nodes/{name}", self.patch)
        app.router.add_delete("/api/v1/nodes/{name}", self.delete)
        app.router.add_get("/api/v1/pods", self.list_pods)
        app.router.add_delete("/api/v1/namespaces/default/pods/{name}", self.delete_pod)
        return app

    async def create(self, request: web.Request) -> web.Response:
        if self.refusals:
            self.refusals -= 1
            return web.json_response({"reason": "InternalError"}, status=500)
        node = await request.json()
        name = node["metadata"]["name"]
        self.nodes[name] = node
        self.history[name].append("created")
        return web.json_response(node, status=201)

    async def patch(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.nodes[name]["metadata"]["annotations"].update(
            json.loads(await request.text())["metadata"]["annotations"]
        )
        self.history[name].append("patched")
        return web.json_response(self.nodes[name])

    async def delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.history[name].append("deleted")
        if self.nodes.pop(name, None) is None:
            return web.json_response({"reason": "NotFound"}, status=404)
        return web.json_response({})

    async def list_pods(self, request: web.Request) -> web.Response:
        node = request.query["fieldSelector"].removeprefix("spec.nodeName=")
        items = [
            {"metadata": {"namespace": "default", "name": name}}
            for name, place in self.pods.items()
            if place == node
        ]
        return web.json_response({"metadata": {}, "items": items})

    async def delete_pod(self, request: web.Request) -> web.Response:
        del self.pods[request.match_info["name"]]
        return web.json_response({})


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
async def api(cluster):
    runner = web.AppRunner(cluster.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    async with Api(server=f"http://{host}:{port}") as api:
        yield api
    await runner.cleanup()


@pytest.fixture
def failures():
    return Failures()


@pytest.fixture
async def fleet(failures):
    fleet = Fleet(timings=Timings(boot_s=0.01, terminate_s=0.01, replace_s=0.01), failures=failures)
    yield fleet
    fleet.close()


def define(fleet: Fleet, name: str = "workers"):
    return fleet.define(
        Definition(
            name=name,
            min_size=0,
            max_size=50,
            subnets=(Subnet("us-east-1a"),),
            instance_types=("m5.xlarge",),
        )
    )


async def until(predicate, what: str) -> None:
    async def holds():
        return predicate()

    await wait_for(holds, timeout=5, what=what, poll=0.01)


async def test_instances_in_service_become_nodes_and_gone_ones_take_node_and_pods_along(
    cluster, api, fleet, failures
):
    async with Bridge(api=api, fleet=fleet, failures=failures, options=BridgeOptions()):
        group = define(fleet)
        fleet.resize(group, 40)
        await until(lambda: len(cluster.nodes) == 40, "forty nodes")
        victim = group.live()[0]
        cluster.pods = {"moved": victim.private_dns_name, "stays": group.live()[1].private_dns_name}
        fleet.terminate(victim, decrement=True, reason="a test")
        await until(lambda: "moved" not in cluster.pods, "the pod to be gone")
        assert victim.private_dns_name not in cluster.nodes
        assert len(cluster.nodes) == 39
        assert list(cluster.pods) == ["stays"]


async def test_instances_that_never_register_are_in_service_without_a_node(cluster, api, fleet, failures):
    failures.add(NeverRegisters(group="workers"))
    async with Bridge(api=api, fleet=fleet, failures=failures, options=BridgeOptions()):
        silent, others = define(fleet), define(fleet, "others")
        fleet.resize(silent, 1)
        fleet.resize(others, 1)
        await until(lambda: len(cluster.nodes) == 1, "the other group's node")
        assert list(cluster.nodes) == [others.live()[0].private_dns_name]
        assert str(silent.live()[0].state) == "InService"


async def test_readiness_is_left_to_kwok_after_the_delay(cluster, api, fleet, failures):
    options = BridgeOptions(registration_s=0.01, readiness_s=0.05)
    async with Bridge(api=api, fleet=fleet, failures=failures, options=options):
        fleet.resize(define(fleet), 1)
        await until(lambda: cluster.nodes, "the node")
        [node] = cluster.nodes.values()
        assert node["metadata"]["annotations"][FAKE_NODE_ANNOTATION] != "fake"
        await until(lambda: node["metadata"]["annotations"][FAKE_NODE_ANNOTATION] == "fake", "kwok's turn")


async def test_an_instance_gone_before_it_registered_leaves_no_node(cluster, api, fleet, failures):
    async with Bridge(api=api, fleet=fleet, failures=failures, options=BridgeOptions(registration_s=3600)):
        group = define(fleet)
        fleet.resize(group, 1)
        await until(lambda: group.live() and str(group.live()[0].state) == "InService", "the instance")
        name = group.live()[0].private_dns_name
        fleet.terminate(group.live()[0], decrement=True, reason="a test")
        await until(lambda: "deleted" in cluster.history[name], "the bridge to clean up")
        assert cluster.history[name] == ["deleted"]


async def test_a_bridge_that_comes_late_registers_what_is_in_service(cluster, api, fleet, failures):
    group = define(fleet)
    fleet.resize(group, 2)
    await until(lambda: [str(i.state) for i in group.live()] == ["InService"] * 2, "two instances")
    async with Bridge(api=api, fleet=fleet, failures=failures, options=BridgeOptions()):
        await until(lambda: len(cluster.nodes) == 2, "two nodes")


async def test_registration_is_tried_again_when_the_api_server_fails(cluster, api, fleet, failures):
    cluster.refusals = 2
    async with Bridge(api=api, fleet=fleet, failures=failures, options=BridgeOptions()):
        fleet.resize(define(fleet), 1)
        await until(lambda: cluster.nodes, "the node")
