"""What runs of a sweep share, and that it ends with the sweep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lcnkit.backend.serial import SerialPool
from lcnkit.contracts import Backend, Pool
from lcnkit.raster.packs import _packs_of
from lcnkit.raster.planes import Plane
from lcnkit.sharing import Sharing


@dataclass(frozen=True, kw_only=True)
class Noted(Backend):
    workers: int = 1
    notes: list[str] = field(default_factory=list, compare=False)

    @contextmanager
    def open(self) -> Iterator[Pool]:
        self.notes.append("opened")
        try:
            yield SerialPool()
        finally:
            self.notes.append("closed")


def test_equal_backends_are_opened_once_and_closed_at_the_end() -> None:
    first, same, other = Noted(), Noted(), Noted(workers=2)
    with Sharing() as sharing:
        assert sharing.pool(first) is sharing.pool(same)
        assert sharing.pool(other) is not sharing.pool(first)
        assert (first.notes, same.notes, other.notes) == (["opened"], [], ["opened"])
    assert (first.notes, other.notes) == (["opened", "closed"], ["opened", "closed"])


def test_workers_end_with_an_error_too() -> None:
    backend = Noted()
    with pytest.raises(ZeroDivisionError), Sharing() as sharing:
        sharing.pool(backend).map(len, [1 // 0])
    assert backend.notes == ["opened", "closed"]


def test_a_thing_is_made_once() -> None:
    calls: list[str] = []

    def make(name: str) -> Any:
        calls.append(name)
        return [name]

    with Sharing(several=True) as sharing:
        assert sharing.once("a", lambda: make("a")) is sharing.once("a", lambda: make("other"))
        assert sharing.once("b", lambda: make("b")) == ["b"]
        assert list(sharing.each_once("c", lambda: iter(make("c")))) == list(sharing.each_once("c", lambda: iter(make("other")))) == ["c"]
    assert calls == ["a", "b", "c"]


def test_a_run_on_its_own_keeps_nothing() -> None:
    """The candidates of all chips would stay in memory, part by part."""
    with Sharing() as sharing:
        assert [sharing.once("a", lambda found=found: found) for found in (1, 2)] == [1, 2]
        parts = iter(range(3))
        assert next(sharing.each_once("parts", lambda: parts)) == 0
        assert list(parts) == [1, 2], "the others were not asked for yet"


def test_what_cannot_be_made_is_tried_again() -> None:
    with Sharing(several=True) as sharing:
        with pytest.raises(ZeroDivisionError):
            sharing.once("a", lambda: 1 // 0)
        assert sharing.once("a", lambda: 1) == 1


def test_planes_go_with_the_block() -> None:
    plane = Plane(np.ones((2, 2), "uint8"), np.ones((2, 2), bool), None)
    with Sharing(several=True) as sharing:
        cache = sharing.planes(1000)
        cache.put({b"k" * 32: plane})
        assert sharing.planes(1000).get([b"k" * 32]) != [None]
    assert not cache.folder.exists()
    _packs_of.cache_clear()  # as in a worker that has not met the folder yet
    cache.put({b"l" * 32: plane})
    assert not cache.folder.exists(), "a worker that is still busy must not bring the folder back"
