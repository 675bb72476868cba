"""The objects of one kind as an informer keeps them, and the news about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from springtide.cluster.codec import Key

T = TypeVar("T")

Listener = Callable[[T | None, T | None], None]
"""Called with (old, new): (None, new) for a new object, (old, None) for one that is gone."""


class Store(Generic[T]):
    """Current objects by key. Listeners hear of changes only.

    When an equal object comes, the one that is here is kept: most updates touch nothing that decisions read, and
    whatever else refers to the old one would hold a second copy in memory.
    """

    def __init__(self) -> None:
        self._items: dict[Key, T] = {}
        self._listeners: list[Listener[T]] = []

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())

    def get(self, key: Key) -> T | None:
        return self._items.get(key)

    def subscribe(self, listener: Listener[T]) -> None:
        """Hear of all further changes, in the event loop's thread, while they are applied."""
        self._listeners.append(listener)

    def upsert(self, key: Key, item: T) -> None:
        old = self._items.get(key)
        if old == item:
            return
        self._items[key] = item
        for listener in self._listeners:
            listener(old, item)

    def upsert_all(self, items: Iterable[tuple[Key, T]]) -> None:
        for key, item in items:
            self.upsert(key, item)

    def delete(self, key: Key) -> None:
        """Forget an object; one that is not known was already forgotten by a relist."""
        old = self._items.pop(key, None)
        if old is not None:
            for listener in self._listeners:
                listener(old, None)

    def retain(self, keys: Collection[Key]) -> None:
        """Forget everything but `keys`: what a complete relist did not show was deleted unseen."""
        for key in [key for key in self._items if key not in keys]:
            self.delete(key)

    def replace(self, items: Mapping[Key, T]) -> None:
        """Make `items` the whole content."""
        self.upsert_all(items.items())
        self.retain(items.keys())
