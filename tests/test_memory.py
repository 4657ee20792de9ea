"""What a process that makes chips does about its memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lcnkit.memory import collect_seldom


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(("before", "after"), [((700, 10, 10), (10_000, 10, 10)), ((50_000, 5, 5), (50_000, 5, 5)), ((0, 10, 10), (0, 10, 10))])
def test_cycles_are_looked_for_less_often_and_never_more(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    gc.set_threshold(*before)
    collect_seldom()
    assert gc.get_threshold() == after
