"""What every backend must keep to, as tests to inherit.

Inherit them, and say in a fixture which backend to try::

    class TestThreads(BackendContract):
        @pytest.fixture
        def backend(self):
            return Threads(workers=2)

Most tests share one open backend. Workers must be able to import `lcnkit.testing.backend`.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lcnkit.contracts import Backend, Outcome, Pool
from lcnkit.testing.plugin import PluginContract


@dataclass(frozen=True)
class Square:
    """A function with options, as the recipe of a run is one."""

    plus: int = 0

    def __call__(self, number: int) -> int:
        """The square."""
        return number * number + self.plus


class TwoPartError(Exception):
    """An error that cannot be unpickled the usual way; many libraries have one."""

    def __init__(self, item: str, reason: str) -> None:
        """Two arguments, one message."""
        super().__init__(f"{item}: {reason}")


def process_id(_task: int) -> int:
    """The process that runs the task, a little slowly, so that every worker gets one."""
    time.sleep(0.02)
    return os.getpid()


def fail_on_odd(number: int) -> int:
    """Even numbers come back; odd ones are an error."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


def fail_on_third(number: int) -> int:
    """Number 3 fails with an error that does not survive pickling."""
    if number == 3:
        raise TwoPartError("three", "is not wanted")
    return number


def give_none(number: int) -> None:
    """A function may have nothing to say."""


def leave_file(path: str) -> None:
    """Write a file."""
    Path(path).write_text(path)


def outcomes_in_order(outcomes: Iterable[Outcome[Any]]) -> list[Outcome[Any]]:
    """All outcomes by index."""
    return sorted(outcomes, key=lambda outcome: outcome.index)


@dataclass(frozen=True)
class Waits:
    """A function that mostly waits, and lets others wait beside it; it gives the time that it began and ended."""

    overlap: int = 4

    def __call__(self, number: int) -> tuple[int, float, float]:
        """The number, and when."""
        if number == 3:
            raise ValueError("3 is not wanted")
        began = time.monotonic()
        time.sleep(0.05)
        return number, began, time.monotonic()


class Counted:
    """Tasks that know how many of them were taken; the supply does not end by itself."""

    def __init__(self, limit: int = 20_000) -> None:
        """Args: limit is where a backend that reads everything first is stopped."""
        self.taken, self._limit = 0, limit

    def __iter__(self) -> Iterator[int]:
        for number in itertools.count():
            assert number < self._limit, f"{number} tasks were taken at once: read them as workers become free"
            self.taken += 1
            yield number


class BackendContract(PluginContract):
    """Inherit in a class named ``Test...`` and write one fixture, ``backend``, which gives the backend to try."""

    kind: ClassVar[str] = "backend"

    max_ahead: ClassVar[int] = 1000
    """More tasks than the backend ever has in flight; far less than a run has chips."""

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend to try."""
        raise NotImplementedError("A test class that inherits BackendContract needs a fixture named 'backend'.")

    @pytest.fixture
    def plugin(self, backend: Backend) -> Backend:
        """For the tests that all kinds share."""
        return backend

    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls) -> Iterator[tuple[ExitStack, list[Pool]]]:
        """Holds the pool that the tests of a class share."""
        with ExitStack() as stack:
            yield stack, []

    @pytest.fixture
    def pool(self, backend: Backend, opened: tuple[ExitStack, list[Pool]]) -> Pool:
        """An open backend; starting one may take seconds."""
        stack, pools = opened
        if not pools:
            pools.append(stack.enter_context(backend.open()))
        return pools[0]

    def test_every_task_has_one_outcome_with_its_index(self, pool: Pool) -> None:
        """In any order; the index says which task it was."""
        outcomes = outcomes_in_order(pool.map(Square(plus=1), range(10, 50)))
        assert [outcome.index for outcome in outcomes] == list(range(40))
        assert [outcome.value for outcome in outcomes] == [number * number + 1 for number in range(10, 50)]
        assert all(outcome.error is None for outcome in outcomes)

    def test_takes_tasks_that_can_be_read_only_once(self, pool: Pool) -> None:
        """``tasks`` is any iterable."""
        assert [outcome.value for outcome in outcomes_in_order(pool.map(Square(), (number for number in (3, 1, 2))))] == [9, 1, 4]

    def test_an_error_is_the_outcome_of_its_task_only(self, pool: Pool) -> None:
        """The others end as if nothing had happened."""
        outcomes = outcomes_in_order(pool.map(fail_on_odd, range(20)))
        assert [outcome.index for outcome in outcomes] == list(range(20))
        for outcome in outcomes:
            if outcome.index % 2:
                assert isinstance(outcome.error, ValueError), f"expected the task's ValueError, got {outcome.error!r}"
                assert str(outcome.error) == f"{outcome.index} is odd"
                assert outcome.value is None
            else:
                assert (outcome.value, outcome.error) == (outcome.index, None)

    def test_an_error_that_cannot_travel_costs_no_other_task(self, pool: Pool) -> None:
        """Some exceptions cannot be unpickled: their task fails, with some error or other."""
        outcomes = outcomes_in_order(pool.map(fail_on_third, range(12)))
        assert [outcome.index for outcome in outcomes] == list(range(12))
        assert [outcome.index for outcome in outcomes if outcome.error is not None] == [3]

    def test_tasks_that_wait_may_wait_together(self, pool: Pool) -> None:
        """A function with an ``overlap`` gives the same outcomes, of which several may be under way in one worker."""
        outcomes = outcomes_in_order(pool.map(Waits(), range(30)))
        assert [outcome.index for outcome in outcomes] == list(range(30))
        assert [outcome.index for outcome in outcomes if isinstance(outcome.error, ValueError)] == [3]
        assert [outcome.value[0] for outcome in outcomes if outcome.value] == [number for number in range(30) if number != 3]

    def test_nothing_is_a_value_too(self, pool: Pool) -> None:
        """A function that returns ``None`` has succeeded."""
        assert outcomes_in_order(pool.map(give_none, range(3))) == [Outcome(index) for index in range(3)]

    def test_no_tasks_no_outcomes(self, pool: Pool) -> None:
        """A run in which everything is done already ends at once."""
        assert list(pool.map(Square(), [])) == []

    def test_takes_tasks_as_workers_become_free(self, pool: Pool) -> None:
        """A million tasks cost no more memory than ten."""
        tasks = Counted()
        outcomes = pool.map(Square(), tasks)
        for done in range(1, 101):
            next(outcomes)
            assert tasks.taken <= done + self.max_ahead, f"{tasks.taken} tasks were taken for {done} outcomes"
        _close(outcomes)

    def test_starts_nothing_more_when_closed_early(self, pool: Pool) -> None:
        """What is running may end; no further task is taken, and the pool can be used again."""
        tasks = Counted()
        outcomes = pool.map(Square(), tasks)
        for _ in range(3):
            next(outcomes)
        _close(outcomes)
        taken = tasks.taken
        time.sleep(0.2)
        assert tasks.taken == taken, "tasks were taken after the iterator was closed"
        assert sorted(outcome.value or 0 for outcome in pool.map(Square(), range(4))) == [0, 1, 4, 9]

    def test_a_folder_it_calls_shared_is_shared(self, pool: Pool, tmp_path: Path) -> None:
        """What workers write there is seen here, and finding that out leaves nothing behind."""
        shared = pool.shares(tmp_path)
        assert list(tmp_path.iterdir()) == [], "asking left files in the folder"
        if shared:
            assert [outcome.error for outcome in pool.map(leave_file, [str(tmp_path / "file")])] == [None]
            assert (tmp_path / "file").read_text() == str(tmp_path / "file")

    def test_starts_no_worker_before_the_first_map(self, backend: Backend) -> None:
        """A run that fails early, or only plans, pays for no cluster."""
        before = set(multiprocessing.active_children())
        with backend.open():
            assert set(multiprocessing.active_children()) <= before, "opening alone started processes"

    def test_workers_that_are_expected_are_ended_too(self, backend: Backend) -> None:
        """Whether or not a task came."""
        before = set(multiprocessing.active_children())
        with backend.open() as pool:
            pool.expect()
        with backend.open() as pool:
            pool.expect()
            assert [outcome.value for outcome in pool.map(Square(), [4])] == [16]
        assert set(multiprocessing.active_children()) <= before, "processes are still running"

    def test_whatever_ends_the_block_ends_the_workers(self, backend: Backend) -> None:
        """An error inside passes through, and leaves no process behind; the backend can be opened again."""
        before = set(multiprocessing.active_children())
        with pytest.raises(KeyError, match="from inside"):
            _fail_inside(backend)
        assert set(multiprocessing.active_children()) <= before, "processes are still running"
        with backend.open() as pool:
            assert [outcome.value for outcome in pool.map(Square(), [5])] == [25]


def _fail_inside(backend: Backend) -> None:
    with backend.open() as pool:
        next(iter(pool.map(Square(), range(100))))
        raise KeyError("from inside")


def _close(outcomes: Iterator[Any]) -> None:
    close = getattr(outcomes, "close", None)
    assert close is not None, "map must return a generator (or an iterator with `close`), so that a run can stop early"
    close()
