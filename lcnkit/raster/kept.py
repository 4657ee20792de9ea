"""Things that many threads want and that cost a request: made once, and the last of them kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """A bounded store; who wants what another thread is making waits for it."""

    def __init__(self, most: int, size: Callable[[V], int] = lambda value: 1) -> None:
        """An empty store.

        Args:
            most: What all values together may measure; those that were not wanted for longest go first.
            size: Measures one.
        """
        self._most, self._size, self._used = most, size, 0
        self._lock = threading.Lock()
        self._futures: OrderedDict[K, Future[V]] = OrderedDict()

    def get(self, keys: Sequence[K], make: Callable[[list[K]], Sequence[V]]) -> list[V]:
        """The values of the keys, in their order.

        Args:
            make: Gives the values of the keys that are not there, in their order. What it raises, all who wait for one of these get,
                and the keys are tried again when they are wanted again.
        """
        with self._lock:
            there = {key: self._futures[key] for key in keys if key in self._futures}
            mine: dict[K, Future[V]] = {key: Future() for key in keys if key not in there}
            self._futures.update(mine)
            for key in there:
                self._futures.move_to_end(key)
        if mine:
            self._make(mine, make)
        return [(there.get(key) or mine[key]).result() for key in keys]

    def forget(self, key: K) -> None:
        """Make it anew when it is wanted again."""
        with self._lock:
            self._drop(key)

    def _make(self, mine: dict[K, Future[V]], make: Callable[[list[K]], Sequence[V]]) -> None:
        try:
            values = dict(zip(mine, make(list(mine)), strict=True))
        except BaseException as error:
            with self._lock:
                for key, future in mine.items():
                    if self._futures.get(key) is future:
                        del self._futures[key]
            for future in mine.values():
                future.set_exception(error)
            raise
        with self._lock:
            for key, future in mine.items():
                future.set_result(values[key])
                if self._futures.get(key) is future:
                    self._used += self._size(values[key])
            if self._used > self._most:
                self._make_room()

    def _make_room(self) -> None:
        for key in [key for key, future in self._futures.items() if future.done()]:
            if self._used <= self._most:
                break
            self._drop(key)

    def _drop(self, key: K) -> None:
        future = self._futures.pop(key, None)
        if future is not None and future.done():
            self._used -= self._size(future.result())
