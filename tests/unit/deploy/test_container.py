"""The container: what its Dockerfile promises, and that the operator needs no file system that it could write to."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.kube_api import KubeApi, serving
from tests.unit.deploy.deployed import REPOSITORY

DOCKERFILE = (REPOSITORY / "deploy" / "docker" / "Dockerfile").read_text()


def instructions(text: str) -> list[tuple[str, str]]:
    """(keyword, rest) of a Dockerfile, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    found = instructions(DOCKERFILE)
    last = max(index for index, (keyword, _) in enumerate(found) if keyword == "FROM")
    return found[last:]


def test_what_builds_does_not_run() -> None:
    stages = [rest for keyword, rest in instructions(DOCKERFILE) if keyword == "FROM"]
    assert len(stages) == 2
    assert re.search(r"^ARG PYTHON=3\.[0-9]+-slim$", DOCKERFILE, flags=re.MULTILINE)
    assert not [rest for keyword, rest in final_stage() if keyword == "RUN"]


def test_it_runs_as_a_user_that_is_not_root_whatever_the_pod_says() -> None:
    (user,) = [rest for keyword, rest in final_stage() if keyword == "USER"]
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user), (
        "a number: the kubelet cannot judge a name by runAsNonRoot"
    )


def test_everything_installed_from_elsewhere_is_pinned_by_hash() -> None:
    installs = re.findall(r"pip install ([^&]*)", " ".join(rest for _, rest in instructions(DOCKERFILE)))
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-index" in install


def test_nothing_is_fetched_past_the_pins_and_no_secret_is_baked_in() -> None:
    keywords = {keyword for keyword, _ in instructions(DOCKERFILE)}
    assert keywords <= {"ARG", "FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}
    assert not re.search(r"curl|wget|apt-get|git clone", DOCKERFILE)
    assert not re.search(r"(?i)(ARG|ENV)[^\n]*(token|secret|password|key)", DOCKERFILE)


def test_only_what_is_named_gets_into_the_build() -> None:
    ignored = (REPOSITORY / "deploy" / "docker" / "Dockerfile.dockerignore").read_text().split()
    assert "*" in ignored
    kept = {line[1:].split("/")[0] for line in ignored if line.startswith("!")}
    copied = {
        source.split("/")[0]
        for keyword, rest in instructions(DOCKERFILE)
        if keyword == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert kept == copied


def test_it_gets_a_signal_itself() -> None:
    entry = [rest for keyword, rest in final_stage() if keyword in ("ENTRYPOINT", "CMD")]
    assert all(rest.startswith("[") for rest in entry), "a shell would swallow SIGTERM"


# --- a root file system that is read-only ---------------------------------------------------------------------------

WATCHED = """
import os, sys
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
           "shutil.copyfile", "tempfile.mkstemp", "tempfile.mkdtemp"}
def hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)) and not os.fsdecode(args[0]).startswith("/dev/"):
        path, mode, flags = args
        if (mode and set(mode) & set("wax+")) or (flags or 0) & WRITES:
            os.write(2, f"WRITE {path}\\n".encode())
            raise PermissionError(30, "Read-only file system", path)
    elif event in CHANGES:
        os.write(2, f"WRITE {event} {args}\\n".encode())
        raise PermissionError(30, "Read-only file system")
sys.addaudithook(hook)
"""
"""Every attempt to write a file fails as in the container, and is told: root, too, must not get through."""

BARE = {"PATH": os.environ["PATH"], "TMPDIR": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
"""What a container's process has: no HOME, no place for temporary files."""


@pytest.fixture
async def api():
    async with serving() as api:
        yield api


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def python(*arguments: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env=environment,
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_operator_runs_where_nothing_can_be_written(api: KubeApi, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": api.url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    config.write_text(
        yaml.safe_dump(
            {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"}
        )
    )
    port = free_port()
    run = "from springtide.cli.main import main; sys.exit(main(sys.argv[1:]))"
    process = await python(
        "-c",
        WATCHED + run,
        "run",
        f"--kubeconfig={config}",
        f"--http-address=127.0.0.1:{port}",
        environment=BARE,
    )
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while not await answers(session, f"http://127.0.0.1:{port}/metrics") or not api.watching:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert "WRITE" not in said.decode()
    assert process.returncode == 0, said.decode()


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


CALL_AWS = """
import asyncio
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import CallSettings, Regions
from springtide.providers.base import ProviderError
async def call():
    regions = Regions(settings=CallSettings(endpoint_url="http://127.0.0.1:9", read_attempts=1))
    try:
        await regions["eu-central-1"].call(Operation.DESCRIBE_GROUPS)
    except ProviderError as error:
        print(f"ANSWER {error}", file=sys.stderr)
    await regions.aclose()
asyncio.run(call())
"""


async def test_so_does_the_sdk_of_aws() -> None:
    """It would keep caches under HOME, and reads its configuration there."""
    credentials = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"}
    process = await python("-c", WATCHED + CALL_AWS, environment=BARE | credentials)
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert "WRITE" not in said.decode()
    assert "ANSWER AWS autoscaling:DescribeAutoScalingGroups in eu-central-1: cannot connect" in said.decode()


async def test_the_trap_of_these_tests_snaps() -> None:
    process = await python("-c", WATCHED + "open('/tmp/springtide-must-not-be', 'w')", environment=BARE)
    _, said = await process.communicate()
    assert process.returncode != 0
    assert "WRITE /tmp/springtide-must-not-be" in said.decode()
