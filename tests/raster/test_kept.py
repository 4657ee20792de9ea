"""Values that threads share: each made once, errors told to all who wait, the store bounded."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcnkit.raster.kept import Kept


@given(asked=st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=30), most=st.integers(0, 12))
def test_values_are_those_of_their_keys_and_few_are_kept(asked: list[list[int]], most: int) -> None:
    kept: Kept[int, str] = Kept(most, len)
    for keys in asked:
        assert kept.get(keys, lambda wanted: ["x" * key for key in wanted]) == ["x" * key for key in keys]
        assert kept._used == sum(len(future.result()) for future in kept._futures.values()) <= most


def test_threads_share_what_one_makes() -> None:
    made: Counter[int] = Counter()
    kept: Kept[int, int] = Kept(100)
    together = threading.Barrier(8)

    def make(keys: list[int]) -> list[int]:
        made.update(keys)
        return [key * key for key in keys]

    def want(first: int) -> list[int]:
        together.wait()
        return kept.get(range(first, first + 20), make)

    with ThreadPoolExecutor(8) as threads:
        for first, found in enumerate(threads.map(want, range(8))):
            assert found == [key * key for key in range(first, first + 20)]
    assert set(made.values()) == {1}


def test_an_error_reaches_all_who_wait_and_the_next_one_tries_again() -> None:
    kept: Kept[str, int] = Kept(100)
    begun, go_on = threading.Event(), threading.Event()

    def fails(keys: list[str]) -> list[int]:
        begun.set()
        go_on.wait(10)
        raise OSError("away")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(kept.get, ["a", "b"], fails)
        begun.wait(10)
        second = threads.submit(kept.get, ["b"], lambda keys: [1])
        go_on.set()
        for waiting in (first, second):
            with pytest.raises(OSError, match="away"):
                waiting.result(10)
    assert kept.get(["b", "a"], lambda keys: [len(key) for key in keys]) == [1, 1]


def test_what_is_made_must_be_complete() -> None:
    kept: Kept[str, int] = Kept(100)
    with pytest.raises(ValueError, match="shorter"):
        kept.get(["a", "b"], lambda keys: [1])
    assert kept.get(["a", "b"], lambda keys: [1, 2]) == [1, 2]


def test_what_is_forgotten_is_made_anew() -> None:
    kept: Kept[str, int] = Kept(100)
    assert [kept.get(["a"], lambda keys: [1]), kept.get(["a"], lambda keys: [2])] == [[1], [1]]
    kept.forget("a")
    kept.forget("never seen")
    assert kept.get(["a"], lambda keys: [2]) == [2]
