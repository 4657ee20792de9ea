"""How many tasks travel together, where no cluster is needed to tell."""

from __future__ import annotations

from typing import Any

import pytest

from lcnkit.backend.dask_pool import DaskPool


class Flying:
    """As much of a `Flight` as the size of a batch depends on."""

    def __init__(self, under_way: int, threads: int, task_s: float | None) -> None:
        self.under_way, self.threads, self.task_s = under_way, threads, task_s

    def __len__(self) -> int:
        return self.under_way


def size(flight: Flying, left: int, overlap: int) -> int:
    def never() -> Any:
        raise AssertionError("no cluster is needed")

    # The method is the rule; what a pool sends in all depends on when workers answer.
    return DaskPool(never)._size(flight, left, overlap)  # type: ignore[arg-type]


def test_idle_workers_begin_with_half_of_what_they_make_at_once() -> None:
    assert size(Flying(0, 2, None), 48, 8) == 4


@pytest.mark.parametrize(("left", "expected"), [(40, 16), (24, 12), (12, 8), (3, 8)])
def test_tasks_that_wait_for_a_server_have_others_to_take_their_place(left: int, expected: int) -> None:
    """Up to twice as many as are made at once, and no worker gets more than its share of what is left, unless that is too few to wait together."""
    assert size(Flying(2, 2, 0.5), left, 8) == expected


def test_quick_tasks_fill_a_second() -> None:
    assert size(Flying(2, 2, 0.02), 1000, 8) == 50


def test_tasks_of_a_disk_do_not_wait_for_each_other() -> None:
    assert size(Flying(2, 2, 0.1), 1000, 1) == 2
