"""The operator with stopwatches in it: CPU seconds by part of the work, written to a file at SIGUSR1.

Each part's time is its own: what one part does inside another is not counted twice. What no part claims (the event
loop, HTTP, kopf) is left to whoever knows the whole.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from pathlib import Path
from types import coroutine
from typing import Any, Final

from springtide.cluster.codec import ManifestCodec, RecordCodec
from springtide.cluster.informer import Informer
from springtide.handlers import register
from springtide.reporting.reporter import Reporter
from springtide.runtime import engine, operator
from springtide.runtime.engine import Engine
from springtide.runtime.settings import parse_settings

PARTS: Final[dict[str, list[tuple[Any, str]]]] = {
    "decode": [(RecordCodec, "decode_events"), (ManifestCodec, "decode_events")],
    "index": [(Informer, "_apply")],
    "snapshot": [(Engine, "_observe")],
    "plan": [(engine, "make_plan")],
    "actuate": [(Engine, "_actuate")],
    "report": [
        (Engine, "_report"),
        (Reporter, "planned"),
        (Reporter, "passed"),
        (Reporter, "_write_pool"),
        (Reporter, "_write_policy"),
        (Reporter, "_write_all"),
    ],
}


class Stopwatches:
    """CPU seconds of threads, by part."""

    def __init__(self) -> None:
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._running = threading.local()

    def function(self, part: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.calls[part] += 1
            began = self._begin()
            try:
                return inner(*args, **kwargs)
            finally:
                self._end(part, began)

        return timed

    def coroutine_function(
        self, part: str, inner: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Counts the steps between its waits."""

        @wraps(inner)
        async def timed(*args: Any, **kwargs: Any) -> Any:
            return await self._stepped(part, inner(*args, **kwargs))

        return timed

    @coroutine
    def _stepped(self, part: str, inner: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = inner.send
        given: Any = None
        while True:
            began = self._begin()
            try:
                awaited = step(given)
            except StopIteration as end:
                return end.value
            finally:
                self._end(part, began)
            try:
                step, given = inner.send, (yield awaited)
            except BaseException as error:
                step, given = inner.throw, error

    def garbage(self, phase: str, _: object) -> None:
        """A callback of the garbage collector, which interrupts whatever part is at work."""
        if phase == "start":
            self._running.collecting = self._begin()
        else:
            self._end("garbage", self._running.collecting)

    def _begin(self) -> tuple[float, float]:
        outer = getattr(self._running, "inner", 0.0)
        self._running.inner = 0.0
        return time.thread_time(), outer

    def _end(self, part: str, began: tuple[float, float]) -> None:
        """Add the time since then, without that of parts inside; and tell the part around us."""
        whole = time.thread_time() - began[0]
        self.cpu[part] += whole - self._running.inner
        self._running.inner = began[1] + whole


def main() -> None:
    watches = Stopwatches()
    for part, places in PARTS.items():
        for owner, name in places:
            inner = getattr(owner, name)
            wrap = watches.coroutine_function if asyncio.iscoroutinefunction(inner) else watches.function
            setattr(owner, name, wrap(part, inner))
    gc.callbacks.append(watches.garbage)
    report = Path(sys.argv[1])

    def write(*_: object) -> None:
        written = report.with_suffix(".new")
        written.write_text(
            json.dumps({"cpu": watches.cpu, "passes": watches.calls["plan"]}), encoding="utf-8"
        )
        written.rename(report)

    signal.signal(signal.SIGUSR1, write)
    sys.exit(operator.run(parse_settings(sys.argv[2:]), register))


if __name__ == "__main__":
    main()
