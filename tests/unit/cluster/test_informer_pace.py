"""How long informers wait, in virtual time."""

import asyncio
import random
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from springtide.cluster.api_errors import ApiError, ApiUnreachable
from springtide.cluster.codec import ManifestCodec
from springtide.cluster.informer import Informer, Resource
from springtide.cluster.store import Store

EMPTY = b'{"metadata":{"resourceVersion":"5"},"items":[]}'

pytestmark = pytest.mark.looptime


class ScriptedClient:
    """Answers lists from a script, remembers when it was asked, and keeps watches silent until told."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.list_times: list[float] = []
        self.watch_times: list[float] = []
        self.watch_answers: list = []

    async def get(self, _path, _params=None, *, timeout_seconds):
        self.list_times.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if self.answers else EMPTY
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def stream(self, _path, _params=None, *, silence_seconds):
        self.watch_times.append(asyncio.get_running_loop().time())
        answer = self.watch_answers.pop(0) if self.watch_answers else None
        if isinstance(answer, Exception):
            raise answer
        yield self._chunks(silence_seconds)

    @staticmethod
    async def _chunks(silence_seconds):
        await asyncio.sleep(silence_seconds)
        raise ApiUnreachable("silent")
        yield b""


async def run(client, *, seconds):
    informer = Informer(client, Resource("pods", "/pods", ManifestCodec()), Store(), rng=random.Random(1))
    task = asyncio.create_task(informer.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return informer


def gaps(times):
    return [later - earlier for earlier, later in pairwise(times)]


async def test_waits_double_up_to_ten_seconds_and_are_spread():
    client = ScriptedClient(*[ApiUnreachable("refused")] * 20)
    await run(client, seconds=300)
    waits = gaps(client.list_times)
    for attempt, wait in enumerate(waits[:12]):
        wanted = min(0.2 * 2**attempt, 10.0)
        assert 0.5 * wanted <= wait <= 1.5 * wanted
    assert len(set(waits)) == len(waits), "no two waits alike: informers must not march in step"


async def test_retry_after_is_honoured():
    client = ScriptedClient(ApiError(status=429, retry_after=17.0))
    await run(client, seconds=60)
    assert client.list_times[1] >= 17.0


async def test_a_silent_watch_is_given_up_after_more_than_the_bookmarks_minute():
    client = ScriptedClient()
    await run(client, seconds=200)
    assert 60 < gaps(client.watch_times)[0] < 90
    assert len(client.list_times) == 1


async def test_a_server_that_lists_but_calls_every_watch_gone_is_not_hammered():
    client = ScriptedClient()
    client.watch_answers = [ApiError(status=410, reason="Expired")] * 1000
    await run(client, seconds=300)
    assert len(client.list_times) < 50


async def test_a_server_that_is_back_but_forgot_our_place_is_listed_without_delay():
    client = ScriptedClient()
    client.watch_answers = [*[ApiUnreachable("refused")] * 10, ApiError(status=410, reason="Expired")]
    await run(client, seconds=300)
    back = client.watch_times[10]
    assert client.list_times[1] - back < 0.5


async def test_the_picture_grows_old_while_nothing_is_heard():
    client = ScriptedClient()
    informer = Informer(client, Resource("pods", "/pods", ManifestCodec()), Store())
    assert informer.age_seconds == float("inf")
    task = asyncio.create_task(informer.run())
    await informer.synced.wait()
    await asyncio.sleep(40)
    assert informer.age_seconds == pytest.approx(40, abs=1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
