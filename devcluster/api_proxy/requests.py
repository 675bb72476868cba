"""What passed through the proxy: requests, what became of them, and the record of all that could change something."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_QUESTIONS = ("/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/")
"""Posted, but nothing is kept of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request as it arrived."""

    method: str
    path: str
    """Without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    user_agent: str = ""
    body: bytes = b""

    @property
    def is_mutation(self) -> bool:
        """Whether it can change anything."""
        return self.method not in _READS and not self.path.startswith(_QUESTIONS)

    @property
    def is_watch(self) -> bool:
        return self.method == "GET" and self.query.get("watch") in ("true", "1")

    @property
    def content(self) -> Any:
        """The body decoded; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request that was passed on to the API server, and its answer."""

    request: ApiRequest
    forwarded_at: float = field(default_factory=time.monotonic)
    """Seconds on the machine's monotonic clock."""
    status: int | None = None
    """The API server's, not what the client was told; None while there is none, or when the client went away first."""

    answered: bool = False
    """Whether all is over for the client: it has its answer, or its connection is gone."""

    @property
    def accepted(self) -> bool:
        return self.status is not None and self.status < 400


class Record:
    """The mutating requests that were passed on, in order."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self.reads = 0
        """Reading requests passed on, watches included."""

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._exchanges)

    def __len__(self) -> int:
        return len(self._exchanges)

    def passed_on(self, request: ApiRequest) -> Exchange:
        """Note that a request goes to the API server now."""
        exchange = Exchange(request=request)
        if request.is_mutation:
            self._exchanges.append(exchange)
        else:
            self.reads += 1
        return exchange

    def accepted(self, matches: Callable[[ApiRequest], bool]) -> list[Exchange]:
        """The matching ones that the API server accepted."""
        return [each for each in self._exchanges if each.accepted and matches(each.request)]

    @property
    def unanswered(self) -> int:
        """Those that the API server, or one who holds them here after their effect, has not answered."""
        return sum(not each.answered for each in self._exchanges)

    def clear(self) -> None:
        """Forget all."""
        self._exchanges.clear()
        self.reads = 0
